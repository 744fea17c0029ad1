package registry

import (
	"fmt"

	"github.com/blang/semver/v4"
)

// maxRange bounds the letters of a range of versions. Every part of a range is
// a call in a call, so that one without end would exhaust the stack.
const maxRange = 4096

// ParseRange reads a range of versions as published catalogs write it, such as
// ">=1.0.0 <2.0.0".
func ParseRange(text string) (semver.Range, error) {
	if len(text) > maxRange {
		return nil, fmt.Errorf("the version range has %d letters, the limit is %d", len(text), maxRange)
	}
	return semver.ParseRange(text)
}
