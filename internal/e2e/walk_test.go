package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
)

// hopPatience is how long one install or upgrade may take beside all others.
const hopPatience = 5 * time.Minute

// sample is a custom resource that was made of an example in a bundle.
type sample struct {
	key  client.ObjectKey
	spec string
	obj  *unstructured.Unstructured
}

// walk installs the first release of a path and upgrades it along the path. A
// release that is refused ends the way there; it goes on with the next.
func (s *stack) walk(t *testing.T, p published, path []int, results *table) {
	t.Helper()
	for len(path) > 0 {
		walked := s.walkUntilRefused(t, p, path, results)
		path = path[walked:]
	}
}

// walkUntilRefused returns how many releases of the path need no further try.
func (s *stack) walkUntilRefused(t *testing.T, p published, path []int, results *table) int {
	t.Helper()
	ns := s.Namespace(t, "every")
	s.group(t, ns, targets(ns, p, path)...)
	first := p.releases[path[0]]
	definitions := s.definitions(t)
	key := s.subscribe(t, wish{ns: ns, pkg: p.pkg, channel: only(first), catalog: "every"})
	defer s.leave(t, ns, definitions)
	start := time.Now()
	if reason := s.outcome(t, key, first.name); reason != "" {
		s.checkNoVersion(t, ns)
		checkReason(t, first, reason)
		results.add(t, "%-48s refused    %s", first.name, reason)
		return 1
	}
	results.add(t, "%-48s Succeeded  installed in %.1fs", first.name, time.Since(start).Seconds())
	samples := s.makeSamples(t, ns, first)
	for i := 1; i < len(path); i++ {
		from, to := p.releases[path[i-1]], p.releases[path[i]]
		how := p.edge(path[i-1], path[i])
		start := time.Now()
		s.turn(t, key, hop(from, to))
		if reason := s.outcome(t, key, to.name); reason != "" {
			checkReason(t, to, reason)
			results.add(t, "%-48s refused    as upgrade of %s: %s", to.name, from.name, reason)
			return i
		}
		results.add(t, "%-48s Succeeded  upgraded from %s (%s) in %.1fs, %d custom resources kept", to.name, from.version, kindOfEdge(how), time.Since(start).Seconds(), len(samples))
		s.checkSamples(t, from.name+" -> "+to.name, samples)
	}
	return len(path)
}

func kindOfEdge(e edge) string {
	for _, kind := range []string{"replaces", "skips", "skipRange"} {
		if e.entry[kind] != nil {
			return kind
		}
	}
	return "?"
}

// targets are the namespaces of an OperatorGroup that every release of a path
// supports: its own if it may be, else all.
func targets(ns string, p published, path []int) []string {
	for _, i := range path {
		own := slices.ContainsFunc(p.releases[i].csv.Spec.InstallModes, func(m operatorsv1alpha1.InstallMode) bool {
			return m.Type == operatorsv1alpha1.InstallModeTypeOwnNamespace && m.Supported
		})
		if !own {
			return nil
		}
	}
	return []string{ns}
}

// checkReason fails if a release must not be refused, or not for that reason.
func checkReason(t testing.TB, r release, reason string) {
	t.Helper()
	for _, known := range unfit {
		if regexp.MustCompile(known.names).MatchString(r.name) && strings.Contains(reason, known.reason) {
			return
		}
	}
	t.Errorf("%s was refused: %s", r.name, reason)
}

// outcome waits until a Subscription has installed a version, or says why not.
func (s *stack) outcome(t testing.TB, key client.ObjectKey, csv string) (reason string) {
	t.Helper()
	testkit.Eventually(t, hopPatience, func(ctx context.Context) error {
		err := s.installed(ctx, key, csv)
		if err == nil {
			return nil
		}
		sub := &operatorsv1alpha1.Subscription{}
		if err := s.Client.Get(ctx, key, sub); err != nil {
			return err
		}
		for _, c := range sub.Status.Conditions {
			final := c.Type == operatorsv1alpha1.SubscriptionResolutionFailed || c.Type == operatorsv1alpha1.SubscriptionInstallPlanFailed
			if final && c.Status == "True" && c.Message != "" {
				reason = c.Message
				return nil
			}
		}
		return err
	})
	return reason
}

