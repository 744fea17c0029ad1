package resolver

// Unsolvable is why a component has no solution: a minimal set of true reasons.
type Unsolvable struct {
	Reasons []Reason // sorted by text; each true, none to spare
	Cures   []Cure   // changes that were tried and that solve the component; may be empty
	// Exhausted says that the limits ran out before there was an answer; then
	// Reasons holds the one sentence that says so.
	Exhausted bool
}

// Reason is one fact of an explanation.
type Reason struct {
	Subscription string   // that it concerns; may be empty
	Text         string   // one sentence, lower case, no full stop
	Cure         string   // the change that would make the reason go away; may be empty
	Details      []string // what is offered instead, one clause each; may be empty
}

// Cure is a change that makes a component solvable.
type Cure struct {
	Text    string // one sentence, imperative, lower case, no full stop
	Changes []Change
}
