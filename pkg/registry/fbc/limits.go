package fbc

import (
	"fmt"
	"unicode/utf8"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

// Limits of one catalog. The largest that is published has 7,000 bundles,
// 30,000 entries, and 15 MB of packages and channels. Of bundles only names and
// APIs are kept, but packages and channels are kept until all were read.
const (
	maxBlobs    = 200_000
	maxParts    = 500_000   // entries, skips, properties and deprecations of packages and channels
	maxKept     = 256 << 20 // bytes of all that is kept
	maxName     = 1024      // letters of a schema, package or name
	perName     = 64        // bytes that keeping a name costs besides its letters
	maxProblems = 10_000
	maxMessage  = 1000 // letters of a problem
	maxPatterns = 10_000
	maxIgnore   = 1 << 20 // bytes of an ignore file
	// maxUnderWay is how many bytes of documents are parsed, or wait to be
	// taken, at once.
	maxUnderWay = 2 * maxDocument
)

// usage is what a catalog has used of its limits.
type usage struct{ blobs, parts, kept int }

// add counts a blob, and fails if there is too much of something.
func (u *usage) add(p parsed) error {
	u.blobs++
	u.kept += p.kept()
	u.parts += p.parts()
	switch {
	case u.blobs > maxBlobs:
		return tooMuch("the catalog has more than %d blobs", maxBlobs)
	case u.parts > maxParts:
		return tooMuch("the channels of the catalog have more than %d entries and skips", maxParts)
	case u.kept > maxKept:
		return tooMuch("the packages, channels and names of the catalog have more than %d MiB", maxKept>>20)
	}
	return nil
}

func tooMuch(format string, limit int) error {
	return failure.New(failure.Invalid, format, limit).WithHint("split the catalog")
}

// kept returns how many bytes are kept of a blob.
func (p parsed) kept() int {
	switch {
	case p.blob != nil:
		return perName + len(p.blob.Schema) + len(p.blob.Package) + len(p.blob.Name)
	case p.bundle == nil:
		return p.size
	}
	n := perName + len(p.bundle.Package) + len(p.bundle.Name)
	for _, property := range p.bundle.Properties {
		if property.Type == registry.PropertyGVK || property.Type == registry.PropertyPackage {
			n += perName + len(property.Value)
		}
	}
	return n
}

// parts counts what is kept of a blob.
func (p parsed) parts() int {
	switch {
	case p.pkg != nil:
		return len(p.pkg.Properties)
	case p.deprecations != nil:
		return len(p.deprecations.Entries)
	case p.channel != nil:
		n := len(p.channel.Properties)
		for _, e := range p.channel.Entries {
			n += 1 + len(e.Skips)
		}
		return n
	}
	return 0
}

// problem notes what is wrong, as far as somebody may read it.
func (a *assembler) problem(where, hint, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if len(message) > maxMessage {
		end := maxMessage
		for end > 0 && !utf8.RuneStart(message[end]) {
			end--
		}
		message = message[:end] + "…"
	}
	switch n := len(a.problems); {
	case n < maxProblems:
		a.problems = append(a.problems, registry.Problem{Message: message, Where: where, Hint: hint})
	case n == maxProblems:
		a.problems = append(a.problems, registry.Problem{Message: fmt.Sprintf("there are more than %d problems", maxProblems), Hint: "mend these first"})
	}
}
