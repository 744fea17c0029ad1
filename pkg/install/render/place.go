package render

import (
	"encoding/base64"
	"maps"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"chandler.dev/olm/pkg/failure"
)

// Placement says where, and for which operator, an object of a plan is made.
type Placement struct {
	Plan       string // name of the InstallPlan
	Namespace  string // of the plan; namespaced objects go there whatever they say
	Namespaced bool   // whether the object's kind is
	Operator   string // name of the ClusterServiceVersion that needs the object
	Package    string // of that; empty if it is not known
	// UIDs of the ClusterServiceVersions of the namespace that the object
	// refers to, by name. One that is not in it does not exist.
	UIDs map[string]types.UID
}

// Place completes an object of a plan: its namespace, the mark of what the
// lifecycle made, and what ties it to its operator. It fails with
// failure.NotFound if the object refers to a ClusterServiceVersion as its
// owner that does not exist.
func Place(u *unstructured.Unstructured, p Placement) error {
	addLabels(u, map[string]string{LabelManaged: "true"})
	if p.Package != "" && u.GetKind() != KindSubscription {
		addLabels(u, map[string]string{ComponentPrefix + ComponentName(p.Package, p.Namespace): ""})
	}
	if err := refreshOwners(u, p.UIDs); err != nil {
		return err
	}
	if !p.Namespaced {
		u.SetNamespace("")
		u.SetOwnerReferences(nil)
		tieClusterScoped(u, p)
		return nil
	}
	u.SetNamespace(p.Namespace)
	switch u.GetKind() {
	case KindCSV:
	case KindSubscription:
		annotations := maps.Clone(u.GetAnnotations())
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[AnnotationGeneratedBy] = p.Plan
		u.SetAnnotations(annotations)
	default:
		addOwner(u, p)
	}
	if u.GroupVersionKind().Group == "" {
		normalize(u)
	}
	return nil
}

// normalize writes what the API server would make of some manifests, so that
// they can be compared with what is there.
func normalize(u *unstructured.Unstructured) {
	switch u.GetKind() {
	case KindSecret:
		encodeStringData(u)
	case "Service":
		ports, _, _ := unstructured.NestedSlice(u.Object, "spec", "ports")
		changed := false
		for _, p := range ports {
			port, ok := p.(map[string]any)
			if ok && (port["targetPort"] == int64(0) || port["targetPort"] == "") {
				delete(port, "targetPort")
				changed = true
			}
		}
		if changed {
			_ = unstructured.SetNestedSlice(u.Object, ports, "spec", "ports") // its parents were just read
		}
	}
}

// ReferredOperators returns the names of the ClusterServiceVersions that Place
// needs to know the UIDs of.
func ReferredOperators(u *unstructured.Unstructured, operator string) []string {
	names := []string{}
	if operator != "" {
		names = append(names, operator)
	}
	for _, ref := range u.GetOwnerReferences() {
		if ref.Kind == KindCSV && !slices.Contains(names, ref.Name) {
			names = append(names, ref.Name)
		}
	}
	return names
}

// refreshOwners gives references to ClusterServiceVersions the UIDs of this
// cluster and drops references that cannot be resolved on another one.
func refreshOwners(u *unstructured.Unstructured, uids map[string]types.UID) error {
	var refs []metav1.OwnerReference
	for _, ref := range u.GetOwnerReferences() {
		if ref.Kind == KindCSV {
			uid, ok := uids[ref.Name]
			if !ok {
				return failure.New(failure.NotFound, "%s %q is owned by ClusterServiceVersion %q, which does not exist", u.GetKind(), u.GetName(), ref.Name).
					WithHint("create it, or remove the owner reference")
			}
			ref.UID = uid
		}
		if ref.UID != "" {
			refs = append(refs, ref)
		}
	}
	u.SetOwnerReferences(refs)
	return nil
}

func addOwner(u *unstructured.Unstructured, p Placement) {
	uid, ok := p.UIDs[p.Operator]
	refs := u.GetOwnerReferences()
	if !ok || slices.ContainsFunc(refs, func(r metav1.OwnerReference) bool { return r.UID == uid }) {
		return
	}
	u.SetOwnerReferences(append(refs, metav1.OwnerReference{
		APIVersion: v1alpha1.ClusterServiceVersionAPIVersion, Kind: KindCSV, Name: p.Operator, UID: uid,
		Controller: new(false), BlockOwnerDeletion: new(false),
	}))
}

// tieClusterScoped labels what no owner reference can tie to a namespace.
// Roles that a bundle brings have the same name in every namespace and are
// shared; the namespace is not part of their labels.
func tieClusterScoped(u *unstructured.Unstructured, p Placement) {
	if p.Operator == "" || u.GetLabels()[LabelOwner] != "" {
		return
	}
	if u.GroupVersionKind().Group == rbacv1.GroupName {
		addLabels(u, map[string]string{LabelOwner: p.Operator})
		return
	}
	addLabels(u, Owner{Kind: KindCSV, Namespace: p.Namespace, Name: p.Operator}.Labels())
}

func addLabels(u *unstructured.Unstructured, labels map[string]string) {
	all := maps.Clone(u.GetLabels())
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, labels)
	u.SetLabels(all)
}

// encodeStringData does what the API server does with stringData, so that a
// Secret can be compared with what is there.
func encodeStringData(u *unstructured.Unstructured) {
	text, found, err := unstructured.NestedStringMap(u.Object, "stringData")
	if err != nil || !found {
		return
	}
	data, _, err := unstructured.NestedStringMap(u.Object, "data")
	if err != nil {
		return
	}
	if data == nil {
		data = map[string]string{}
	}
	for k, v := range text {
		data[k] = base64.StdEncoding.EncodeToString([]byte(v))
	}
	unstructured.RemoveNestedField(u.Object, "stringData")
	values := make(map[string]any, len(data))
	for k, v := range data {
		values[k] = v
	}
	u.Object["data"] = values
}
