package authority

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/admission"
)

// Options are what a Judge works with.
type Options struct {
	// Client must not read from a cache: what was asked for a moment ago counts.
	Client           client.Client
	CatalogNamespace string
	// Deputies are patterns of users who make requests for others, such as a program that
	// applies what is in a repository. Their rights count for nothing.
	Deputies []string
	Clock    clock.PassiveClock
}

// Judge decides whether plans stay within the rights of those who asked for them.
type Judge struct {
	client           client.Client
	catalogNamespace string
	deputies         []string
	clock            clock.PassiveClock
	masters          masters

	mu     sync.Mutex
	epoch  string
	probed time.Time
}

// New returns a Judge.
func New(o Options) *Judge {
	return &Judge{client: o.Client, catalogNamespace: o.CatalogNamespace, deputies: o.Deputies, clock: o.Clock, masters: masters{clock: o.Clock}}
}

// Judge returns the bundles of a case that may not be installed, and why. Without the
// policies that record who asks it fails with failure.Blocked.
func (j *Judge) Judge(ctx context.Context, c admission.Case) ([]admission.Judgement, error) {
	h := &hearing{judge: j, Case: c, assessor: newAssessor(j.client, &j.masters)}
	var refused []admission.Judgement
	for _, b := range c.Bundles {
		if b.Needs = h.counting(b.Needs); len(b.Needs) == 0 {
			continue
		}
		if err := h.open(ctx); err != nil {
			return nil, err
		}
		verdict, err := h.decide(ctx, b)
		if err != nil {
			return nil, err
		}
		if !verdict.Allowed() {
			refused = append(refused, verdict)
		}
	}
	return refused, nil
}

// Requesters returns the records of those for whom a plan is.
func (j *Judge) Requesters(ctx context.Context, plan *v1alpha1.InstallPlan) ([]admission.Record, error) {
	h := &hearing{judge: j, Case: admission.Case{Plan: plan}}
	if err := h.open(ctx); err != nil {
		return nil, err
	}
	var all []admission.Record
	for _, s := range h.subscriptions {
		all = append(all, h.requesters(s)...)
	}
	return all, nil
}

// hearing is one judgement.
type hearing struct {
	admission.Case

	judge         *Judge
	assessor      *assessor
	opened        bool
	epoch         string
	subscriptions []*v1alpha1.Subscription
	namespace     metav1.ObjectMeta
}

// open reads what every decision depends on.
func (h *hearing) open(ctx context.Context) error {
	if h.opened {
		return nil
	}
	var err error
	if h.epoch, err = h.judge.inForce(ctx, h.Plan.Namespace); err != nil {
		return err
	}
	for _, owner := range h.Plan.OwnerReferences {
		if owner.Kind != v1alpha1.SubscriptionKind {
			continue
		}
		sub := &v1alpha1.Subscription{}
		err := h.judge.client.Get(ctx, client.ObjectKey{Namespace: h.Plan.Namespace, Name: owner.Name}, sub)
		if client.IgnoreNotFound(err) != nil {
			return err
		}
		if err == nil && sub.UID == owner.UID && sub.Spec != nil {
			h.subscriptions = append(h.subscriptions, sub)
		}
	}
	ns := &metav1.PartialObjectMetadata{}
	ns.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := h.judge.client.Get(ctx, client.ObjectKey{Name: h.Plan.Namespace}, ns); err != nil {
		return err
	}
	h.namespace, h.opened = ns.ObjectMeta, true
	return nil
}

// counting returns the needs that somebody has to have: if a ServiceAccount installs,
// the API server checks its rights, and only what the lifecycle does itself is left.
func (h *hearing) counting(needs []admission.Need) []admission.Need {
	if h.Group == nil {
		return needs
	}
	var left []admission.Need
	for _, n := range needs {
		if n.Lifecycle {
			left = append(left, n)
		}
	}
	return left
}

// party is somebody whose rights may count, and why.
type party struct {
	record admission.Record
	role   string
}

// decide decides about one bundle: what an administrator has allowed needs nobody's
// rights; else who approved the plan must have them, or the one who says as whom it is
// installed, or all of those who asked.
func (h *hearing) decide(ctx context.Context, b admission.Bundle) (admission.Judgement, error) {
	catalog, err := h.catalog(ctx, b)
	if err != nil || h.relaxed(b, catalog) {
		return admission.Judgement{}, err
	}
	var first *admission.Judgement
	for _, p := range h.alternatives() {
		missing, err := h.missing(ctx, p.record, b.Needs)
		if err != nil || len(missing) == 0 {
			return admission.Judgement{}, err
		}
		if first == nil {
			first = &admission.Judgement{Bundle: b, By: p.record.Username, Role: p.role, Missing: missing}
		}
	}
	asking, known := h.asking(b, catalog)
	if !known {
		return h.unknown(ctx, b, first)
	}
	for _, p := range asking {
		missing, err := h.missing(ctx, p.record, b.Needs)
		if err != nil {
			return admission.Judgement{}, err
		}
		if len(missing) > 0 && first != nil {
			return *first, nil
		}
		if len(missing) > 0 {
			return admission.Judgement{Bundle: b, By: p.record.Username, Role: p.role, Missing: missing}, nil
		}
	}
	return admission.Judgement{}, nil
}

