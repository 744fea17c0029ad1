package drift

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"
)

func manager(name, fields string, second int64) metav1.ManagedFieldsEntry {
	at := metav1.Unix(second, 0)
	return metav1.ManagedFieldsEntry{Manager: name, Operation: metav1.ManagedFieldsOperationUpdate, Time: &at, FieldsV1: metav1.NewFieldsV1(fields)}
}

func object(version string, edit func(*metav1.PartialObjectMetadata), managers ...metav1.ManagedFieldsEntry) *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: "o", ResourceVersion: version, Labels: map[string]string{"olm.managed": "true"}, ManagedFields: managers,
	}}
	if edit != nil {
		edit(m)
	}
	return m
}

func TestOthers(t *testing.T) {
	status := manager("controller", `{"f:status":{}}`, 1)
	status.Subresource = "status"
	m := object("1", nil,
		manager("chandler", `{"f:data":{"f:a":{}}}`, 1), manager("catalog", `{"f:data":{"f:b":{}}}`, 1),
		manager("editor", `{"f:data":{"f:c":{}}}`, 1), manager("labeler", `{"f:metadata":{"f:labels":{"f:x":{}}}}`, 1), status)
	if diff := cmp.Diff([]string{"editor"}, Others(m)); diff != "" {
		t.Errorf("Others() (-want +got)\n%s", diff)
	}
	if _, err := strip(m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"editor"}, Others(m)); diff != "" || len(m.ManagedFields) != 3 || m.ManagedFields[0].FieldsV1 != nil {
		t.Errorf("after strip: %v, Others() (-want +got)\n%s", m.ManagedFields, diff)
	}
}

func TestChanged(t *testing.T) {
	ours, later := manager("chandler", `{"f:data":{}}`, 1), manager("chandler", `{"f:data":{}}`, 2)
	generation := func(n int64) func(*metav1.PartialObjectMetadata) {
		return func(m *metav1.PartialObjectMetadata) { m.Generation = n }
	}
	tests := map[string]struct {
		before, after *metav1.PartialObjectMetadata
		want          bool
	}{
		"the same again":                      {object("1", nil, ours), object("1", nil, ours), false},
		"somebody wrote":                      {object("1", nil, ours), object("2", nil, ours), true},
		"the lifecycle wrote":                 {object("1", nil, ours), object("2", nil, later), false},
		"only the status changed":             {object("1", generation(1), ours), object("2", generation(1), ours), false},
		"the spec changed":                    {object("1", generation(1), ours), object("2", generation(2), ours), true},
		"a label changed":                     {object("1", generation(1), ours), object("2", func(m *metav1.PartialObjectMetadata) { m.Generation, m.Labels = 1, nil }, ours), true},
		"it is being deleted":                 {object("1", nil, ours), object("2", func(m *metav1.PartialObjectMetadata) { m.DeletionTimestamp = new(metav1.Now()) }, ours), false},
		"somebody wrote, the lifecycle never": {object("1", nil), object("2", nil), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := changed(tt.before, tt.after); got != tt.want {
				t.Errorf("changed() = %v, want %v", got, tt.want)
			}
		})
	}
}

// TestRest puts an object back whenever it may be, while others change it at
// once each time.
func TestRest(t *testing.T) {
	clock := testingclock.NewFakePassiveClock(time.Unix(1_700_000_000, 0))
	w := &Wounds{Clock: clock}
	plan, o := types.NamespacedName{Name: "p"}, Object{Kind: "ConfigMap", Name: "o"}
	var rests []time.Duration
	for range 12 {
		w.Mend(plan, o)
		rest := w.Rest(plan, o)
		rests = append(rests, rest)
		clock.SetTime(clock.Now().Add(rest))
	}
	s, m := time.Second, time.Minute
	if diff := cmp.Diff([]time.Duration{0, 0, 10 * s, 20 * s, 40 * s, 80 * s, 160 * s, 320 * s, 10 * m, 10 * m, 10 * m, 10 * m}, rests); diff != "" {
		t.Errorf("rests (-want +got)\n%s", diff)
	}
	if rest := w.Rest(plan, Object{Kind: "ConfigMap", Name: "other"}); rest != 0 {
		t.Errorf("another object has to wait %s", rest)
	}
	clock.SetTime(clock.Now().Add(21 * m))
	if w.Mend(plan, o); w.Rest(plan, o) != 0 {
		t.Errorf("after peace it has to wait %s", w.Rest(plan, o))
	}
}

func TestWounds(t *testing.T) {
	w := &Wounds{}
	plan, other := types.NamespacedName{Name: "p"}, types.NamespacedName{Name: "q"}
	a, b := Object{Kind: "ConfigMap", Name: "a"}, Object{Kind: "ConfigMap", Name: "b"}
	w.Add(plan, a)
	w.Add(plan, b, a)
	w.Add(other, a)
	if diff := cmp.Diff(map[Object]bool{a: true, b: true}, w.Take(plan)); diff != "" {
		t.Errorf("Take() (-want +got)\n%s", diff)
	}
	if again := w.Take(plan); len(again) > 0 {
		t.Errorf("taken twice: %v", again)
	}
	if w.Visited("u") {
		t.Error("visited before the visit")
	}
	if w.Visit("u"); !w.Visited("u") || w.Visited("v") {
		t.Error("the visit is not known, or one that was not made")
	}
}
