package solver

import (
	"slices"
	"time"

	"github.com/go-air/gini"
	"github.com/go-air/gini/z"
)

// giniEngine is the engine on github.com/go-air/gini.
type giniEngine struct {
	gini   *gini.Gini
	limits Limits
	solves int
	why    []z.Lit
}

func newGini(limits Limits) *giniEngine {
	return &giniEngine{gini: gini.NewVc(64, 64), limits: limits}
}

func (e *giniEngine) add(clause []Lit) {
	for _, l := range clause {
		e.gini.Add(toGini(l))
	}
	e.gini.Add(z.LitNull)
}

func (e *giniEngine) solve(assume []Lit) (bool, error) {
	e.solves++
	if e.limits.Solves > 0 && e.solves > e.limits.Solves {
		return false, ErrExhausted
	}
	for _, l := range assume {
		e.gini.Assume(toGini(l))
	}
	var result int
	if e.limits.Remaining == nil {
		result = e.gini.Solve()
	} else {
		result = e.gini.Try(time.Duration(e.limits.Remaining()))
	}
	if result == 0 {
		return false, ErrExhausted
	}
	return result == 1, nil
}

func (e *giniEngine) value(l Lit) bool { return e.gini.Value(toGini(l)) }

func (e *giniEngine) failed() []Lit {
	e.why = e.gini.Why(e.why[:0])
	lits := make([]Lit, len(e.why))
	for i, l := range e.why {
		lits[i] = fromGini(l)
	}
	slices.Sort(lits)
	return lits
}

func toGini(l Lit) z.Lit {
	if l < 0 {
		return z.Var(-l).Neg()
	}
	return z.Var(l).Pos()
}

func fromGini(l z.Lit) Lit {
	v := Lit(l.Var())
	if l.IsPos() {
		return v
	}
	return -v
}
