package controller_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/examples/database/controller"
)

func group(replicas, ready int32) controller.Group {
	return controller.Group{Exists: true, Replicas: replicas, Ready: ready, Settled: replicas == ready}
}

// roll lists n voting members and m learners of the readers, with IDs from 1.
func roll(voters, readers int32) (members []controller.Member) {
	for i := range voters {
		members = append(members, controller.Member{ID: uint64(i) + 1, Role: controller.Voter, Ordinal: i})
	}
	for i := range readers {
		members = append(members, controller.Member{ID: uint64(i) + 101, Role: controller.Reader, Ordinal: i, Learner: true})
	}
	return members
}

func TestNext(t *testing.T) {
	three := controller.Wanted{Voters: 3}
	tests := map[string]struct {
		wanted controller.Wanted
		seen   controller.Observation
		want   controller.Action
	}{
		"a new database starts with one member": {
			wanted: three,
			want:   controller.Action{Verb: controller.Resize, Role: controller.Voter, Voters: 1, Reason: "the first member is started"},
		},
		"the second member waits for the first": {
			wanted: three, seen: controller.Observation{Attendance: controller.Unasked, Voters: group(1, 0)},
			want: controller.Action{Verb: controller.Hold, Voters: 1, Reason: "0 of 1 members are ready"},
		},
		"the second member follows the first": {
			wanted: three, seen: controller.Observation{Attendance: controller.Unasked, Voters: group(1, 1)},
			want: controller.Action{Verb: controller.Resize, Role: controller.Voter, Voters: 2, Reason: "the number of members becomes 2"},
		},
		"ready pods that do not answer are waited for": {
			wanted: three, seen: controller.Observation{Attendance: controller.Silent, Voters: group(1, 1)},
			want: controller.Action{Verb: controller.Hold, Voters: 1, Reason: "the pods are ready but no member answers"},
		},
		"a member that has not been promoted is waited for": {
			wanted: three,
			seen: controller.Observation{Attendance: controller.Answered, Voters: group(2, 2), Members: []controller.Member{
				{ID: 1, Role: controller.Voter}, {ID: 2, Role: controller.Voter, Ordinal: 1, Learner: true},
			}},
			want: controller.Action{Verb: controller.Hold, Voters: 2, Reason: "1 of 2 members have joined"},
		},
		"read replicas come after the members": {
			wanted: controller.Wanted{Voters: 3, Readers: 2},
			seen:   controller.Observation{Attendance: controller.Answered, Voters: group(3, 3), Members: roll(3, 0)},
			want: controller.Action{
				Verb: controller.Resize, Role: controller.Reader, Voters: 3, Readers: 1, Reason: "the number of read replicas becomes 1",
			},
		},
		"everything there is rest": {
			wanted: controller.Wanted{Voters: 3, Readers: 1},
			seen: controller.Observation{
				Attendance: controller.Answered, Voters: group(3, 3), Readers: group(1, 1), Members: roll(3, 1),
			},
			want: controller.Action{Verb: controller.Rest, Voters: 3, Readers: 1, Reason: "all members are ready"},
		},
		"a member leaves etcd before its pod goes": {
			wanted: three,
			seen:   controller.Observation{Attendance: controller.Answered, Voters: group(5, 5), Members: roll(5, 0)},
			want: controller.Action{
				Verb: controller.Resize, Role: controller.Voter, Voters: 4, Evict: 5, Reason: "the number of members becomes 4",
			},
		},
		"a pod whose member has left already goes": {
			wanted: three,
			seen:   controller.Observation{Attendance: controller.Answered, Voters: group(5, 5), Members: roll(4, 0)},
			want: controller.Action{
				Verb: controller.Resize, Role: controller.Voter, Voters: 4, Reason: "the number of members becomes 4",
			},
		},
		"a broken member can be removed while a majority is ready": {
			wanted: three,
			seen:   controller.Observation{Attendance: controller.Answered, Voters: group(4, 3), Members: roll(4, 0)},
			want: controller.Action{
				Verb: controller.Resize, Role: controller.Voter, Voters: 3, Evict: 4, Reason: "the number of members becomes 3",
			},
		},
		"without a majority no member is removed": {
			wanted: three,
			seen:   controller.Observation{Attendance: controller.Answered, Voters: group(5, 2), Members: roll(5, 0)},
			want: controller.Action{
				Verb: controller.Hold, Voters: 5, Reason: "2 of 5 members are ready, fewer than a majority: none can be removed",
			},
		},
		"without an answer no member is removed": {
			wanted: three, seen: controller.Observation{Attendance: controller.Silent, Voters: group(5, 5)},
			want: controller.Action{Verb: controller.Hold, Voters: 5, Reason: "no member answers, so none can be removed"},
		},
		"a member without a pod is removed": {
			wanted: three,
			seen:   controller.Observation{Attendance: controller.Answered, Voters: group(3, 2), Members: roll(4, 0)},
			want: controller.Action{
				Verb: controller.Hold, Voters: 3, Evict: 4, Reason: "a member without a pod is removed from etcd",
			},
		},
		"a restart at the right size is waited for": {
			wanted: three, seen: controller.Observation{Attendance: controller.Answered, Voters: group(3, 2), Members: roll(3, 0)},
			want: controller.Action{Verb: controller.Hold, Voters: 3, Reason: "2 of 3 members are ready"},
		},
		"pods that are being stopped are waited for": {
			wanted: three, seen: controller.Observation{Attendance: controller.Answered, Voters: group(3, 4), Members: roll(3, 0)},
			want: controller.Action{Verb: controller.Hold, Voters: 3, Reason: "members beyond 3 are being stopped"},
		},
		"a refused spec touches nothing": {
			wanted: controller.Wanted{Voters: 5, Refusal: "no such version"}, seen: controller.Observation{Voters: group(3, 3)},
			want: controller.Action{Verb: controller.Refuse, Reason: "no such version"},
		},
		"deletion stops read replicas first": {
			wanted: controller.Wanted{Deleting: true, Refusal: "no such version"},
			seen:   controller.Observation{Attendance: controller.Silent, Voters: group(3, 3), Readers: group(1, 1)},
			want:   controller.Action{Verb: controller.Remove, Role: controller.Reader, Reason: "the read replicas are stopped"},
		},
		"deletion then stops the members": {
			wanted: controller.Wanted{Deleting: true}, seen: controller.Observation{Attendance: controller.Silent, Voters: group(3, 0)},
			want: controller.Action{Verb: controller.Remove, Role: controller.Voter, Reason: "the members are stopped"},
		},
		"deletion ends when nothing is left": {
			wanted: controller.Wanted{Deleting: true}, seen: controller.Observation{Attendance: controller.Silent},
			want: controller.Action{Verb: controller.LetGo, Reason: "nothing is left to stop"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, controller.Next(test.wanted, test.seen)); diff != "" {
				t.Errorf("Next() (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNextChangesOneAtATime walks every pair of sizes with pods that become
// ready at once and members that follow their pods.
func TestNextChangesOneAtATime(t *testing.T) {
	for from := int32(1); from <= 7; from++ {
		for to := int32(1); to <= 7; to++ {
			size := from
			for steps := int32(0); ; steps++ {
				a := controller.Next(controller.Wanted{Voters: to}, controller.Observation{
					Attendance: controller.Answered, Voters: group(size, size), Members: roll(size, 0),
				})
				if a.Verb == controller.Rest {
					break
				}
				if moved := a.Voters - size; moved != 1 && moved != -1 || steps > 7 {
					t.Fatalf("from %d to %d: step %d goes from %d to %d", from, to, steps, size, a.Voters)
				}
				if shrinks := a.Voters < size; shrinks != (a.Evict == uint64(size)) {
					t.Fatalf("from %d to %d: going from %d to %d evicts member %d", from, to, size, a.Voters, a.Evict)
				}
				size = a.Voters
			}
			if size != to {
				t.Errorf("from %d: rests at %d, want %d", from, size, to)
			}
		}
	}
}
