package controller

import "fmt"

// Role is what a group of members is for.
type Role string

const (
	Voter  Role = "voter"  // votes on every write
	Reader Role = "reader" // holds all data and answers serializable reads
)

// Group is what was observed of the pods of one role.
type Group struct {
	Exists   bool
	Replicas int32 // asked of the StatefulSet
	Ready    int32
	Settled  bool   // as many pods as asked for run the current template and are ready
	Image    string // of the pod template
	Engine   string // version of etcd in that image
}

// Member is a member of the etcd cluster.
type Member struct {
	ID      uint64
	Role    Role  // by the name of its pod
	Ordinal int32 // of its pod
	Learner bool
}

// Attendance says how the list of members was come by.
type Attendance string

const (
	Unasked  Attendance = "Unasked"  // nobody asks: the pods are simulated
	Silent   Attendance = "Silent"   // asked, and no member answered
	Answered Attendance = "Answered" // a member answered with the list
)

// Observation is the state of one database in the cluster.
type Observation struct {
	Voters     Group
	Readers    Group
	Attendance Attendance
	Members    []Member // when Answered
}

// Wanted is the state that its author asks for.
type Wanted struct {
	Voters   int32
	Readers  int32
	Deleting bool
	Refusal  string // why this release cannot do what the spec asks; empty if it can
}

// Verb is the kind of an action.
type Verb string

const (
	Hold   Verb = "Hold"   // keep the objects as they are counted, and wait for Reason
	Rest   Verb = "Rest"   // keep the objects as they are counted: everything is there
	Resize Verb = "Resize" // change one count by one
	Refuse Verb = "Refuse" // touch nothing
	Remove Verb = "Remove" // delete the StatefulSet of Role
	LetGo  Verb = "LetGo"  // let go of the database object
)

// Action is the one next thing to do.
type Action struct {
	Verb    Verb
	Role    Role   // of Resize and Remove
	Voters  int32  // pods that there shall be, for Hold, Rest and Resize
	Readers int32  // likewise
	Evict   uint64 // member to remove from etcd before anything else; 0 is none
	Reason  string // a sentence for the author of the database
}

// Next decides what to do next. One member comes or goes at a time: a member
// is added when all others are ready, and removed from etcd before its pod.
func Next(w Wanted, o Observation) Action {
	switch {
	case w.Deleting:
		return nextOfDeletion(o)
	case w.Refusal != "":
		return Action{Verb: Refuse, Reason: w.Refusal}
	case !o.Voters.Exists:
		return Action{Verb: Resize, Role: Voter, Voters: 1, Reason: "the first member is started"}
	}
	keep := Action{Verb: Hold, Voters: o.Voters.Replicas, Readers: o.Readers.Replicas}
	if id := stray(o); id != 0 {
		keep.Evict, keep.Reason = id, "a member without a pod is removed from etcd"
		return keep
	}
	if o.Voters.Replicas != w.Voters {
		return nextOfGroup(keep, o, o.Voters, w.Voters, Voter)
	}
	if why := unsettled(o, o.Voters, Voter); why != "" {
		keep.Reason = why
		return keep
	}
	if o.Readers.Replicas != w.Readers {
		return nextOfGroup(keep, o, o.Readers, w.Readers, Reader)
	}
	if why := unsettled(o, o.Readers, Reader); why != "" {
		keep.Reason = why
		return keep
	}
	keep.Verb, keep.Reason = Rest, "all members are ready"
	return keep
}

// nextOfDeletion stops read replicas before members, so that none of them
// outlives the cluster that it copies.
func nextOfDeletion(o Observation) Action {
	switch {
	case o.Readers.Exists:
		return Action{Verb: Remove, Role: Reader, Reason: "the read replicas are stopped"}
	case o.Voters.Exists:
		return Action{Verb: Remove, Role: Voter, Reason: "the members are stopped"}
	}
	return Action{Verb: LetGo, Reason: "nothing is left to stop"}
}

// nextOfGroup moves one group by one towards its size.
func nextOfGroup(keep Action, o Observation, g Group, size int32, role Role) Action {
	if g.Replicas < size {
		if why := unsettled(o, g, role); why != "" {
			keep.Reason = why
			return keep
		}
		return resized(keep, role, g.Replicas+1)
	}
	if o.Attendance == Silent {
		keep.Reason = "no member answers, so none can be removed"
		return keep
	}
	if role == Voter && g.Ready < majority(g.Replicas) {
		keep.Reason = fmt.Sprintf("%d of %d members are ready, fewer than a majority: none can be removed", g.Ready, g.Replicas)
		return keep
	}
	action := resized(keep, role, g.Replicas-1)
	for _, m := range o.Members {
		if m.Role == role && m.Ordinal == g.Replicas-1 {
			action.Evict = m.ID
		}
	}
	return action
}

func resized(keep Action, role Role, size int32) Action {
	keep.Verb, keep.Role = Resize, role
	if role == Voter {
		keep.Voters = size
		keep.Reason = fmt.Sprintf("the number of members becomes %d", size)
		return keep
	}
	keep.Readers = size
	keep.Reason = fmt.Sprintf("the number of read replicas becomes %d", size)
	return keep
}

// unsettled says what a group still waits for; empty if nothing.
func unsettled(o Observation, g Group, role Role) string {
	noun := "members"
	if role == Reader {
		noun = "read replicas"
	}
	if g.Ready > g.Replicas {
		return fmt.Sprintf("%s beyond %d are being stopped", noun, g.Replicas)
	}
	if g.Replicas > 0 && !g.Settled {
		return fmt.Sprintf("%d of %d %s are ready", g.Ready, g.Replicas, noun)
	}
	if o.Attendance == Silent {
		return "the pods are ready but no member answers"
	}
	if o.Attendance == Unasked {
		return ""
	}
	var joined int32
	for _, m := range o.Members {
		if m.Role == role && m.Learner == (role == Reader) {
			joined++
		}
	}
	if joined < g.Replicas {
		return fmt.Sprintf("%d of %d %s have joined", joined, g.Replicas, noun)
	}
	return ""
}

// stray finds a member whose pod is not wanted any more, 0 if there is none.
func stray(o Observation) uint64 {
	for _, m := range o.Members {
		if m.Role == Voter && m.Ordinal >= o.Voters.Replicas || m.Role == Reader && m.Ordinal >= o.Readers.Replicas {
			return m.ID
		}
	}
	return 0
}

func majority(n int32) int32 { return n/2 + 1 }
