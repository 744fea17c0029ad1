package controller_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"chandler.dev/olm/examples/database/api/v1alpha1"
	"chandler.dev/olm/examples/database/controller"
)

var key = client.ObjectKey{Namespace: "shop", Name: "orders"}

// stage is one database with the operator that looks after it.
type stage struct {
	*testing.T
	client  client.Client
	members controller.Members
	release controller.Release
	writes  int
}

func newStage(t *testing.T, members controller.Members, spec v1alpha1.ProductionReadyDatabaseSpec) *stage {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	s := &stage{T: t, members: members, release: controller.Release{Version: "1.0.0", Engine: "3.6.8", Image: "database:1.0.0"}}
	db := &v1alpha1.ProductionReadyDatabase{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: "u-1", Generation: 1}, Spec: spec,
	}
	s.client = fake.NewClientBuilder().WithScheme(scheme).WithReturnManagedFields().
		WithObjects(db).WithStatusSubresource(db, &appsv1.StatefulSet{}).
		WithInterceptorFuncs(interceptor.Funcs{
			Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
				s.writes++
				return c.Apply(ctx, o, opts...)
			},
			Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
				s.writes++
				return c.Patch(ctx, o, p, opts...)
			},
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				s.writes++
				return c.SubResource(sub).Patch(ctx, o, p, opts...)
			},
		}).Build()
	return s
}

func (s *stage) database() *v1alpha1.ProductionReadyDatabase {
	s.Helper()
	var db v1alpha1.ProductionReadyDatabase
	if err := s.client.Get(s.Context(), key, &db); err != nil {
		s.Fatal(err)
	}
	return &db
}

func (s *stage) set() *appsv1.StatefulSet {
	s.Helper()
	var set appsv1.StatefulSet
	if err := s.client.Get(s.Context(), client.ObjectKey{Namespace: key.Namespace, Name: key.Name}, &set); err != nil {
		s.Fatal(err)
	}
	return &set
}

// edit changes the spec of the database as its author.
func (s *stage) edit(change func(*v1alpha1.ProductionReadyDatabaseSpec)) {
	s.Helper()
	db := s.database()
	change(&db.Spec)
	if err := s.client.Update(s.Context(), db); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) reconcile() {
	s.Helper()
	r := controller.New(s.client, events.NewFakeRecorder(100), s.members, s.release)
	if _, err := r.Reconcile(s.Context(), s.database()); err != nil {
		s.Fatal(err)
	}
}

// pods makes all pods ready, as nodes do.
func (s *stage) pods() {
	s.Helper()
	var sets appsv1.StatefulSetList
	if err := s.client.List(s.Context(), &sets); err != nil {
		s.Fatal(err)
	}
	for _, set := range sets.Items {
		n := *set.Spec.Replicas
		set.Status = appsv1.StatefulSetStatus{
			ObservedGeneration: set.Generation, Replicas: n, ReadyReplicas: n, UpdatedReplicas: n,
		}
		if err := s.client.Status().Update(s.Context(), &set); err != nil {
			s.Fatal(err)
		}
	}
}

// settle reconciles until nothing is written, with pods that become ready at
// once, and returns the sizes that it went through.
func (s *stage) settle() (sizes []int32) {
	s.Helper()
	for range 40 {
		before := s.writes
		s.reconcile()
		if s.writes == before {
			return sizes
		}
		if db := s.database(); len(sizes) == 0 || sizes[len(sizes)-1] != db.Status.Members {
			sizes = append(sizes, db.Status.Members)
		}
		s.pods()
	}
	s.Fatalf("still writing after 40 reconciles, phase %q", s.database().Status.Phase)
	return nil
}

// cluster is an etcd cluster whose members follow the pods of a stage.
type cluster struct {
	stage   *stage
	removed []uint64
	err     error // of List
	refusal error // of Remove
}

func (c *cluster) List(ctx context.Context, _ []string) (members []controller.Member, err error) {
	for role, name := range map[controller.Role]string{controller.Voter: key.Name, controller.Reader: key.Name + "-read"} {
		var set appsv1.StatefulSet
		err := c.stage.client.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: name}, &set)
		if apierrors.IsNotFound(err) {
			continue
		}
		for i := range *set.Spec.Replicas {
			id := uint64(i) + 1
			if role == controller.Reader {
				id += 100
			}
			members = append(members, controller.Member{ID: id, Role: role, Ordinal: i, Learner: role == controller.Reader})
		}
	}
	return members, c.err
}

func (c *cluster) Remove(_ context.Context, _ []string, id uint64) error {
	if c.refusal != nil {
		return c.refusal
	}
	c.removed = append(c.removed, id)
	return nil
}