// unknown decides where nobody is on record: what was granted before may be installed.
func (h *hearing) unknown(ctx context.Context, b admission.Bundle, first *admission.Judgement) (admission.Judgement, error) {
	if first != nil {
		return *first, nil
	}
	missing, err := h.raised(ctx, b.Needs)
	return admission.Judgement{Bundle: b, Missing: missing}, err
}

// missing returns what who lacks of needs and what is not there already.
func (h *hearing) missing(ctx context.Context, who admission.Record, needs []admission.Need) ([]admission.Need, error) {
	missing, err := h.assessor.lacking(ctx, who, needs)
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	return h.raised(ctx, missing)
}

// raised leaves out what is granted and what is there already.
func (h *hearing) raised(ctx context.Context, needs []admission.Need) ([]admission.Need, error) {
	needs, err := h.assessor.granted(ctx, h.Plan.Namespace, needs)
	if err != nil {
		return nil, err
	}
	var rest []admission.Need
	for _, n := range needs {
		if n.Item >= 0 && h.Settled != nil {
			done, err := h.Settled(ctx, n)
			if err != nil {
				return nil, err
			}
			if done {
				continue
			}
		}
		rest = append(rest, n)
	}
	return rest, nil
}

// alternatives are those of whom one is enough.
func (h *hearing) alternatives() []party {
	var all []party
	if r := h.record(h.Plan.Annotations[admission.AnnotationApprover]); r != nil && h.Plan.Spec.Approved {
		all = append(all, party{*r, "who approved the plan"})
	}
	if h.Group != nil {
		if r := h.record(h.Group.Annotations[admission.AnnotationRequester]); r != nil {
			all = append(all, party{*r, "who made the OperatorGroup"})
		}
	}
	return all
}

// asking are those who asked for a bundle, of whom all must have the rights. Somebody who
// is not known makes all unknown.
func (h *hearing) asking(b admission.Bundle, catalog *metav1.PartialObjectMetadata) (all []party, known bool) {
	for _, s := range h.concerned(b) {
		records := h.requesters(s)
		if len(records) == 0 {
			return nil, false
		}
		for _, r := range records {
			all = append(all, party{r, "who asked for it"})
		}
	}
	if len(all) == 0 {
		return nil, false
	}
	if b.Catalog.Namespace != "" && b.Catalog.Namespace != h.judge.catalogNamespace {
		var r *admission.Record
		if catalog != nil {
			r = h.record(catalog.Annotations[admission.AnnotationRequester])
		}
		if r == nil {
			return nil, false
		}
		all = append(all, party{*r, "who made its catalog"})
	}
	return all, true
}

// concerned are the Subscriptions that want the package of a bundle, and if none does,
// because others depend on it, all of them.
func (h *hearing) concerned(b admission.Bundle) []*v1alpha1.Subscription {
	var wanting []*v1alpha1.Subscription
	for _, s := range h.subscriptions {
		if b.Package != "" && s.Spec.Package == b.Package {
			wanting = append(wanting, s)
		}
	}
	if len(wanting) == 0 {
		return h.subscriptions
	}
	return wanting
}

// requesters returns for whom a Subscription is: for a dependency those who asked for
// what depends on it.
func (h *hearing) requesters(s *v1alpha1.Subscription) []admission.Record {
	if text, generated := s.Annotations[admission.AnnotationRequestedFor]; generated {
		return admission.ReadRecords(text, h.epoch)
	}
	if r := h.record(s.Annotations[admission.AnnotationRequester]); r != nil {
		return []admission.Record{*r}
	}
	return nil
}

// record reads a record of somebody who speaks for themselves.
func (h *hearing) record(annotation string) *admission.Record {
	r := admission.ReadRecord(annotation, h.epoch)
	if r == nil || slices.ContainsFunc(h.judge.deputies, func(pattern string) bool { return r.Matches(pattern) }) {
		return nil
	}
	return r
}

func (h *hearing) catalog(ctx context.Context, b admission.Bundle) (*metav1.PartialObjectMetadata, error) {
	if b.Catalog.Name == "" {
		return nil, nil //nolint:nilnil // a plan of v0 may not say
	}
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind(v1alpha1.CatalogSourceKind))
	err := h.judge.client.Get(ctx, b.Catalog, m)
	if err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return m, nil
}

// relaxed tells whether an administrator lets everybody install a bundle here.
func (h *hearing) relaxed(b admission.Bundle, catalog *metav1.PartialObjectMetadata) bool {
	if b.Package == "" {
		return false
	}
	if admission.Relaxed(h.namespace.Annotations[admission.AnnotationRelax], b.Catalog, b.Package) {
		return true
	}
	return catalog != nil && b.Catalog.Namespace == h.judge.catalogNamespace &&
		admission.Vouched(catalog.Annotations[admission.AnnotationRelax], b.Package)
}
