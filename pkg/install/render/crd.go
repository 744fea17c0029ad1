package render

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/blang/semver/v4"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"

	"chandler.dev/olm/pkg/failure"
)

// AnnotationBroughtBy records on a CustomResourceDefinition which version of
// which package its spec comes from: "<package> <version>".
const AnnotationBroughtBy = "chandler.dev/brought-by"

// Bringer is the bundle that brings a CustomResourceDefinition.
type Bringer struct {
	Namespace string
	Operator  string // name of the ClusterServiceVersion
	Package   string // empty if it is not known
	Version   string // empty if it is not known
	// Converts says that the operator serves the conversion webhook, so that
	// the lifecycle writes spec.conversion when its pods are ready.
	Converts bool
}

// CRD reads the manifest of a CustomResourceDefinition, with the defaults that
// an API server sets. One of version v1beta1 becomes v1 without loss. Errors
// are failure.Invalid.
func CRD(m Manifest) (*apiextensionsv1.CustomResourceDefinition, error) {
	crd, err := readCRD(m)
	if err != nil {
		return nil, invalid(err, "CustomResourceDefinition %q is not valid: %s", m.Name, shorten(err))
	}
	if crd.Name != m.Name || crd.Spec.Group == "" || crd.Spec.Names.Plural == "" || crd.Spec.Names.Kind == "" {
		return nil, failure.New(failure.Invalid, "CustomResourceDefinition %q lacks its name, group, plural or kind", m.Name)
	}
	crd.Status = apiextensionsv1.CustomResourceDefinitionStatus{}
	crd.ObjectMeta = metav1.ObjectMeta{Name: crd.Name, Labels: crd.Labels, Annotations: crd.Annotations}
	apiextensionsv1.SetObjectDefaults_CustomResourceDefinition(crd)
	return crd, nil
}

func readCRD(m Manifest) (*apiextensionsv1.CustomResourceDefinition, error) {
	if m.IsBetaCRD() {
		return fromBeta(m.JSON)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	return crd, json.Unmarshal(m.JSON, crd)
}

// CRDHead is what a manifest says about a CustomResourceDefinition apart from
// its schemas, which make up nearly all of it.
type CRDHead struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     struct {
		Group string `json:"group"`
		Scope string `json:"scope"`
		Names struct {
			Kind string `json:"kind"`
		} `json:"names"`
		Versions []CRDVersion `json:"versions"`
		Version  string       `json:"version"` // of v1beta1, if there is only one
	} `json:"spec"`
}

// CRDVersion is a version of a kind.
type CRDVersion struct {
	Name string `json:"name"`
}

// HeadOf reads the manifest of a CustomResourceDefinition without its schemas.
func HeadOf(m Manifest) (CRDHead, error) {
	var head CRDHead
	if err := json.Unmarshal(m.JSON, &head); err != nil {
		return head, invalid(err, "CustomResourceDefinition %q is not valid: %s", m.Name, shorten(err))
	}
	if m.IsBetaCRD() && head.Spec.Scope == "" {
		head.Spec.Scope = string(apiextensionsv1.NamespaceScoped)
	}
	if m.IsBetaCRD() && len(head.Spec.Versions) == 0 && head.Spec.Version != "" {
		head.Spec.Versions = []CRDVersion{{Name: head.Spec.Version}}
	}
	return head, nil
}

// CRDChange is what a CustomResourceDefinition lacks besides its spec.
type CRDChange struct {
	Labels, Annotations map[string]string
}

// IsNothing reports whether the object is as it should be.
func (c CRDChange) IsNothing() bool { return len(c.Labels) == 0 && len(c.Annotations) == 0 }

// RecordCRD says which labels and annotations a CustomResourceDefinition
// lacks, whose spec is as the bundle by wants it or came from a newer version.
func RecordCRD(live, desired *metav1.ObjectMeta, by Bringer) CRDChange {
	labels, annotations := records(desired, by, func(string) bool { return true })
	if isOlder(annotations[AnnotationBroughtBy], live.Annotations[AnnotationBroughtBy]) {
		delete(annotations, AnnotationBroughtBy)
	}
	return CRDChange{Labels: missing(live.Labels, labels), Annotations: missing(live.Annotations, annotations)}
}

// records returns the labels and annotations of a CustomResourceDefinition
// that by brings. Operators that are not alive are not recorded.
func records(desired *metav1.ObjectMeta, by Bringer, alive func(string) bool) (labels, annotations map[string]string) {
	labels = union(desired.Labels, map[string]string{LabelManaged: "true"})
	annotations = map[string]string{}
	for k, v := range desired.Annotations {
		if !strings.HasPrefix(k, AlongsidePrefix) || alive(v) {
			annotations[k] = v
		}
	}
	annotations[AlongsideAnnotation(by.Namespace, by.Operator)] = by.Namespace + "/" + by.Operator
	if by.Package != "" {
		labels[ComponentPrefix+ComponentName(by.Package, by.Namespace)] = ""
	}
	if by.Package != "" && by.Version != "" {
		annotations[AnnotationBroughtBy] = by.Package + " " + by.Version
	}
	return labels, annotations
}

