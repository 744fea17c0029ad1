// Package explain renders why the resolver answered as it did: one line for a
// condition, a few for an event or a terminal. The text is stable: the same
// answer is the same text.
package explain

import (
	"strings"

	"chandler.dev/olm/pkg/resolver"
)

// prefix begins every message of the existing resolver about a problem without
// a solution; tools look for it.
const prefix = "constraints not satisfiable: "

// Condition returns the one line for a condition of a subscription.
func Condition(u resolver.Unsolvable) string {
	texts := make([]string, len(u.Reasons))
	for i, r := range u.Reasons {
		texts[i] = r.Text
	}
	if u.Exhausted {
		return strings.Join(texts, ", ")
	}
	return prefix + strings.Join(texts, ", ")
}

// Text returns the whole explanation, for an event or a terminal. Its first
// line is the Condition.
func Text(u resolver.Unsolvable) string {
	lines := []string{Condition(u)}
	for _, r := range u.Reasons {
		if r.Cure == "" && len(r.Details) == 0 {
			continue
		}
		lines = append(lines, "  because "+r.Text)
		for _, d := range r.Details {
			lines = append(lines, "    "+d)
		}
		if r.Cure != "" {
			lines = append(lines, "    cure: "+r.Cure)
		}
	}
	for _, c := range u.Cures {
		lines = append(lines, "  solved by: "+c.Text)
	}
	return strings.Join(lines, "\n") + "\n"
}
