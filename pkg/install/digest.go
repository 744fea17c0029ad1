package install

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"k8s.io/utils/lru"

	"chandler.dev/olm/pkg/registry"
)

// ContentDigest returns "sha256:<hex>" over the meaning of a bundle's content:
// the order of the manifests, of the keys in them and white space do not count,
// so that the same bundle read from a directory, a file or a wire has the same
// digest. A manifest that is not JSON counts byte by byte.
func ContentDigest(content registry.Content) string {
	sums := make([]string, 0, len(content.Objects))
	for _, object := range content.Objects {
		sums = append(sums, manifestSum(object))
	}
	slices.Sort(sums)
	all := append([]string{manifestSum(content.CSV)}, slices.Compact(sums)...)
	sum := sha256.Sum256([]byte(strings.Join(all, "\n")))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// sums remembers manifestSum by the SHA-256 of the manifest: a plan asks for
// the same ones at each of its passes, and normalising is what costs time.
var sums = lru.New(4096)

func manifestSum(manifest []byte) string {
	raw := sha256.Sum256(manifest)
	if sum, ok := sums.Get(raw); ok {
		return sum.(string) //nolint:forcetypeassert // only this function adds to it
	}
	sum := normalSum(manifest)
	sums.Add(raw, sum)
	return sum
}

func normalSum(manifest []byte) string {
	canonical := manifest
	decoder := json.NewDecoder(bytes.NewReader(manifest))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err == nil {
		if b, err := json.Marshal(v); err == nil {
			canonical = b
		}
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}
