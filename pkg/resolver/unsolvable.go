package resolver

// Unsolvable is why a component has no solution: a minimal set of true reasons.
type Unsolvable struct {
	Reasons []Reason
}

// Reason is one fact of an explanation.
type Reason struct {
	Subscription string // that it concerns; may be empty
	Text         string // one sentence, lower case, no full stop
	Cure         string // the change that would make the reason go away; may be empty
}
