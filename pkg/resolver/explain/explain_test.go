package explain_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/resolver"
	"chandler.dev/olm/pkg/resolver/explain"
)

func TestText(t *testing.T) {
	reasons := []resolver.Reason{
		{Text: "bundle a.v1 requires an operator with label: x", Details: []string{"no catalog offers one"}, Cure: "add one"},
		{Subscription: "a", Text: "subscription a exists"},
	}
	tests := map[string]struct {
		u    resolver.Unsolvable
		want string
	}{
		"a hint if nothing was tried with success": {
			resolver.Unsolvable{Reasons: reasons},
			`constraints not satisfiable: bundle a.v1 requires an operator with label: x, subscription a exists
  because bundle a.v1 requires an operator with label: x
    no catalog offers one
    hint: add one
`,
		},
		"cures that were tried instead of hints": {
			resolver.Unsolvable{Reasons: reasons, Cures: []resolver.Cure{{Text: "delete subscription b"}}},
			`constraints not satisfiable: bundle a.v1 requires an operator with label: x, subscription a exists
  because bundle a.v1 requires an operator with label: x
    no catalog offers one
  cure: delete subscription b
`,
		},
		"no answer is no contradiction": {
			resolver.Unsolvable{Exhausted: true, Reasons: []resolver.Reason{{Text: "gave up", Cure: "ask for less"}}},
			"gave up\n  because gave up\n    hint: ask for less\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := explain.Text(tt.u)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Text() (-want +got):\n%s", diff)
			}
			if first, _, _ := strings.Cut(got, "\n"); first != explain.Condition(tt.u) {
				t.Errorf("Condition() = %q, want the first line of Text()", explain.Condition(tt.u))
			}
		})
	}
}

func TestPresence(t *testing.T) {
	for want, p := range map[string]resolver.Presence{
		"x is there for subscription a\n":                                {Bundle: "x", Subscriptions: []string{"a"}, RequiredBy: []string{"y"}},
		"x is there for subscriptions a, b\n":                            {Bundle: "x", Subscriptions: []string{"a", "b"}},
		"x is there because y needs it, and z needs y\n":                 {Bundle: "x", RequiredBy: []string{"y"}, Chain: []string{"y", "z"}},
		"x is there for y and z, though for no subscription\n":           {Bundle: "x", RequiredBy: []string{"y", "z"}},
		"x is there, but no subscription owns it and nothing needs it\n": {Bundle: "x"},
	} {
		if got := explain.Presence(p); got != want {
			t.Errorf("Presence() = %q, want %q", got, want)
		}
	}
}

func TestVersion(t *testing.T) {
	reasons := []resolver.Reason{{Text: "it is so", Cure: "change it"}}
	for want, why := range map[string]resolver.Rationale{
		"subscription s has a.v2, the newest of its channel\n":                               {Subscription: "s", Bundle: "a.v2", Newest: "a.v2"},
		"subscription s has a.v1 and not a.v2\n  because it is so\n    hint: change it\n":    {Subscription: "s", Bundle: "a.v1", Newest: "a.v2", Reasons: reasons},
		"subscription s gets a.v2, and then a.v3\n  because it is so\n    hint: change it\n": {Subscription: "s", Bundle: "a.v2", Newest: "a.v3", Path: []string{"a.v2", "a.v3"}, Reasons: reasons},
		"subscription s has nothing of package a\n  because it is so\n    hint: change it\n": {Subscription: "s", Package: "a", Reasons: reasons},
	} {
		if got := explain.Version(why); got != want {
			t.Errorf("Version() = %q, want %q", got, want)
		}
	}
}

func TestPreview(t *testing.T) {
	u := &resolver.Unsolvable{Reasons: []resolver.Reason{{Text: "it is so"}}}
	p := resolver.Preview{Outcomes: []resolver.Outcome{
		{Subscription: "a", Package: "p", Now: "p.v1", Then: "p.v2"},
		{Package: "q", Then: "q.v1", RequiredBy: []string{"p.v2"}},
		{Subscription: "b", Package: "r", Now: "r.v1"},
		{Subscription: "c", Package: "s", Now: "s.v1", Then: "s.v1", Blocked: u},
		{Subscription: "d", Package: "t", Now: "t.v1", Then: "t.v1", Freed: u},
	}}
	want := `subscription a (package p) goes from p.v1 to p.v2
package q gets q.v1, required by p.v2
subscription b (package r) loses r.v1
subscription c (package s) can no longer be served
  constraints not satisfiable: it is so
subscription d (package t) can be served again with t.v1
`
	if diff := cmp.Diff(want, explain.Preview(p)); diff != "" {
		t.Errorf("Preview() (-want +got):\n%s", diff)
	}
	if got := explain.Preview(resolver.Preview{}); got != "nothing changes\n" {
		t.Errorf("Preview() of nothing = %q", got)
	}
}
