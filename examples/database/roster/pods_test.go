package roster

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/examples/database/controller"
)

func TestMemberOf(t *testing.T) {
	tests := map[string]struct {
		entry   Entry
		want    controller.Member
		wantErr string
	}{
		"a voter": {
			entry: Entry{ID: 7, PeerURL: "http://orders-2.orders-members.shop.svc:2380"},
			want:  controller.Member{ID: 7, Role: controller.Voter, Ordinal: 2},
		},
		"a reader": {
			entry: Entry{ID: 7, PeerURL: "http://orders-read-10.orders-members.shop.svc:2380", Learner: true},
			want:  controller.Member{ID: 7, Role: controller.Reader, Ordinal: 10, Learner: true},
		},
		"a voter of a database that is called read": {
			entry: Entry{ID: 7, PeerURL: "http://orders-read-0.orders-read-members.shop.svc:2380"},
			want:  controller.Member{ID: 7, Role: controller.Voter},
		},
		"an address that is no pod": {
			entry:   Entry{ID: 7, PeerURL: "http://localhost:2380"},
			wantErr: `member 7 has the address "http://localhost:2380", which is not one of a pod`,
		},
		"a pod without ordinal": {
			entry:   Entry{ID: 7, PeerURL: "http://orders-x.orders-members.shop.svc:2380"},
			wantErr: `member 7 has the address "http://orders-x.orders-members.shop.svc:2380", which has no ordinal`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := memberOf(test.entry)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("memberOf() (-want +got):\n%s", diff)
			}
			if text := errText(err); text != test.wantErr {
				t.Errorf("error is %q, want %q", text, test.wantErr)
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
