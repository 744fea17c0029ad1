package member_test

import (
	"testing"

	"chandler.dev/olm/examples/database/member"
	"chandler.dev/olm/examples/database/roster"
)

func TestNext(t *testing.T) {
	const self = "http://orders-0.orders-members.shop.svc:2380"
	other := roster.Entry{ID: 2, Name: "orders-1", PeerURL: "http://orders-1.orders-members.shop.svc:2380"}
	started := roster.Entry{ID: 1, Name: "orders-0", PeerURL: self}
	added := roster.Entry{ID: 3, PeerURL: self, Learner: true}
	tests := map[string]struct {
		sight  member.Sight
		want   member.Move
		wantID uint64
	}{
		"the first pod of a new database founds the cluster": {
			sight: member.Sight{Role: member.Voter, First: true, State: "new"}, want: member.Found,
		},
		"the first pod without its data founds no second cluster": {
			sight: member.Sight{Role: member.Voter, First: true, State: "existing"}, want: member.Wait,
		},
		"a later pod waits for the first": {
			sight: member.Sight{Role: member.Voter, State: "new"}, want: member.Wait,
		},
		"a reader founds nothing": {
			sight: member.Sight{Role: member.Reader, First: true, State: "new"}, want: member.Wait,
		},
		"an empty pod that nobody knows has itself added": {
			sight: member.Sight{Role: member.Voter, State: "existing", Answered: true, Members: []roster.Entry{other}}, want: member.Add,
		},
		"an empty pod that was added joins": {
			sight: member.Sight{Role: member.Voter, State: "existing", Answered: true, Members: []roster.Entry{other, added}}, want: member.Join,
		},
		"an empty pod whose member had data is replaced": {
			sight: member.Sight{Role: member.Voter, First: true, State: "existing", Answered: true, Members: []roster.Entry{other, started}},
			want:  member.Replace, wantID: 1,
		},
		"a pod with data resumes when nobody answers": {
			sight: member.Sight{Role: member.Voter, First: true, State: "new", HasData: true}, want: member.Resume,
		},
		"a pod with data resumes when it is listed": {
			sight: member.Sight{Role: member.Voter, State: "existing", HasData: true, Answered: true, Members: []roster.Entry{other, started}},
			want:  member.Resume,
		},
		"a pod whose membership ended discards its data": {
			sight: member.Sight{Role: member.Voter, State: "existing", HasData: true, Answered: true, Members: []roster.Entry{other}},
			want:  member.Discard,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.sight.PeerURL = self
			move, id := member.Next(test.sight)
			if move != test.want || id != test.wantID {
				t.Errorf("Next() = %s, %d, want %s, %d", move, id, test.want, test.wantID)
			}
		})
	}
}
