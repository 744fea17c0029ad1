package subscription

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"chandler.dev/olm/pkg/controller/snapshot"
	"chandler.dev/olm/pkg/controller/subscription/inventory"
	"chandler.dev/olm/pkg/registry"
)

const ns = "db"

// world is a cluster with one namespace in which this controller is real and
// the others are played: plans are executed and versions become healthy, one
// step at a time, with a reconcile after each.
type world struct {
	t         *testing.T
	client    client.WithWatch
	cache     *laggingReader
	snapshots *snapshot.Cache
	contents  map[string]registry.Store
	inventory *inventory.Inventory
	clock     *clocktesting.FakeClock
	r         *Reconciler
	uids      int
	broken    map[string]bool // versions that never become healthy
	writes    []string        // "patch subscription db", …
	fetch     func(image string) (registry.Content, error)
	failAt    int // this write fails, the first being 1; 0: none does
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	w := &world{
		t: t, contents: map[string]registry.Store{}, broken: map[string]bool{}, inventory: inventory.New(nil),
		clock: clocktesting.NewFakeClock(time.Unix(1_000_000, 0)),
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), operatorsv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	w.client = fake.NewClientBuilder().WithScheme(scheme).
		WithStatusSubresource(&v1alpha1.Subscription{}, &v1alpha1.InstallPlan{}, &v1alpha1.ClusterServiceVersion{}, &v1alpha1.CatalogSource{}).
		WithInterceptorFuncs(interceptor.Funcs{Create: w.create}).Build()
	var err error
	w.snapshots, err = snapshot.New(snapshot.Options{Dir: t.TempDir(), Clock: w.clock, Fetch: func(_ context.Context, _ types.NamespacedName, image string) (registry.Content, error) {
		return w.fetch(image)
	}, Open: func(_ context.Context, path string) (snapshot.Store, error) {
		key, err := os.ReadFile(path)
		return openStore{w.contents[string(key)]}, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.restart()
	for _, o := range objects {
		w.make(o)
	}
	return w
}

type openStore struct{ registry.Store }

func (openStore) Close() error { return nil }

// create gives objects what an API server would.
func (w *world) create(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
	w.uids++
	obj.SetUID(types.UID("uid-" + strconv.Itoa(w.uids)))
	obj.SetCreationTimestamp(metav1.NewTime(w.clock.Now()))
	if plan, ok := obj.(*v1alpha1.InstallPlan); ok {
		plan.Status = v1alpha1.InstallPlanStatus{}
	}
	return c.Create(ctx, obj, opts...)
}

// restart begins with an empty memory.
func (w *world) restart() {
	counted := interceptor.NewClient(w.client, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			return w.write("create", obj, func() error { return c.Create(ctx, obj, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
			return w.write("delete", obj, func() error { return c.Delete(ctx, obj, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			return w.write("patch", obj, func() error { return c.Patch(ctx, obj, patch, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			return w.write(sub, obj, func() error { return c.SubResource(sub).Patch(ctx, obj, patch, opts...) })
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			return w.cache.List(ctx, list, opts...)
		},
	})
	w.cache = &laggingReader{Reader: w.client}
	w.r = New(Options{
		Client: counted, Cached: w.client, Live: w.client, Snapshots: w.snapshots, GlobalNamespace: "olm",
		KubeVersion: func() string { return "1.36.3" }, Inventory: w.inventory, Clock: w.clock,
	})
}

func (w *world) write(verb string, obj client.Object, do func() error) error {
	kind := strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", obj), "*v1alpha1."))
	w.writes = append(w.writes, verb+" "+kind)
	if w.failAt == len(w.writes) {
		return errors.New("the API server is gone")
	}
	return do()
}

// laggingReader is a cache that is one reconcile behind if it lags.
type laggingReader struct {
	client.Reader
	lags   bool
	frozen map[string]client.ObjectList
}

func (l *laggingReader) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	key := fmt.Sprintf("%T", list)
	old := l.frozen[key]
	fresh, _ := list.DeepCopyObject().(client.ObjectList)
	if err := l.Reader.List(ctx, fresh, opts...); err != nil {
		return err
	}
	if l.frozen == nil {
		l.frozen = map[string]client.ObjectList{}
	}
	l.frozen[key], _ = fresh.DeepCopyObject().(client.ObjectList)
	if l.lags && old != nil {
		fresh = old
	}
	reflect.ValueOf(list).Elem().Set(reflect.ValueOf(fresh).Elem())
	return nil
}

func (w *world) make(obj client.Object) {
	w.t.Helper()
	status := obj.DeepCopyObject()
	if err := w.client.Create(w.t.Context(), obj); err != nil {
		w.t.Fatal(err)
	}
	withStatus, _ := status.(client.Object)
	withStatus.SetResourceVersion(obj.GetResourceVersion())
	withStatus.SetUID(obj.GetUID())
	if err := client.IgnoreNotFound(w.client.Status().Update(w.t.Context(), withStatus)); err != nil {
		w.t.Fatal(err)
	}
}

// reconcile looks at the namespace once, as one event would make it.
func (w *world) reconcile() error {
	w.t.Helper()
	w.clock.Step(time.Second)
	_, err := w.r.Reconcile(w.t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: ns}})
	return err
}

// settle plays the cluster until nothing is left to do.
func (w *world) settle() {
	w.t.Helper()
	quiet := 0
	for range 200 {
		before := len(w.writes)
		if err := w.reconcile(); err != nil && w.failAt == 0 {
			w.t.Fatal(err)
		}
		if !w.play() && len(w.writes) == before {
			quiet++
		} else {
			quiet = 0
		}
		if quiet == 2 && !w.cache.lags || quiet == 3 {
			return
		}
	}
	w.t.Fatalf("the cluster does not settle; the last writes were %v", w.writes[len(w.writes)-10:])
}

// play does one step of the other controllers and reports whether it did any.
func (w *world) play() bool {
	for _, plan := range w.plans() {
		if plan.Spec.Approved && len(plan.Status.Plan) > 0 && w.execute(&plan) {
			return true
		}
	}
	csvs := w.csvs()
	for i := range csvs {
		if w.advance(&csvs[i], csvs) {
			return true
		}
	}
	return false
}

// execute does the next step of a plan.
func (w *world) execute(plan *v1alpha1.InstallPlan) bool {
	switch plan.Status.Phase {
	case v1alpha1.InstallPlanPhaseRequiresApproval:
		plan.Status.Phase = v1alpha1.InstallPlanPhaseInstalling
		w.setStatus(plan)
		return true
	case v1alpha1.InstallPlanPhaseInstalling:
	default:
		return false
	}
	for _, lookup := range plan.Status.BundleLookups {
		if w.csv(lookup.Identifier) == nil {
			w.make(csvOf(lookup.Identifier, lookup.Replaces, lookup.Properties))
			return true
		}
	}
	for _, step := range plan.Status.Plan {
		if step.Resource.Kind != v1alpha1.SubscriptionKind || w.sub(step.Resource.Name) != nil {
			continue
		}
		sub := &v1alpha1.Subscription{}
		if err := json.Unmarshal([]byte(step.Resource.Manifest), sub); err != nil {
			w.t.Fatal(err)
		}
		sub.Annotations = map[string]string{generatedBy: plan.Name}
		w.make(sub)
		return true
	}
	plan.Status.Phase = v1alpha1.InstallPlanPhaseComplete
	w.setStatus(plan)
	return true
}

func csvOf(name, replaces, properties string) *v1alpha1.ClusterServiceVersion {
	csv := &v1alpha1.ClusterServiceVersion{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
	csv.Spec.Replaces = replaces
	if properties != "" {
		csv.Annotations = map[string]string{propertiesAnnotation: properties}
	}
	return csv
}

// advance moves a version through its phases.
func (w *world) advance(csv *v1alpha1.ClusterServiceVersion, all []v1alpha1.ClusterServiceVersion) bool {
	for _, other := range all {
		if other.Spec.Replaces == csv.Name && other.Status.Phase == v1alpha1.CSVPhaseSucceeded {
			if err := w.client.Delete(w.t.Context(), csv); err != nil {
				w.t.Fatal(err)
			}
			return true
		}
	}
	next := map[v1alpha1.ClusterServiceVersionPhase]v1alpha1.ClusterServiceVersionPhase{
		"": v1alpha1.CSVPhaseInstalling, v1alpha1.CSVPhaseInstalling: v1alpha1.CSVPhaseSucceeded,
	}[csv.Status.Phase]
	if next == v1alpha1.CSVPhaseSucceeded && w.broken[csv.Name] {
		next, csv.Status.Message = v1alpha1.CSVPhaseFailed, "install timeout"
	}
	if next == "" {
		return false
	}
	csv.Status.Phase = next
	w.setStatus(csv)
	return true
}

func (w *world) setStatus(obj client.Object) {
	w.t.Helper()
	if err := w.client.Status().Update(w.t.Context(), obj); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) plans() []v1alpha1.InstallPlan {
	w.t.Helper()
	var list v1alpha1.InstallPlanList
	if err := w.client.List(w.t.Context(), &list, client.InNamespace(ns)); err != nil {
		w.t.Fatal(err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.InstallPlan) int {
		return cmp.Or(cmp.Compare(a.Spec.Generation, b.Spec.Generation),
			slices.Compare(a.Spec.ClusterServiceVersionNames, b.Spec.ClusterServiceVersionNames))
	})
	return list.Items
}

func (w *world) csvs() []v1alpha1.ClusterServiceVersion {
	w.t.Helper()
	var list v1alpha1.ClusterServiceVersionList
	if err := w.client.List(w.t.Context(), &list, client.InNamespace(ns)); err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

func (w *world) csv(name string) *v1alpha1.ClusterServiceVersion {
	w.t.Helper()
	return get(w, name, &v1alpha1.ClusterServiceVersion{})
}

func (w *world) sub(name string) *v1alpha1.Subscription {
	w.t.Helper()
	return get(w, name, &v1alpha1.Subscription{})
}

func get[T client.Object](w *world, name string, obj T) T {
	w.t.Helper()
	var none T
	err := w.client.Get(w.t.Context(), client.ObjectKey{Namespace: ns, Name: name}, obj)
	if client.IgnoreNotFound(err) != nil {
		w.t.Fatal(err)
	}
	if err != nil {
		return none
	}
	return obj
}

// edit changes an object as a person would.
func edit[T client.Object](w *world, obj T, change func(T)) {
	w.t.Helper()
	before, _ := obj.DeepCopyObject().(T)
	change(obj)
	if err := w.client.Patch(w.t.Context(), obj, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
}

// remove deletes an object as a person would.
func (w *world) remove(obj client.Object) {
	w.t.Helper()
	if err := w.client.Delete(w.t.Context(), obj); err != nil {
		w.t.Fatal(err)
	}
}

// lines describes the namespace: what is installed, planned and subscribed.
func (w *world) lines() []string {
	w.t.Helper()
	var lines []string
	for _, csv := range w.csvs() {
		lines = append(lines, fmt.Sprintf("csv %s %s", csv.Name, csv.Status.Phase))
	}
	for _, plan := range w.plans() {
		lines = append(lines, fmt.Sprintf("plan %d %s %s", plan.Spec.Generation, strings.Join(plan.Spec.ClusterServiceVersionNames, "+"), plan.Status.Phase))
	}
	var subs v1alpha1.SubscriptionList
	if err := w.client.List(w.t.Context(), &subs, client.InNamespace(ns)); err != nil {
		w.t.Fatal(err)
	}
	for _, sub := range subs.Items {
		s := sub.Status
		lines = append(lines, fmt.Sprintf("sub %s %s current=%s installed=%s plan=%d", sub.Name, s.State, s.CurrentCSV, s.InstalledCSV, w.generation(s)))
	}
	return lines
}

func (w *world) generation(s v1alpha1.SubscriptionStatus) int {
	if s.InstallPlanRef == nil {
		return 0
	}
	for _, plan := range w.plans() {
		if plan.Name == s.InstallPlanRef.Name && plan.UID == s.InstallPlanRef.UID {
			return plan.Spec.Generation
		}
	}
	return -1
}
