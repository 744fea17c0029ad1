// Package render computes the Kubernetes objects that follow from a bundle, an
// OperatorGroup and a Subscription's configuration. It reads nothing and
// writes nothing: equal input gives equal objects, with the names, labels and
// hashes that Operator Lifecycle Manager v0 gives them.
package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/big"

	"chandler.dev/olm/pkg/registry"
)

// maxNameLength is how long a generated name may be.
const maxNameLength = 63

// Hash returns the base62 SHA-224 of obj's JSON, followed by a newline as
// Go's JSON encoder writes it. It is the hash in labels such as
// LabelDeploymentHash and in names of generated roles.
func Hash(obj any) (string, error) {
	h := sha256.New224()
	if err := json.NewEncoder(h).Encode(obj); err != nil {
		return "", fmt.Errorf("hash: %w", err)
	}
	return base62(h.Sum(nil)), nil
}

// H224 returns the base62 SHA-224 of s.
func H224(s string) string {
	sum := sha256.Sum224([]byte(s))
	return base62(sum[:])
}

// GVKHash returns the hash by which labels name an API.
func GVKHash(gvk registry.GVK) string {
	return fnvHex(gvk.Kind + "." + gvk.Version + "." + gvk.Group)
}

// CAHash returns the hash by which annotations name a CA certificate.
func CAHash(pem []byte) string {
	sum := sha256.Sum256(pem)
	return hex.EncodeToString(sum[:])
}

// UnpackName returns the name under which v0 stores the content of a bundle image.
func UnpackName(image string) string {
	sum := sha256.Sum256([]byte(image))
	return hex.EncodeToString(sum[:])[:maxNameLength]
}

// AlongsideAnnotation returns the annotation key on a CRD that records which
// ClusterServiceVersion brought it; its value is "<namespace>/<name>".
func AlongsideAnnotation(namespace, name string) string {
	return AlongsidePrefix + fnvHex(namespace+"/"+name)
}

// GeneratedName returns base followed by the hash of obj, with base shortened
// if the whole would be too long. As in v0 the dash is not counted, so that a
// name may have one character more than a label value.
func GeneratedName(base string, obj any) (string, error) {
	hash, err := Hash(obj)
	if err != nil {
		return "", err
	}
	if len(base)+len(hash) > maxNameLength {
		base = base[:maxNameLength-len(hash)-1]
	}
	return base + "-" + hash, nil
}

func base62(sum []byte) string {
	var i big.Int
	return i.SetBytes(sum).Text(62)
}

func fnvHex(s string) string {
	h := fnv.New64a()
	h.Write([]byte(s))
	return fmt.Sprintf("%x", h.Sum64())
}
