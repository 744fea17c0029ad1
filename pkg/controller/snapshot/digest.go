package snapshot

import (
	"crypto/sha256"
	"fmt"

	"chandler.dev/olm/pkg/registry"
)

func contentDigest(content registry.Content) string {
	h := sha256.New()
	for _, object := range append([][]byte{content.CSV}, content.Objects...) {
		fmt.Fprintf(h, "%d\n", len(object))
		h.Write(object)
	}
	return fmt.Sprintf("sha256:%x", h.Sum(nil))
}
