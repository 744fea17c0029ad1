package providedapi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"chandler.dev/olm/pkg/controller/providedapi"
	"chandler.dev/olm/pkg/failure"
)

var (
	ghost  = schema.GroupVersionKind{Group: "ghouls", Version: "v1alpha1", Kind: "Ghost"}
	goblin = schema.GroupVersionKind{Group: "ghouls", Version: "v1alpha1", Kind: "Goblin"}
)

func TestHashMatchesTheReference(t *testing.T) {
	for gvk, want := range map[schema.GroupVersionKind]string{ghost: "6435ab0d7c6bda64", goblin: "557c9f42470aa352"} {
		if got := providedapi.Hash(gvk); got != want {
			t.Errorf("Hash(%s) = %s, want %s", providedapi.Name(gvk), got, want)
		}
	}
}

func TestParseAndFormat(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"nothing":                         {"", ""},
		"sorted without spaces":           {"Goblin.v1alpha1.ghouls, Ghost.v1alpha1.ghouls", "Ghost.v1alpha1.ghouls,Goblin.v1alpha1.ghouls"},
		"what cannot be read is left out": {"Ghost.v1alpha1.ghouls,nonsense", "Ghost.v1alpha1.ghouls"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := providedapi.Format(providedapi.Parse(tt.in)); got != tt.want {
				t.Errorf("Format(Parse()) = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestOf(t *testing.T) {
	csv := &v1alpha1.ClusterServiceVersion{}
	csv.Spec.CustomResourceDefinitions.Owned = []v1alpha1.CRDDescription{{Name: "ghosts.ghouls", Version: "v1alpha1", Kind: "Ghost"}}
	csv.Spec.CustomResourceDefinitions.Required = []v1alpha1.CRDDescription{{Name: "others.ghouls", Version: "v1", Kind: "Other"}}
	csv.Spec.APIServiceDefinitions.Owned = []v1alpha1.APIServiceDescription{{Group: "ghouls", Version: "v1alpha1", Kind: "Goblin"}}
	got, err := providedapi.Of(csv)
	if diff := cmp.Diff(providedapi.Set{ghost: {}, goblin: {}}, got); err != nil || diff != "" {
		t.Errorf("Of() error %v (-want +got):\n%s", err, diff)
	}
	csv.Spec.CustomResourceDefinitions.Owned[0].Name = "ghosts"
	if _, err := providedapi.Of(csv); failure.KindOf(err) != failure.Invalid {
		t.Errorf("Of() of a CRD without group: %v, want Invalid", err)
	}
}

func TestDecide(t *testing.T) {
	one, none := providedapi.Set{ghost: {}}, providedapi.Set{}
	tests := map[string]struct {
		provided, own, others providedapi.Set
		want                  providedapi.Claim
	}{
		"claimed by its own group only":  {one, one, none, providedapi.Held},
		"nothing to provide":             {none, none, one, providedapi.Held},
		"claimed by nobody":              {one, none, none, providedapi.Add},
		"claimed by another":             {one, none, one, providedapi.Conflict},
		"claimed by both":                {one, one, one, providedapi.Remove},
		"another group has other kinds":  {one, one, providedapi.Set{goblin: {}}, providedapi.Held},
		"half claimed, half free":        {providedapi.Set{ghost: {}, goblin: {}}, one, none, providedapi.Add},
		"half claimed, half of another":  {providedapi.Set{ghost: {}, goblin: {}}, one, providedapi.Set{goblin: {}}, providedapi.Conflict},
		"its group has more than it has": {one, providedapi.Set{ghost: {}, goblin: {}}, none, providedapi.Held},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := providedapi.Decide(tt.provided, tt.own, tt.others); got != tt.want {
				t.Errorf("Decide() = %s, want %s", got, tt.want)
			}
		})
	}
}

func group(namespace, apis string, targets ...string) operatorsv1.OperatorGroup {
	return operatorsv1.OperatorGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "g", Annotations: map[string]string{providedapi.Annotation: apis}},
		Status:     operatorsv1.OperatorGroupStatus{Namespaces: targets},
	}
}

func TestOthers(t *testing.T) {
	const api = "Ghost.v1alpha1.ghouls"
	tests := map[string]struct {
		own, other operatorsv1.OperatorGroup
		want       providedapi.Set
	}{
		"its own claim does not count":            {group("a", api, "a"), group("a", api, "a"), providedapi.Set{}},
		"separate namespaces":                     {group("a", "", "a"), group("b", api, "b"), providedapi.Set{}},
		"a shared target":                         {group("a", "", "x"), group("b", api, "x"), providedapi.Set{ghost: {}}},
		"one targets the namespace of the other":  {group("a", "", "a"), group("b", api, "a"), providedapi.Set{ghost: {}}},
		"a group serves its own namespace too":    {group("a", "", "x"), group("b", api, "a"), providedapi.Set{ghost: {}}},
		"a global group meets every group":        {group("a", "", ""), group("b", api, "b"), providedapi.Set{ghost: {}}},
		"a group that selects nothing meets none": {group("a", "", ""), group("b", api), providedapi.Set{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := providedapi.Others(&tt.own, []operatorsv1.OperatorGroup{tt.own, tt.other})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Others() (-want +got):\n%s", diff)
			}
		})
	}
}
