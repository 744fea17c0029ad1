package solver_test

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"chandler.dev/olm/pkg/resolver/solver"
)

// TestFirstIsLexicographic compares with trying all models in order.
func TestFirstIsLexicographic(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 7).Draw(rt, "vars")
		clauses := drawClauses(rt, n)
		s, vars := build(n, clauses)
		sat, err := s.Solve()
		if err != nil {
			rt.Fatal(err)
		}
		// Preference: the first variable is true if possible, then the second…
		want, wantSat := bruteForce(n, clauses)
		if sat != wantSat {
			rt.Fatalf("Solve() = %t, want %t", sat, wantSat)
		}
		if !sat {
			return
		}
		for i, v := range vars {
			got, err := s.First([]solver.Lit{v, -v})
			if err != nil {
				rt.Fatal(err)
			}
			if (got == 0) != want[i] {
				rt.Fatalf("variable %d: First() = %d, want true: %t", i, got, want[i])
			}
		}
	})
}

// TestCoreIsMinimal checks that a core cannot be met and all its parts can.
func TestCoreIsMinimal(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(rt, "vars")
		clauses := drawClauses(rt, n)
		s, _ := build(n, clauses)
		if sat, err := s.Solve(); err != nil || sat {
			return
		}
		core, err := s.Core()
		if err != nil {
			rt.Fatal(err)
		}
		pick := func(groups []solver.Group) [][]int {
			var picked [][]int
			for _, g := range groups {
				picked = append(picked, clauses[g])
			}
			return picked
		}
		if _, sat := bruteForce(n, pick(core)); sat {
			rt.Fatalf("core %v can be met", core)
		}
		for i := range core {
			if _, sat := bruteForce(n, pick(slices.Delete(slices.Clone(core), i, i+1))); !sat {
				rt.Fatalf("core %v cannot be met without number %d either", core, i)
			}
		}
	})
}

func TestAtMostOne(t *testing.T) {
	for n := 2; n < 12; n++ {
		for a := range n {
			for b := range a {
				s := solver.New(solver.Limits{})
				lits := make([]solver.Lit, n)
				for i := range lits {
					lits[i] = s.Var()
				}
				s.AtMostOne(s.Group(), lits...)
				s.Clause(s.Group(), lits[a])
				if sat, err := s.Solve(); err != nil || !sat {
					t.Fatalf("one of %d: %t, %v", n, sat, err)
				}
				s.Clause(s.Group(), lits[b])
				if sat, err := s.Solve(); err != nil || sat {
					t.Fatalf("two of %d: %t, %v", n, sat, err)
				}
			}
		}
	}
}

func TestLimitsEndTheSearch(t *testing.T) {
	for name, limits := range map[string]solver.Limits{
		"the number of questions": {Solves: 1},
		"the time":                {Remaining: func() int64 { return 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			s := solver.New(limits)
			s.Clause(s.Group(), s.Var())
			_, err := s.Solve()
			if err == nil {
				_, err = s.Solve()
			}
			if !errors.Is(err, solver.ErrExhausted) {
				t.Errorf("Solve() = %v, want ErrExhausted", err)
			}
		})
	}
}

func drawClauses(t *rapid.T, n int) [][]int {
	lit := rapid.Custom(func(t *rapid.T) int {
		l := rapid.IntRange(1, n).Draw(t, "var")
		if rapid.Bool().Draw(t, "negative") {
			return -l
		}
		return l
	})
	return rapid.SliceOfN(rapid.SliceOfN(lit, 1, 3), 1, 16).Draw(t, "clauses")
}

func build(n int, clauses [][]int) (*solver.Solver, []solver.Lit) {
	s := solver.New(solver.Limits{})
	vars := make([]solver.Lit, n)
	for i := range vars {
		vars[i] = s.Var()
	}
	for _, clause := range clauses {
		var lits []solver.Lit
		for _, l := range clause {
			if l < 0 {
				lits = append(lits, -vars[-l-1])
			} else {
				lits = append(lits, vars[l-1])
			}
		}
		s.Clause(s.Group(), lits...)
	}
	return s, vars
}

// bruteForce returns the first model in the order true before false.
func bruteForce(n int, clauses [][]int) ([]bool, bool) {
	for bits := range 1 << n {
		model := make([]bool, n)
		for i := range model {
			model[i] = bits&(1<<(n-1-i)) == 0
		}
		met := !slices.ContainsFunc(clauses, func(clause []int) bool {
			return !slices.ContainsFunc(clause, func(l int) bool { return model[max(l, -l)-1] == (l > 0) })
		})
		if met {
			return model, true
		}
	}
	return nil, false
}
