package registry

import (
	"fmt"
	"strings"

	"github.com/blang/semver/v4"
)

const maxReleaseLength = 20

// PackageProperty is the value of the property olm.package.
type PackageProperty struct {
	PackageName string `json:"packageName"`
	Version     string `json:"version"`
	Release     string `json:"release,omitempty"`
}

// checkRelease fails if a release is not a list of pre-release identifiers.
func checkRelease(release string) error {
	if len(release) > maxReleaseLength {
		return fmt.Errorf("invalid release %q: exceeds maximum length of %d characters", release, maxReleaseLength)
	}
	for segment := range strings.SplitSeq(release, ".") {
		if _, err := semver.NewPRVersion(segment); err != nil {
			return fmt.Errorf("invalid release %q: %w", release, err)
		}
	}
	return nil
}
