package member

import "chandler.dev/olm/examples/database/roster"

// Role is what a member is for.
type Role string

const (
	Voter  Role = "voter"  // joins as a learner and is promoted when it has caught up
	Reader Role = "reader" // stays a learner
)

// Sight is what a member sees before it starts.
type Sight struct {
	Role     Role
	First    bool   // it is the pod with ordinal 0
	State    string // "new" or "existing": whether a cluster may be founded
	PeerURL  string // its own
	HasData  bool
	Answered bool // a majority of a running cluster answered with its members
	Members  []roster.Entry
}

// Move is what a member does before it starts, or how it starts.
type Move string

const (
	Found   Move = "Found"   // start as the first member of a new cluster
	Resume  Move = "Resume"  // start with the data that are there
	Join    Move = "Join"    // start empty as the member that was added
	Add     Move = "Add"     // have itself added as a learner, and look again
	Replace Move = "Replace" // have the member removed whose data are lost, and look again
	Discard Move = "Discard" // delete data of a membership that ended, and look again
	Wait    Move = "Wait"    // look again
)

// Next chooses the move, and the member that Replace is about.
func Next(s Sight) (Move, uint64) {
	self, listed := listing(s)
	switch {
	case s.HasData && s.Answered && !listed:
		return Discard, 0
	case s.HasData:
		return Resume, 0
	case !s.Answered && s.Role == Voter && s.First && s.State == "new":
		return Found, 0
	case !s.Answered:
		return Wait, 0
	case !listed:
		return Add, 0
	case self.Name != "":
		return Replace, self.ID
	}
	return Join, 0
}

func listing(s Sight) (roster.Entry, bool) {
	for _, m := range s.Members {
		if m.PeerURL == s.PeerURL {
			return m, true
		}
	}
	return roster.Entry{}, false
}