func TestDatabaseGrowsAndShrinks(t *testing.T) {
	c := &cluster{}
	s := newStage(t, c, v1alpha1.ProductionReadyDatabaseSpec{ClusterSize: 3, ReadReplicas: 1})
	c.stage = s
	if diff := cmp.Diff([]int32{0, 1, 2, 3}, s.settle()); diff != "" {
		t.Errorf("sizes while growing (-want +got):\n%s", diff)
	}
	db := s.database()
	if db.Status.Phase != v1alpha1.PhaseRunning || db.Status.Version != "3.6.8" || db.Status.ReadyMembers != 3 || db.Status.ReadyReadReplicas != 1 {
		t.Errorf("status after growing: %+v", db.Status)
	}
	if !meta.IsStatusConditionTrue(db.Status.Conditions, v1alpha1.ConditionReady) {
		t.Errorf("Ready is not true: %+v", db.Status.Conditions)
	}
	s.edit(func(spec *v1alpha1.ProductionReadyDatabaseSpec) { spec.ClusterSize, spec.ReadReplicas = 1, 0 })
	if diff := cmp.Diff([]int32{3, 2, 1}, s.settle()); diff != "" {
		t.Errorf("sizes while shrinking (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]uint64{3, 2, 101}, c.removed); diff != "" {
		t.Errorf("members removed from etcd (-want +got):\n%s", diff)
	}
}

func TestSilentMembersStopTheGrowth(t *testing.T) {
	c := &cluster{err: errors.New("connection refused")}
	s := newStage(t, c, v1alpha1.ProductionReadyDatabaseSpec{ClusterSize: 3})
	c.stage = s
	s.settle()
	db := s.database()
	ready := meta.FindStatusCondition(db.Status.Conditions, v1alpha1.ConditionReady)
	if db.Status.Members != 1 || ready == nil || ready.Message != "the pods are ready but no member answers" {
		t.Errorf("members %d, Ready %+v", db.Status.Members, ready)
	}
}

func TestMemberThatEtcdKeepsKeepsItsPod(t *testing.T) {
	c := &cluster{}
	s := newStage(t, c, v1alpha1.ProductionReadyDatabaseSpec{ClusterSize: 3})
	c.stage = s
	s.settle()
	c.refusal = errors.New("etcdserver: unhealthy cluster")
	s.edit(func(spec *v1alpha1.ProductionReadyDatabaseSpec) { spec.ClusterSize = 1 })
	s.settle()
	db := s.database()
	ready := meta.FindStatusCondition(db.Status.Conditions, v1alpha1.ConditionReady)
	want := "etcd does not let a member go until all others were connected for some seconds"
	if db.Status.Members != 3 || ready == nil || ready.Message != want {
		t.Errorf("members %d, Ready %+v", db.Status.Members, ready)
	}
	c.refusal = nil
	s.settle()
	if got := s.database().Status.Members; got != 1 {
		t.Errorf("%d members after etcd agreed, want 1", got)
	}
}

func TestFirstMemberFoundsOnlyWhileItIsAlone(t *testing.T) {
	s := newStage(t, nil, v1alpha1.ProductionReadyDatabaseSpec{ClusterSize: 1})
	state := func() string {
		var settings corev1.ConfigMap
		if err := s.client.Get(s.Context(), client.ObjectKey{Namespace: key.Namespace, Name: "orders-members"}, &settings); err != nil {
			t.Fatal(err)
		}
		return settings.Data["initial-cluster-state"]
	}
	s.settle()
	if got := state(); got != "new" {
		t.Errorf("state of one member is %q, want new", got)
	}
	s.edit(func(spec *v1alpha1.ProductionReadyDatabaseSpec) { spec.ReadReplicas = 1 })
	s.settle()
	if got := state(); got != "existing" {
		t.Errorf("state with a read replica is %q, want existing", got)
	}
}

func TestNewReleaseRestartsNoMember(t *testing.T) {
	tests := map[string]struct {
		release   controller.Release
		wantImage string
	}{
		"with the same etcd the pods keep their image": {
			release: controller.Release{Version: "2.0.0", Engine: "3.6.8", Image: "database:2.0.0"}, wantImage: "database:1.0.0",
		},
		"with another etcd the pods are replaced": {
			release: controller.Release{Version: "2.0.0", Engine: "3.7.0", Image: "database:2.0.0"}, wantImage: "database:2.0.0",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, nil, v1alpha1.ProductionReadyDatabaseSpec{ClusterSize: 3})
			s.settle()
			s.release = test.release
			s.settle()
			if got := s.set().Spec.Template.Spec.Containers[0].Image; got != test.wantImage {
				t.Errorf("image is %q, want %q", got, test.wantImage)
			}
			if got := s.database().Status; got.OperatorVersion != "2.0.0" || got.Version != test.release.Engine {
				t.Errorf("status is %+v", got)
			}
		})
	}
}

