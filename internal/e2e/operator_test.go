package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
)

// TestOperatorObject follows what belongs to an operator from its installation
// through an upgrade, and to what somebody adds by hand.
func TestOperatorObject(t *testing.T) {
	t.Parallel()
	bundles := testkit.Data(t, "bundles")
	s := startStack(t)
	s.catalogSource(t, "components", serve(t, bundleSubset(t, bundles, "etcd")))
	ns := s.Namespace(t, "components")
	s.group(t, ns, ns)
	key := s.subscribe(t, wish{ns: ns, pkg: "etcd", channel: etcdChannel, start: etcdFirst, catalog: "components"})
	s.waitInstalled(t, key, etcdSecond)
	name := "etcd." + ns
	want := []string{
		"ClusterServiceVersion " + etcdSecond,
		"CustomResourceDefinition etcdbackups.etcd.database.coreos.com",
		"CustomResourceDefinition etcdclusters.etcd.database.coreos.com",
		"CustomResourceDefinition etcdrestores.etcd.database.coreos.com",
		"Deployment etcd-operator",
		"OperatorCondition " + etcdSecond,
		"ServiceAccount etcd-operator",
		"Subscription etcd",
	}
	s.waitComponents(t, name, want)

	space := &corev1.Namespace{}
	if err := s.Client.Get(t.Context(), client.ObjectKey{Name: ns}, space); err != nil {
		t.Fatal(err)
	}
	before := space.DeepCopy()
	metav1.SetMetaDataLabel(&space.ObjectMeta, "operators.coreos.com/"+name, "")
	if err := s.Client.Patch(t.Context(), space, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	want = append(want, "Namespace "+ns)
	slices.Sort(want)
	s.waitComponents(t, name, want)

	if err := s.Client.Delete(t.Context(), &operatorsv1.Operator{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		t.Fatal(err)
	}
	s.waitComponents(t, name, want) // it comes back while it has components
}

// waitComponents waits until the status of an Operator refers to these
// objects; kinds whose names are made up are left out.
func (s *stack) waitComponents(t testing.TB, name string, want []string) {
	t.Helper()
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		operator := &operatorsv1.Operator{}
		if err := s.Client.Get(ctx, client.ObjectKey{Name: name}, operator); err != nil {
			return err
		}
		if operator.Status.Components == nil {
			return errNotYet
		}
		var got []string
		plans := 0
		for _, ref := range operator.Status.Components.Refs {
			switch ref.Kind {
			case "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Secret":
			case "InstallPlan":
				plans++
			default:
				got = append(got, ref.Kind+" "+ref.Name)
			}
			if ref.Kind == "ClusterServiceVersion" && (len(ref.Conditions) != 1 || ref.Conditions[0].Type != "Succeeded") {
				return fmt.Errorf("%s has conditions %+v", ref.Name, ref.Conditions)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || plans != 1 {
			return fmt.Errorf("%d plans, want 1; components (-want +got):\n%s", plans, diff)
		}
		return nil
	})
}
