package main

import (
	"github.com/blang/semver/v4"

	"chandler.dev/olm/pkg/failure"
)

// checkRange refuses what the controller could not read as a range of versions.
func checkRange(text string) error {
	if text == "" {
		return nil
	}
	if _, err := semver.ParseRange(text); err != nil {
		return &failure.Error{
			Kind: failure.Invalid, Message: "cannot read the version range \"" + text + "\"",
			Hint: "write it as '>=1.1.0 <2.0.0', '1.2.3' or '1.1.x || 2.x'", Err: err,
		}
	}
	return nil
}
