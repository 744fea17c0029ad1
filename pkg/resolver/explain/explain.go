// Package explain renders why the resolver answered as it did: one line for a
// condition, a few for an event or a terminal. The text is stable: the same
// answer is the same text.
package explain

import (
	"fmt"
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
		hint := r.Cure
		if len(u.Cures) > 0 {
			hint = "" // what was tried is better advice
		}
		if hint == "" && len(r.Details) == 0 {
			continue
		}
		lines = append(lines, "  because "+r.Text)
		for _, d := range r.Details {
			lines = append(lines, "    "+d)
		}
		if hint != "" {
			lines = append(lines, "    hint: "+hint)
		}
	}
	for _, c := range u.Cures {
		lines = append(lines, "  cure: "+c.Text)
	}
	return strings.Join(lines, "\n") + "\n"
}

// Version renders why a subscription has the version it has.
func Version(why resolver.Rationale) string {
	switch {
	case why.Bundle == "":
		return fmt.Sprintf("subscription %s has nothing of package %s\n", why.Subscription, why.Package) + reasons(why.Reasons)
	case len(why.Reasons) == 0:
		return fmt.Sprintf("subscription %s has %s, the newest of its channel\n", why.Subscription, why.Bundle)
	case len(why.Path) > 1:
		return fmt.Sprintf("subscription %s gets %s, and then %s\n", why.Subscription, why.Bundle, strings.Join(why.Path[1:], ", ")) + reasons(why.Reasons)
	default:
		return fmt.Sprintf("subscription %s has %s and not %s\n", why.Subscription, why.Bundle, why.Newest) + reasons(why.Reasons)
	}
}

func reasons(list []resolver.Reason) string {
	var b strings.Builder
	for _, r := range list {
		fmt.Fprintf(&b, "  because %s\n", r.Text)
		for _, d := range r.Details {
			fmt.Fprintf(&b, "    %s\n", d)
		}
		if r.Cure != "" {
			fmt.Fprintf(&b, "    hint: %s\n", r.Cure)
		}
	}
	return b.String()
}

// Presence renders why a bundle is there.
func Presence(p resolver.Presence) string {
	switch {
	case len(p.Subscriptions) == 1:
		return fmt.Sprintf("%s is there for subscription %s\n", p.Bundle, p.Subscriptions[0])
	case len(p.Subscriptions) > 1:
		return fmt.Sprintf("%s is there for subscriptions %s\n", p.Bundle, strings.Join(p.Subscriptions, ", "))
	case len(p.Chain) > 0:
		return fmt.Sprintf("%s is there because %s\n", p.Bundle, chain(p.Chain))
	case len(p.RequiredBy) > 0:
		return fmt.Sprintf("%s is there for %s, though for no subscription\n", p.Bundle, strings.Join(p.RequiredBy, " and "))
	default:
		return fmt.Sprintf("%s is there, but no subscription owns it and nothing needs it\n", p.Bundle)
	}
}

// chain says who needs it, and who needs that.
func chain(names []string) string {
	steps := []string{names[0] + " needs it"}
	for i, name := range names[1:] {
		steps = append(steps, fmt.Sprintf("%s needs %s", name, names[i]))
	}
	return strings.Join(steps, ", and ")
}

// Preview renders what changes would do.
func Preview(p resolver.Preview) string {
	if len(p.Outcomes) == 0 {
		return "nothing changes\n"
	}
	var b strings.Builder
	for _, o := range p.Outcomes {
		b.WriteString(outcome(o))
	}
	return b.String()
}

func outcome(o resolver.Outcome) string {
	who := "package " + o.Package
	if o.Subscription != "" {
		who = fmt.Sprintf("subscription %s (package %s)", o.Subscription, o.Package)
	}
	var line string
	switch {
	case o.Blocked != nil:
		return fmt.Sprintf("%s can no longer be served\n  %s\n", who, Condition(*o.Blocked))
	case o.Now == o.Then:
		line = fmt.Sprintf("%s can be served again with %s", who, o.Then)
	case o.Now == "":
		line = fmt.Sprintf("%s gets %s", who, o.Then)
	case o.Then == "":
		line = fmt.Sprintf("%s loses %s", who, o.Now)
	default:
		line = fmt.Sprintf("%s goes from %s to %s", who, o.Now, o.Then)
	}
	if o.Subscription == "" && len(o.RequiredBy) > 0 {
		line += ", required by " + strings.Join(o.RequiredBy, ", ")
	}
	return line + "\n"
}
