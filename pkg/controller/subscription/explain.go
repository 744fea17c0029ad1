package subscription

import (
	"fmt"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/resolver"
	"chandler.dev/olm/pkg/resolver/explain"
)

// unsolvable renders why a component has no solution, with the cures.
func unsolvable(u resolver.Unsolvable) *refusal {
	r := &refusal{reason: reasonUnsatisfiable, message: explain.Condition(u), text: explain.Text(u)}
	if u.Exhausted {
		r.reason = reasonPrevented
	}
	var cures []string
	for _, c := range u.Cures {
		cures = append(cures, c.Text)
	}
	if len(cures) == 0 {
		for _, reason := range u.Reasons {
			if reason.Cure != "" && !slices.Contains(cures, reason.Cure) {
				cures = append(cures, reason.Cure)
			}
		}
	}
	if len(cures) > 0 {
		r.message += "; " + strings.Join(cures, ", or ")
	}
	return r
}

// groupProblem says what is wrong with the OperatorGroups of a namespace; nil
// if there is exactly one.
func groupProblem(v *view) *refusal {
	switch len(v.groups) {
	case 1:
		return nil
	case 0:
		return &refusal{reason: reasonPrevented, message: fmt.Sprintf(
			"namespace %q has no OperatorGroup, so nothing is installed in it; create one that names the namespaces that operators here look after",
			v.namespace)}
	}
	var names []string
	for _, g := range v.groups {
		names = append(names, fmt.Sprintf("%q", g.Name))
	}
	return &refusal{reason: reasonPrevented, message: fmt.Sprintf(
		"namespace %q has %d OperatorGroups (%s) and only one can count; delete the others",
		v.namespace, len(names), strings.Join(names, ", "))}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
