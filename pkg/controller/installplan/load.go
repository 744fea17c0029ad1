package installplan

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/step"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install"
	"chandler.dev/olm/pkg/install/render"
	"chandler.dev/olm/pkg/registry"
)

// item is a step of the plan with its manifest.
type item struct {
	manifest   render.Manifest
	operator   string // name of the ClusterServiceVersion that needs it
	namespaced bool
	resource   string                     // plural name of its kind; empty if the plan itself brings the kind
	desired    *unstructured.Unstructured // for all but CustomResourceDefinitions; placed when observed
	live       *unstructured.Unstructured

	// For CustomResourceDefinitions, as they were observed.
	digest    string // of the manifest
	needsSpec bool
	change    *crdChange // if it has to be written and was kept
}

// operator is what a plan knows of a ClusterServiceVersion that it brings.
type operator struct {
	pkg, version string
	converts     map[string]bool // names of CustomResourceDefinitions
}

// source is what a step's manifest may be instead of an object: a reference
// of ours or one that v0 writes.
type source struct {
	install.ContentRef

	Name                   string `json:"name"`
	Namespace              string `json:"namespace"`
	CatalogSourceName      string `json:"catalogSourceName"`
	CatalogSourceNamespace string `json:"catalogSourceNamespace"`
	Replaces               string `json:"replaces"`
	Properties             string `json:"properties"`
}

func (s source) isContent() bool { return s.Kind == install.ContentRefKind }

func (s source) isUnpacked() bool {
	return s.Kind == "ConfigMap" && s.Name != "" && s.Namespace != "" && s.CatalogSourceName != "" && s.CatalogSourceNamespace != ""
}

// load finds the manifests of all steps.
func (r *Reconciler) load(ctx context.Context, s *scope) (step.Outcome, error) {
	rendered := map[string]map[string]render.Manifest{}
	for _, st := range s.plan.Status.Plan {
		m, err := r.manifestOf(ctx, s, st, rendered)
		if err != nil {
			return step.Stop(), err
		}
		it := item{manifest: m, operator: st.Resolving}
		s.items = append(s.items, it)
		s.steps.Steps = append(s.steps.Steps, install.Step{Object: fmt.Sprintf("%s %q", m.Kind, m.Name), Phase: phaseOf(m)})
		if m.Kind == render.KindCSV {
			if err := s.learn(m, packageOf(st)); err != nil {
				return step.Stop(), err
			}
		}
	}
	return step.Continue(), nil
}

func phaseOf(m render.Manifest) install.Phase {
	switch m.Kind {
	case render.KindCRD:
		return install.PhaseAPIs
	case render.KindCSV:
		return install.PhaseOperators
	default:
		return install.PhaseObjects
	}
}

// manifestOf returns the manifest of a step. What a reference leads to is
// rendered once and kept in rendered.
func (r *Reconciler) manifestOf(ctx context.Context, s *scope, st *v1alpha1.Step, rendered map[string]map[string]render.Manifest) (render.Manifest, error) {
	raw := st.Resource.Manifest
	var src source
	if err := json.Unmarshal([]byte(raw), &src); err != nil || !src.isContent() && !src.isUnpacked() {
		return inline(st)
	}
	manifests, known := rendered[raw]
	if !known {
		var err error
		if manifests, err = r.render(ctx, s.plan, src); err != nil {
			return render.Manifest{}, err
		}
		rendered[raw] = manifests
	}
	res := st.Resource
	m, ok := manifests[render.Manifest{Group: res.Group, Version: res.Version, Kind: res.Kind, Name: res.Name}.Identity()]
	if !ok {
		return render.Manifest{}, failure.New(failure.Invalid, "the bundle of %q has no %s %q, which the plan names", st.Resolving, res.Kind, res.Name).
			WithHint("delete the plan; a new one is made")
	}
	return m, nil
}

// inline is a step that carries its object.
func inline(st *v1alpha1.Step) (render.Manifest, error) {
	m, err := render.ParseManifest([]byte(st.Resource.Manifest))
	if err != nil {
		return render.Manifest{}, fmt.Errorf("%s %q: %w", st.Resource.Kind, st.Resource.Name, err)
	}
	if st.Resource.Kind == render.KindBundleSecret && m.Kind == render.KindSecret {
		m.Kind = render.KindBundleSecret
	}
	return m, nil
}

