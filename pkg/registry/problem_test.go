package registry_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

// TestProblem prints trees of problems: er-01.
func TestProblem(t *testing.T) {
	leaf := func(message string) registry.Problem { return registry.Problem{Message: message} }
	tests := map[string]struct {
		problem   registry.Problem
		want      string
		wantCount int
	}{
		"er-01 nothing":        {want: "", wantCount: 1},
		"er-01 only a message": {problem: leaf("a"), want: "a", wantCount: 1},
		"er-01 no children":    {problem: registry.Problem{Message: "a", Problems: []registry.Problem{}}, want: "a", wantCount: 1},
		"er-01 one child":      {problem: registry.Problem{Message: "a", Problems: []registry.Problem{leaf("b")}}, want: "a:\n└── b", wantCount: 1},
		"er-01 an empty child": {
			problem: registry.Problem{Message: "a", Problems: []registry.Problem{leaf(""), leaf("b")}}, want: "a:\n├── \n└── b", wantCount: 2,
		},
		"er-01 two levels": {
			problem: registry.Problem{Message: "a", Problems: []registry.Problem{
				{Message: "b", Problems: []registry.Problem{leaf("c"), leaf("d")}},
				{Message: "e", Problems: []registry.Problem{leaf("f")}},
			}},
			want: "a:\n├── b:\n│   ├── c\n│   └── d\n└── e:\n    └── f", wantCount: 3,
		},
		"er-01 three levels": {
			problem: registry.Problem{Message: "invalid index", Problems: []registry.Problem{{Message: `invalid package "foo"`, Problems: []registry.Problem{
				{Message: `invalid channel "alpha"`, Problems: []registry.Problem{{Message: `invalid bundle "foo.v0.1.0"`, Problems: []registry.Problem{leaf("bundle image must be set")}}}},
			}}}},
			want: "invalid index:\n└── invalid package \"foo\":\n    └── invalid channel \"alpha\":\n        └── invalid bundle \"foo.v0.1.0\":\n            └── bundle image must be set", wantCount: 1,
		},
		"a place and a hint stand behind": {
			problem: registry.Problem{Message: "a", Where: "f:1", Problems: []registry.Problem{{Message: "b", Where: "f:2", Hint: "do c"}}},
			want:    "a: (f:1)\n└── b (f:2) [do c]", wantCount: 1,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.problem.Error()); diff != "" {
				t.Errorf("Error() (-want +got):\n%s", diff)
			}
			if got := test.problem.Count(); got != test.wantCount {
				t.Errorf("Count() = %d, want %d", got, test.wantCount)
			}
		})
	}
}

// TestInvalidCatalog sorts problems, so that the same catalog gives the same text.
func TestInvalidCatalog(t *testing.T) {
	if err := registry.InvalidCatalog(nil); err != nil {
		t.Errorf("InvalidCatalog() of nothing = %v", err)
	}
	err := registry.InvalidCatalog([]registry.Problem{{Message: "b"}, {Message: "a"}})
	found, ok := errors.AsType[registry.Problem](err)
	if want := "invalid index:\n├── a\n└── b"; !ok || found.Error() != want || failure.KindOf(err) != failure.Invalid {
		t.Errorf("InvalidCatalog() = %v of kind %s, want the tree %s", err, failure.KindOf(err), want)
	}
}
