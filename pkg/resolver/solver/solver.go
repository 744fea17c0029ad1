// Package solver answers questions about yes-or-no decisions: whether a set of
// constraints can be met, how in an order of preference, or which few of the
// constraints exclude each other. It knows no operators. The work is done by a
// SAT engine; the same calls in the same order give the same answers.
package solver

import (
	"errors"
	"slices"
)

// ErrExhausted says that the limits ran out before there was an answer.
var ErrExhausted = errors.New("no answer within the limits")

// Lit is a decision, or its opposite if negative. Zero is no decision.
type Lit int32

// Group names a constraint, so that Core can tell it.
type Group int32

// engine is a SAT engine with assumptions.
type engine interface {
	// add adds a clause: at least one of the literals holds.
	add(clause []Lit)
	// solve looks for a model in which all assumptions hold.
	solve(assume []Lit) (sat bool, err error)
	// value is what a literal is in the model of the last solve.
	value(l Lit) bool
	// failed are assumptions of the last solve that exclude each other, sorted.
	failed() []Lit
}

// Limits bound the work of a Solver.
type Limits struct {
	Solves int // questions to the engine; 0: no limit
	// Remaining is asked before each question for the time left, in the sense
	// of time.Duration as nanoseconds; nil: no limit.
	Remaining func() int64
}

// Solver collects constraints and answers questions about them. It is used by
// one goroutine.
type Solver struct {
	engine  engine
	vars    Lit
	groups  []Lit  // the literal that switches a group on
	model   []bool // the last model found, by variable
	settled bool   // the groups hold for good: questions about cores are over
}

// New returns an empty solver.
func New(limits Limits) *Solver {
	return &Solver{engine: newGini(limits)}
}

// Var returns a new decision.
func (s *Solver) Var() Lit {
	s.vars++
	return s.vars
}

// Group returns a new name for constraints that belong together.
func (s *Solver) Group() Group {
	s.groups = append(s.groups, s.Var())
	return Group(len(s.groups) - 1)
}

// Clause demands that at least one of the literals holds.
func (s *Solver) Clause(g Group, lits ...Lit) {
	clause := append([]Lit{-s.groups[g]}, lits...)
	s.engine.add(clause)
}

// AtMostOne demands that no two of the literals hold. It uses a counter, so
// that the number of clauses grows with the number of literals.
func (s *Solver) AtMostOne(g Group, lits ...Lit) {
	if len(lits) < 6 {
		for i, a := range lits {
			for _, b := range lits[:i] {
				s.Clause(g, -a, -b)
			}
		}
		return
	}
	before := lits[0] // holds if one of the literals so far does
	for _, l := range lits[1:] {
		s.Clause(g, -before, -l)
		next := s.Var()
		s.Clause(g, -before, next)
		s.Clause(g, -l, next)
		before = next
	}
}

// Solve reports whether all constraints can be met together.
func (s *Solver) Solve() (bool, error) {
	sat, err := s.engine.solve(s.groups)
	if err == nil && sat {
		s.remember()
	}
	return sat, err
}

// First returns the position of the first option that is possible together
// with the constraints and everything that First chose before, and chooses it;
// -1 if none is. Solve must have been true.
func (s *Solver) First(options []Lit) (int, error) {
	s.settle()
	for i, o := range options {
		possible := s.holds(o)
		if !possible {
			sat, err := s.engine.solve([]Lit{o})
			if err != nil {
				return -1, err
			}
			if possible = sat; possible {
				s.remember()
			}
		}
		if possible {
			s.engine.add([]Lit{o})
			return i, nil
		}
		s.engine.add([]Lit{-o})
	}
	return -1, nil
}

// Core returns constraints that cannot be met together, sorted, none of which
// can be left out. Solve must have been false.
func (s *Solver) Core() ([]Group, error) {
	core := s.engine.failed()
	for i := 0; i < len(core); {
		rest := slices.Delete(slices.Clone(core), i, i+1)
		sat, err := s.engine.solve(rest)
		if err != nil {
			return nil, err
		}
		if sat {
			i++
			continue
		}
		// What the engine did not need goes too; what was found necessary
		// before stays necessary in any part that cannot be met.
		core = s.engine.failed()
	}
	groups := make([]Group, len(core))
	for i, l := range core {
		groups[i] = Group(slices.Index(s.groups, l))
	}
	return groups, nil
}

// settle makes the groups hold for good, so that later questions are short.
func (s *Solver) settle() {
	if s.settled {
		return
	}
	s.settled = true
	for _, l := range s.groups {
		s.engine.add([]Lit{l})
	}
}

// holds is what a literal is in the last model.
func (s *Solver) holds(l Lit) bool {
	if l < 0 {
		return !s.model[-l]
	}
	return s.model[l]
}

func (s *Solver) remember() {
	s.model = slices.Grow(s.model[:0], int(s.vars)+1)[:s.vars+1]
	for v := Lit(1); v <= s.vars; v++ {
		s.model[v] = s.engine.value(v)
	}
}