func (r *Reconciler) render(ctx context.Context, plan *v1alpha1.InstallPlan, src source) (map[string]render.Manifest, error) {
	lookup := v1alpha1.BundleLookup{Replaces: src.Replaces, Properties: src.Properties}
	var content registry.Content
	var err error
	if src.isContent() {
		lookup = lookupOf(plan, src.Bundle)
		content, err = r.content(ctx, src.ContentRef)
	} else {
		content, err = r.unpacked(ctx, src)
	}
	if err != nil {
		return nil, err
	}
	list, err := render.Manifests(releaseOf(plan.Namespace, lookup, content))
	if err != nil {
		return nil, err
	}
	out := make(map[string]render.Manifest, len(list))
	for _, m := range list {
		out[m.Identity()] = m
	}
	return out, nil
}

func lookupOf(plan *v1alpha1.InstallPlan, bundle string) v1alpha1.BundleLookup {
	for _, l := range plan.Status.BundleLookups {
		if l.Identifier == bundle {
			return l
		}
	}
	return v1alpha1.BundleLookup{}
}

// content finds what was decided on and approved; nothing else is ever installed.
func (r *Reconciler) content(ctx context.Context, ref install.ContentRef) (registry.Content, error) {
	content, err := r.o.Contents.Content(ctx, ref)
	if failure.KindOf(err) == failure.NotFound {
		gone := failure.New(failure.NotFound, "catalog %q no longer has the content of %q that this plan was made from", ref.CatalogName, ref.Bundle).
			WithHint("delete the plan; a new one is made from what the catalog has now")
		gone.Err = err
		return registry.Content{}, &verdict{reason: ReasonContentChanged, err: gone}
	}
	if err != nil {
		return registry.Content{}, fmt.Errorf("bundle %q: %w", ref.Bundle, err)
	}
	if install.ContentDigest(content) != ref.Digest {
		return registry.Content{}, &verdict{
			reason: ReasonContentChanged,
			err: failure.New(failure.NotFound, "the content of %q in catalog %q changed after this plan was made", ref.Bundle, ref.CatalogName).
				WithHint("delete the plan; a new one is made from what the catalog has now"),
		}
	}
	return content, nil
}

// unpacked reads the ConfigMap into which v0 unpacked a bundle image.
func (r *Reconciler) unpacked(ctx context.Context, src source) (registry.Content, error) {
	u, err := r.o.Cluster.Get(ctx, corev1.SchemeGroupVersion.WithKind("ConfigMap"), client.ObjectKey{Namespace: src.Namespace, Name: src.Name})
	if err != nil {
		return registry.Content{}, err
	}
	if u == nil {
		return registry.Content{}, failure.New(failure.NotFound, "ConfigMap %q in namespace %q, which holds the bundle of this plan, is gone", src.Name, src.Namespace).
			WithHint("delete the plan; a new one is made")
	}
	return unpack(u)
}

// learn remembers what the manifest of a ClusterServiceVersion says about the
// CustomResourceDefinitions that come with it.
func (s *scope) learn(m render.Manifest, pkg string) error {
	var csv struct {
		Spec struct {
			Version     string `json:"version"`
			Definitions []struct {
				Type v1alpha1.WebhookAdmissionType `json:"type"`
				CRDs []string                      `json:"conversionCRDs"`
			} `json:"webhookdefinitions"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(m.JSON, &csv); err != nil {
		return failure.New(failure.Invalid, "ClusterServiceVersion %q is not valid", m.Name).WithHint("correct the manifest in the bundle")
	}
	o := operator{pkg: pkg, version: csv.Spec.Version, converts: map[string]bool{}}
	for _, d := range csv.Spec.Definitions {
		for _, crd := range d.CRDs {
			o.converts[crd] = d.Type == v1alpha1.ConversionWebhook
		}
	}
	s.bringers[m.Name] = o
	return nil
}

// packageOf returns the package of a step that refers to a catalog.
func packageOf(st *v1alpha1.Step) string {
	var ref install.ContentRef
	if json.Unmarshal([]byte(st.Resource.Manifest), &ref) != nil || ref.Kind != install.ContentRefKind {
		return ""
	}
	return ref.Package
}

// bringer is the operator of an item as its CustomResourceDefinition sees it.
func (s *scope) bringer(it item) render.Bringer {
	o := s.bringers[it.operator]
	return render.Bringer{
		Namespace: s.plan.Namespace, Operator: it.operator,
		Package: o.pkg, Version: o.version, Converts: o.converts[it.manifest.Name],
	}
}