// NeedsSpec reports whether the spec of live has to be replaced by that of
// desired. A spec that a newer version of the same package brought is never
// taken back: operators of several versions, in several namespaces, share it.
func NeedsSpec(live, desired *apiextensionsv1.CustomResourceDefinition, by Bringer) bool {
	return live == nil || !KeepsNewer(live, by) && !sameSpec(live, desired, by)
}

// ReplaceCRD returns what is to be written if NeedsSpec: live, nil if there is
// none, with the spec of desired. alive tells which operator, as
// "<namespace>/<name>", still exists; records of others are dropped.
func ReplaceCRD(live, desired *apiextensionsv1.CustomResourceDefinition, by Bringer, alive func(string) bool) *apiextensionsv1.CustomResourceDefinition {
	labels, annotations := records(&desired.ObjectMeta, by, alive)
	if live == nil {
		out := desired.DeepCopy()
		out.Labels, out.Annotations = labels, annotations
		if by.Converts {
			out.Spec.Conversion = &apiextensionsv1.CustomResourceConversion{Strategy: apiextensionsv1.NoneConverter}
		}
		return out
	}
	out := live.DeepCopy()
	conversionSpec := out.Spec.Conversion
	out.Spec = *desired.Spec.DeepCopy()
	if by.Converts {
		out.Spec.Conversion = conversionSpec
	}
	for k, v := range out.Annotations {
		if strings.HasPrefix(k, AlongsidePrefix) && !alive(v) {
			delete(out.Annotations, k)
		}
	}
	out.Labels = union(out.Labels, labels)
	out.Annotations = union(out.Annotations, annotations)
	return out
}

// BridgeColumn is a printer column that only a bridge has, see BridgeCRD. An API
// server that shows it works with the bridge, and so stores objects in the
// version that the bridge names.
const BridgeColumn = "Stored Again"

// BridgeCRD returns what live has to become before versions that desired no
// longer has can go: desired stores the objects, the versions lost can still be
// read, and the version that stores has a BridgeColumn. It returns nil if live
// is that already.
func BridgeCRD(live, desired *apiextensionsv1.CustomResourceDefinition, lost []string, by Bringer) *apiextensionsv1.CustomResourceDefinition {
	want := desired.DeepCopy()
	for _, v := range live.Spec.Versions {
		if slices.Contains(lost, v.Name) {
			v.Storage = false
			want.Spec.Versions = append(want.Spec.Versions, *v.DeepCopy())
		}
	}
	for i := range want.Spec.Versions {
		if v := &want.Spec.Versions[i]; v.Storage {
			v.AdditionalPrinterColumns = append(v.AdditionalPrinterColumns, apiextensionsv1.CustomResourceColumnDefinition{
				Name: BridgeColumn, Type: "string", JSONPath: ".metadata.name", Priority: 1,
			})
		}
	}
	if sameSpec(live, want, by) {
		return nil
	}
	out := live.DeepCopy()
	conversionSpec := out.Spec.Conversion
	out.Spec = want.Spec
	if by.Converts {
		out.Spec.Conversion = conversionSpec
	}
	return out
}

// KeepsNewer reports whether the spec of live stays because a newer version of the same package brought it.
func KeepsNewer(live *apiextensionsv1.CustomResourceDefinition, by Bringer) bool {
	return live != nil && by.Package != "" && isOlder(by.Package+" "+by.Version, live.Annotations[AnnotationBroughtBy])
}

// isOlder reports whether a is an older version of the same package as b.
func isOlder(a, b string) bool {
	packageA, versionA, okA := strings.Cut(a, " ")
	packageB, versionB, okB := strings.Cut(b, " ")
	if !okA || !okB || packageA != packageB {
		return false
	}
	va, errA := semver.ParseTolerant(versionA)
	vb, errB := semver.ParseTolerant(versionB)
	return errA == nil && errB == nil && va.LT(vb)
}

func sameSpec(live, desired *apiextensionsv1.CustomResourceDefinition, by Bringer) bool {
	a, b := live.Spec, desired.Spec
	if by.Converts {
		a.Conversion, b.Conversion = nil, nil
	}
	return crdEqualities.DeepEqual(a, b)
}

// SameSchema reports whether two versions of a kind accept the same objects.
func SameSchema(a, b *apiextensionsv1.CustomResourceValidation) bool {
	return crdEqualities.DeepEqual(a, b)
}

// crdEqualities compare the JSON inside schemas by meaning: the API server
// keeps it with other white space and order.
var crdEqualities = conversion.EqualitiesOrDie(func(a, b apiextensionsv1.JSON) bool {
	if bytes.Equal(a.Raw, b.Raw) {
		return true
	}
	var va, vb any
	if json.Unmarshal(a.Raw, &va) != nil || json.Unmarshal(b.Raw, &vb) != nil {
		return false
	}
	return reflect.DeepEqual(va, vb)
})

// missing returns what of want have does not have.
func missing(have, want map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range want {
		if existing, ok := have[k]; !ok || existing != v {
			out[k] = v
		}
	}
	return out
}

func union(base, over map[string]string) map[string]string {
	out := maps.Clone(base)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, over)
	return out
}
