package registry

import (
	"cmp"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/failure"
)

// Problem is something wrong with a catalog, or a group of such things.
type Problem struct { //nolint:errname // it is what is wrong, as data; as an error it is the tree
	Message  string    `json:"message"`
	Hint     string    `json:"hint,omitempty"`  // what to do; may be empty
	Where    string    `json:"where,omitempty"` // file and line; may be empty
	Problems []Problem `json:"problems,omitempty"`
}

// Error returns the problem as a tree, one line each.
func (p Problem) Error() string {
	var b strings.Builder
	p.write(&b, "", "")
	return strings.TrimSuffix(b.String(), "\n")
}

func (p Problem) write(b *strings.Builder, first, rest string) {
	b.WriteString(first)
	b.WriteString(p.Message)
	if len(p.Problems) > 0 {
		b.WriteString(":")
	}
	if p.Where != "" {
		b.WriteString(" (" + p.Where + ")")
	}
	if p.Hint != "" {
		b.WriteString(" [" + p.Hint + "]")
	}
	b.WriteString("\n")
	for i, child := range p.Problems {
		if i == len(p.Problems)-1 {
			child.write(b, rest+"└── ", rest+"    ")
		} else {
			child.write(b, rest+"├── ", rest+"│   ")
		}
	}
}

// Count returns the number of leaves of the tree.
func (p Problem) Count() int {
	if len(p.Problems) == 0 {
		return 1
	}
	n := 0
	for _, child := range p.Problems {
		n += child.Count()
	}
	return n
}

// InvalidCatalog returns the failure of a catalog with problems, nil if there
// are none. The tree is its cause: errors.As finds the Problem.
func InvalidCatalog(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return cmp.Compare(a.Message, b.Message) })
	root := Problem{Message: "invalid index", Problems: problems}
	noun := "problems"
	if root.Count() == 1 {
		noun = "problem"
	}
	err := failure.New(failure.Invalid, "the catalog has %d %s", root.Count(), noun)
	err.Err = root
	return err
}
