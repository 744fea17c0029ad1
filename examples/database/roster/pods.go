package roster

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"chandler.dev/olm/examples/database/controller"
)

// Pods lists and removes members as the controller knows them: by their pods.
type Pods struct{}

var _ controller.Members = Pods{}

func (Pods) List(ctx context.Context, addresses []string) ([]controller.Member, error) {
	entries, err := List(ctx, addresses)
	if err != nil {
		return nil, err
	}
	var members []controller.Member
	for _, e := range entries {
		m, err := memberOf(e)
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}

func (Pods) Remove(ctx context.Context, addresses []string, id uint64) error {
	return Remove(ctx, addresses, id)
}

// memberOf reads the pod of a member out of its address, which is
// http://<set>-<ordinal>.<database>-members.<namespace>.svc:<port>; the set of
// readers is <database>-read.
func memberOf(e Entry) (controller.Member, error) {
	u, err := url.Parse(e.PeerURL)
	if err != nil {
		return controller.Member{}, err
	}
	labels := strings.SplitN(u.Hostname(), ".", 3)
	dash := strings.LastIndex(labels[0], "-")
	if len(labels) < 3 || dash < 0 {
		return controller.Member{}, fmt.Errorf("member %x has the address %q, which is not one of a pod", e.ID, e.PeerURL)
	}
	ordinal, err := strconv.ParseInt(labels[0][dash+1:], 10, 32)
	if err != nil {
		return controller.Member{}, fmt.Errorf("member %x has the address %q, which has no ordinal", e.ID, e.PeerURL)
	}
	m := controller.Member{ID: e.ID, Role: controller.Voter, Ordinal: int32(ordinal), Learner: e.Learner}
	if labels[0][:dash] == strings.TrimSuffix(labels[1], "-members")+"-read" {
		m.Role = controller.Reader
	}
	return m, nil
}
