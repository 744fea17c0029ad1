package kube_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"chandler.dev/olm/pkg/install/kube"
)

// newCluster returns a cluster of fakes and the number of writes that it saw.
func newCluster(t *testing.T, objects ...client.Object) (*kube.Cluster, *int) {
	t.Helper()
	writes := 0
	c := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(objects...).WithReturnManagedFields().
		WithInterceptorFuncs(interceptor.Funcs{
			Apply: func(ctx context.Context, c client.WithWatch, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
				writes++
				return c.Apply(ctx, obj, opts...)
			},
			Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
				writes++
				return c.Patch(ctx, obj, patch, opts...)
			},
		}).Build()
	return kube.New(c), &writes
}

func configMap(data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "ns", Labels: map[string]string{"olm.managed": "true"}}, Data: data}
}

func role(verbs ...string) *rbacv1.Role {
	return &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "r", Namespace: "ns"},
		Rules:      []rbacv1.PolicyRule{{Verbs: verbs, APIGroups: []string{""}, Resources: []string{"pods"}}},
	}
}

func service(ports ...int32) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "s", Namespace: "ns"}}
	for _, p := range ports {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: p})
	}
	return s
}

func deployment(images ...string) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "d", Namespace: "ns"}}
	d.Spec.Replicas = ptr.To[int32](1)
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
	d.Spec.Template.Labels = map[string]string{"a": "b"}
	for _, image := range images {
		d.Spec.Template.Spec.Containers = append(d.Spec.Template.Spec.Containers, corev1.Container{Name: image, Image: image, Env: []corev1.EnvVar{{Name: "E", Value: "1"}}})
	}
	return d
}

func TestEnsureWritesOnlyWhatDiffers(t *testing.T) {
	tests := map[string]struct {
		first, second client.Object
		meddle        func(context.Context, client.Client) error
		wantWritten   bool
	}{
		"the same config map":          {configMap(map[string]string{"a": "1"}), configMap(map[string]string{"a": "1"}), nil, false},
		"an added key":                 {configMap(map[string]string{"a": "1"}), configMap(map[string]string{"a": "1", "b": "2"}), nil, true},
		"a removed key":                {configMap(map[string]string{"a": "1", "b": "2"}), configMap(map[string]string{"a": "1"}), nil, true},
		"a changed value":              {configMap(map[string]string{"a": "1"}), configMap(map[string]string{"a": "2"}), nil, true},
		"the same role":                {role("get", "list"), role("get", "list"), nil, false},
		"a role with another verb":     {role("get", "list"), role("get", "watch"), nil, true},
		"a role with one verb less":    {role("get", "list"), role("get"), nil, true},
		"the same service":             {service(80, 443), service(80, 443), nil, false},
		"a service with one port less": {service(80, 443), service(80), nil, true},
		"the same deployment":          {deployment("x", "y"), deployment("x", "y"), nil, false},
		"a container less":             {deployment("x", "y"), deployment("x"), nil, true},
		"another's key beside ours": {
			configMap(map[string]string{"a": "1"}), configMap(map[string]string{"a": "1"}),
			func(ctx context.Context, c client.Client) error {
				return c.Patch(ctx, configMap(nil), client.RawPatch("application/merge-patch+json", []byte(`{"data":{"other":"x"},"metadata":{"labels":{"theirs":"x"}}}`)), client.FieldOwner("them"))
			}, false,
		},
		"our key changed by another": {
			configMap(map[string]string{"a": "1"}), configMap(map[string]string{"a": "1"}),
			func(ctx context.Context, c client.Client) error {
				return c.Patch(ctx, configMap(nil), client.RawPatch("application/merge-patch+json", []byte(`{"data":{"a":"x"}}`)), client.FieldOwner("them"))
			}, true,
		},
		"our label removed by another": {
			configMap(map[string]string{"a": "1"}), configMap(map[string]string{"a": "1"}),
			func(ctx context.Context, c client.Client) error {
				return c.Patch(ctx, configMap(nil), client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"olm.managed":null}}}`)), client.FieldOwner("them"))
			}, true,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			cluster, writes := newCluster(t)
			first, err := cluster.Ensure(ctx, tt.first)
			if err != nil || !first.Created || !first.Written {
				t.Fatalf("Ensure() first = %+v, %v", first, err)
			}
			if tt.meddle != nil {
				if err := tt.meddle(ctx, cluster.Client()); err != nil {
					t.Fatal(err)
				}
			}
			*writes = 0
			second, err := cluster.Ensure(ctx, tt.second)
			if err != nil {
				t.Fatal(err)
			}
			if second.Written != tt.wantWritten || (*writes > 0) != tt.wantWritten || second.Created {
				t.Errorf("Ensure() second = written %v with %d writes, created %v; want written %v", second.Written, *writes, second.Created, tt.wantWritten)
			}
			again, err := cluster.Ensure(ctx, tt.second)
			if err != nil || again.Written {
				t.Errorf("Ensure() third = written %v, %v; want silence", again.Written, err)
			}
		})
	}
}

func TestEnsureKeepsOtherOwners(t *testing.T) {
	owned := func(uid string) *corev1.ServiceAccount {
		return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
			Name: "sa", Namespace: "ns",
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "operators.coreos.com/v1alpha1", Kind: "ClusterServiceVersion", Name: "csv-" + uid, UID: types.UID(uid)}},
		}}
	}
	cluster, _ := newCluster(t)
	for _, uid := range []string{"old", "new", "new", "old"} {
		if _, err := cluster.Ensure(t.Context(), owned(uid)); err != nil {
			t.Fatal(err)
		}
	}
	var got corev1.ServiceAccount
	if err := cluster.Client().Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "sa"}, &got); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, ref := range got.OwnerReferences {
		names[ref.Name] = true
	}
	if diff := cmp.Diff(map[string]bool{"csv-old": true, "csv-new": true}, names); diff != "" {
		t.Errorf("owners (-want +got)\n%s", diff)
	}
}

func TestEnsureAdoptsWhatV0Made(t *testing.T) {
	old := configMap(map[string]string{"a": "1", "gone": "x"})
	old.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: "catalog", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(`{"f:data":{".":{},"f:a":{},"f:gone":{}},"f:metadata":{"f:labels":{".":{},"f:olm.managed":{}}}}`),
	}}
	cluster, writes := newCluster(t, old)
	if _, err := cluster.Ensure(t.Context(), configMap(map[string]string{"a": "1", "gone": "x"})); err != nil || *writes != 0 {
		t.Fatalf("Ensure() of what v0 made = %v with %d writes, want none", err, *writes)
	}
	if _, err := cluster.Ensure(t.Context(), configMap(map[string]string{"a": "2"})); err != nil {
		t.Fatal(err)
	}
	var got corev1.ConfigMap
	if err := cluster.Client().Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "c"}, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"a": "2"}, got.Data); diff != "" {
		t.Errorf("data (-want +got)\n%s", diff)
	}
}