func (s *stack) turn(t testing.TB, key client.ObjectKey, channel string) {
	t.Helper()
	sub := &operatorsv1alpha1.Subscription{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	patch := fmt.Sprintf(`{"spec":{"channel":%q}}`, channel)
	if err := s.Client.Patch(t.Context(), sub, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// definitions are the names of all CustomResourceDefinitions.
func (s *stack) definitions(t testing.TB) map[string]bool {
	t.Helper()
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinitionList"))
	if err := s.Client.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, item := range list.Items {
		names[item.Name] = true
	}
	return names
}

// checkNoVersion fails if a refused plan made a version of an operator.
func (s *stack) checkNoVersion(t testing.TB, ns string) {
	t.Helper()
	csvs := &operatorsv1alpha1.ClusterServiceVersionList{}
	if err := s.Client.List(t.Context(), csvs, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	for _, csv := range csvs.Items {
		if !csv.IsCopied() {
			t.Errorf("a refused plan created ClusterServiceVersion %s", csv.Name)
		}
	}
}

// makeSamples makes a custom resource of each example in a bundle. Examples that
// their own definition does not accept are left out.
func (s *stack) makeSamples(t testing.TB, ns string, r release) (samples []sample) {
	t.Helper()
	var examples []map[string]any
	if text := r.csv.Annotations["alm-examples"]; text != "" {
		if err := json.Unmarshal([]byte(text), &examples); err != nil {
			t.Logf("%s has examples that are not JSON: %v", r.name, err)
		}
	}
	for i, example := range examples {
		obj := &unstructured.Unstructured{Object: example}
		obj.SetNamespace(ns)
		obj.SetName(fmt.Sprintf("sample-%s-%d", ns, i))
		if !r.csv.OwnsCRD(definitionOf(r, obj)) {
			continue
		}
		if err := s.Client.Create(t.Context(), obj); err != nil {
			if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || meta.IsNoMatchError(err) {
				continue
			}
			t.Errorf("%s: make %s: %v", r.name, obj.GetKind(), err)
			continue
		}
		samples = append(samples, sample{key: client.ObjectKeyFromObject(obj), spec: specOf(t, obj), obj: obj})
	}
	return samples
}

func definitionOf(r release, obj *unstructured.Unstructured) string {
	for _, d := range r.csv.Spec.CustomResourceDefinitions.Owned {
		if d.Kind == obj.GetKind() && strings.HasSuffix(d.Name, "."+obj.GroupVersionKind().Group) {
			return d.Name
		}
	}
	return ""
}

func specOf(t testing.TB, obj *unstructured.Unstructured) string {
	t.Helper()
	text, err := json.Marshal(obj.Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkSamples compares the custom resources with what they were. One whose
// version is gone is read in the version that the cluster prefers.
func (s *stack) checkSamples(t testing.TB, hop string, samples []sample) {
	t.Helper()
	for _, sm := range samples {
		got := &unstructured.Unstructured{}
		got.SetGroupVersionKind(sm.obj.GroupVersionKind())
		err := s.Client.Get(t.Context(), sm.key, got)
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			mapping, mapErr := s.Client.RESTMapper().RESTMapping(sm.obj.GroupVersionKind().GroupKind())
			if mapErr == nil {
				got.SetGroupVersionKind(mapping.GroupVersionKind)
				err = s.Client.Get(t.Context(), sm.key, got)
			}
		}
		if err != nil {
			t.Errorf("%s: %s %s: %v", hop, sm.obj.GetKind(), sm.key, err)
			continue
		}
		if spec := specOf(t, got); spec != sm.spec || got.GetUID() != sm.obj.GetUID() {
			t.Errorf("%s: the spec of %s %s was\n%s\nand is\n%s", hop, sm.obj.GetKind(), sm.key, sm.spec, spec)
		}
	}
}

// leave uninstalls what a path installed, so that the next one finds nothing.
func (s *stack) leave(t testing.TB, ns string, before map[string]bool) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if err := s.Client.DeleteAllOf(ctx, &operatorsv1alpha1.Subscription{}, client.InNamespace(ns)); err != nil {
		t.Error(err)
	}
	owned := map[string]bool{}
	testkit.Eventually(t, hopPatience, func(ctx context.Context) error {
		csvs := &operatorsv1alpha1.ClusterServiceVersionList{}
		if err := s.Client.List(ctx, csvs, client.InNamespace(ns)); err != nil {
			return err
		}
		left := 0
		for i := range csvs.Items {
			csv := &csvs.Items[i]
			if csv.IsCopied() {
				continue
			}
			left++
			for _, d := range csv.Spec.CustomResourceDefinitions.Owned {
				owned[d.Name] = true
			}
			if csv.DeletionTimestamp.IsZero() {
				_ = s.Client.Delete(ctx, csv) // seen the next time
			}
		}
		if left > 0 {
			return fmt.Errorf("%d versions are still in %s", left, ns)
		}
		return nil
	})
	for name := range owned {
		if before[name] {
			continue
		}
		crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := client.IgnoreNotFound(s.Client.Delete(ctx, crd)); err != nil {
			t.Error(err)
		}
		testkit.Eventually(t, hopPatience, func(ctx context.Context) error {
			if err := s.Client.Get(ctx, client.ObjectKeyFromObject(crd), crd); !apierrors.IsNotFound(err) {
				return fmt.Errorf("definition %s is still there: %w", name, err)
			}
			return nil
		})
	}
}