func TestUnknownVersionIsRefused(t *testing.T) {
	s := newStage(t, nil, v1alpha1.ProductionReadyDatabaseSpec{ClusterSize: 3, Version: "3.5.0"})
	s.settle()
	db := s.database()
	ready := meta.FindStatusCondition(db.Status.Conditions, v1alpha1.ConditionReady)
	want := "this release of the operator runs etcd 3.6.8, not 3.5.0: ask for that version or leave it empty"
	if db.Status.Phase != v1alpha1.PhaseRefused || ready == nil || ready.Message != want {
		t.Errorf("phase %q, Ready %+v", db.Status.Phase, ready)
	}
	if err := s.client.Get(t.Context(), key, &appsv1.StatefulSet{}); !apierrors.IsNotFound(err) {
		t.Errorf("a StatefulSet was made for a refused database: %v", err)
	}
}

func TestStorage(t *testing.T) {
	size := resource.MustParse("10Gi")
	s := newStage(t, nil, v1alpha1.ProductionReadyDatabaseSpec{ClusterSize: 1, Storage: &v1alpha1.Storage{Size: size}})
	s.settle()
	limit := s.set().Spec.Template.Spec.Volumes[0].EmptyDir.SizeLimit
	if limit == nil || limit.Cmp(size) != 0 {
		t.Errorf("room on the node is %v, want %v", limit, size)
	}
	s.edit(func(spec *v1alpha1.ProductionReadyDatabaseSpec) { spec.Storage = nil })
	s.settle()
	if limit := s.set().Spec.Template.Spec.Volumes[0].EmptyDir.SizeLimit; limit != nil {
		t.Errorf("room on the node is still limited to %v", limit)
	}

	s = newStage(t, nil, v1alpha1.ProductionReadyDatabaseSpec{ClusterSize: 1, Storage: &v1alpha1.Storage{Size: size, ClassName: "fast"}})
	s.settle()
	set := s.set()
	if claims := set.Spec.VolumeClaimTemplates; len(claims) != 1 || *claims[0].Spec.StorageClassName != "fast" || len(set.Spec.Template.Spec.Volumes) != 0 {
		t.Errorf("claims are %+v, volumes %+v", claims, set.Spec.Template.Spec.Volumes)
	}
}

func TestDriftIsRepaired(t *testing.T) {
	s := newStage(t, nil, v1alpha1.ProductionReadyDatabaseSpec{ClusterSize: 1})
	s.settle()
	var service corev1.Service
	if err := s.client.Get(t.Context(), key, &service); err != nil {
		t.Fatal(err)
	}
	service.Spec.Selector = map[string]string{"app": "other"}
	if err := s.client.Update(t.Context(), &service); err != nil {
		t.Fatal(err)
	}
	s.settle()
	if err := s.client.Get(t.Context(), key, &service); err != nil {
		t.Fatal(err)
	}
	if service.Spec.Selector["database.example.com/role"] != "voter" {
		t.Errorf("selector is still %v", service.Spec.Selector)
	}
}

func TestForeignStatefulSetIsLeftAlone(t *testing.T) {
	s := newStage(t, nil, v1alpha1.ProductionReadyDatabaseSpec{ClusterSize: 1})
	foreign := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	if err := s.client.Create(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	s.reconcile() // adds the finalizer
	r := controller.New(s.client, events.NewFakeRecorder(1), nil, s.release)
	if _, err := r.Reconcile(t.Context(), s.database()); err == nil {
		t.Error("no error about a StatefulSet of somebody else")
	}
	if owners := s.set().OwnerReferences; len(owners) != 0 {
		t.Errorf("the StatefulSet was taken over: %v", owners)
	}
}

func TestDeletion(t *testing.T) {
	s := newStage(t, nil, v1alpha1.ProductionReadyDatabaseSpec{ClusterSize: 1, ReadReplicas: 1})
	s.settle()
	if !slices.Contains(s.database().Finalizers, controller.Finalizer) {
		t.Fatal("no finalizer")
	}
	if err := s.client.Delete(t.Context(), s.database()); err != nil {
		t.Fatal(err)
	}
	s.reconcile() // read replicas
	if got := s.database().Status.Phase; got != v1alpha1.PhaseDeleting {
		t.Errorf("phase is %q, want %q", got, v1alpha1.PhaseDeleting)
	}
	s.set()       // still there
	s.reconcile() // members
	s.reconcile() // the object
	if err := s.client.Get(t.Context(), key, &v1alpha1.ProductionReadyDatabase{}); !apierrors.IsNotFound(err) {
		t.Errorf("the database is still there: %v", err)
	}
}
