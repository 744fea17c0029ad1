package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/hosting"
	"chandler.dev/olm/pkg/registry"
)

// advised gives the failure of an image the cures that the author of a
// CatalogSource has.
func advised(absent []string, err error) error {
	e, ok := errors.AsType[*failure.Error](err)
	if !ok {
		return err
	}
	cure := *e
	switch e.Kind {
	case failure.Blocked:
		cure.Hint = "name a secret with credentials for its registry in spec.secrets"
		if len(absent) > 0 {
			cure.Hint = fmt.Sprintf("of the pull secrets, %s cannot be read: create it, or let the catalog server read it", quoted(absent))
		}
	case failure.NotFound:
		cure.Hint = "check the repository and the tag in spec.image"
	case failure.Waiting:
		cure.Hint = "it is tried again; check the name of the registry in spec.image"
	case failure.Invalid, failure.Conflict, failure.Internal:
	}
	return &cure
}

func quoted(names []string) string {
	var all []string
	for _, name := range names {
		all = append(all, fmt.Sprintf("%q", name))
	}
	return strings.Join(all, ", ")
}

// sentence says why the content of a request is not served. It is the same for
// the same reason, and tells nothing that only the log may know.
func sentence(r hosting.Request, err error) string {
	what := fmt.Sprintf("image %q", r.Image)
	if r.ConfigMap != "" {
		what = fmt.Sprintf("ConfigMap %q", r.ConfigMap)
	}
	problem, isProblem := errors.AsType[registry.Problem](err)
	e, isFailure := errors.AsType[*failure.Error](err)
	switch {
	case isProblem:
		return fmt.Sprintf("the catalog in %s is invalid: %s", what, leaf(problem))
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("%s could not be read in time; it is tried again", what)
	case !isFailure:
		return fmt.Sprintf("%s could not be read; it is tried again, see the log of the catalog server", what)
	}
	text := e.Message
	if !strings.Contains(text, fmt.Sprintf("%q", cmp.Or(r.ConfigMap, r.Image))) {
		text = what + ": " + text
	}
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// leaf returns the first thing that is wrong, with its place, and how many
// others there are.
func leaf(p registry.Problem) string {
	count := p.Count()
	path := []string{}
	for ; len(p.Problems) > 0; p = p.Problems[0] {
		if p.Where == "" && p.Message == "invalid index" {
			continue
		}
		path = append(path, p.Message)
	}
	text := strings.Join(append(path, p.Message), ": ")
	if p.Where != "" {
		text += " (" + p.Where + ")"
	}
	if count > 1 {
		text += fmt.Sprintf(", and %d more problems", count-1)
	}
	return text
}
