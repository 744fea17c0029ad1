package authority

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/admission"
	"chandler.dev/olm/pkg/failure"
)

const (
	// maxAtoms bounds into how many single rights the needs of a bundle may fall apart.
	maxAtoms = 100_000
	// maxReviews bounds for how many single rights the API server is asked one by one,
	// after RBAC did not explain them.
	maxReviews = 300
)

// assessor finds out what users lack. It serves one judgement: what it has read from
// the cluster it does not read again.
type assessor struct {
	client  client.Client // reads live
	masters *masters

	bindings []rbacv1.ClusterRoleBinding
	listed   bool
	roles    map[string][]rbacv1.PolicyRule // rules of "<namespace>/<name>"
	rules    map[string][]rbacv1.PolicyRule // of "<user> <namespace>"
	reviews  map[string]bool                // answers
}

func newAssessor(c client.Client, m *masters) *assessor {
	return &assessor{client: c, masters: m, roles: map[string][]rbacv1.PolicyRule{}, rules: map[string][]rbacv1.PolicyRule{}, reviews: map[string]bool{}}
}

// lacking returns the part of needs that who does not have.
func (a *assessor) lacking(ctx context.Context, who admission.Record, needs []admission.Need) ([]admission.Need, error) {
	needs, err := a.ordinary(ctx, who, needs)
	if err != nil || len(needs) == 0 {
		return nil, err
	}
	needs, err = a.resolve(ctx, who, needs)
	if err != nil {
		return nil, err
	}
	var missing []admission.Need
	asked := 0
	for _, n := range needs {
		if n.Role != nil {
			missing = append(missing, n)
			continue
		}
		uncovered, err := a.uncovered(ctx, who, n)
		if err != nil {
			return nil, err
		}
		for _, atom := range uncovered {
			allowed := false
			if asked++; asked <= maxReviews {
				if allowed, err = a.review(ctx, who, spec(n.Namespace, atom)); err != nil {
					return nil, err
				}
			}
			if !allowed {
				part := n
				part.Rule = atom
				missing = append(missing, part)
			}
		}
	}
	return missing, nil
}

// uncovered returns the single rights of a need that RBAC does not grant who.
func (a *assessor) uncovered(ctx context.Context, who admission.Record, n admission.Need) ([]rbacv1.PolicyRule, error) {
	if atoms(n.Rule) > maxAtoms {
		return nil, failure.New(failure.Invalid, "a rule stands for more than %d single rights", maxAtoms).WithHint("write it with *")
	}
	rules, err := a.rulesOf(ctx, who, n.Namespace)
	if err != nil {
		return nil, err
	}
	_, uncovered := validation.Covers(rules, []rbacv1.PolicyRule{n.Rule})
	return uncovered, nil
}

// ordinary leaves out what who may do because they may do anything, or grant anything.
func (a *assessor) ordinary(ctx context.Context, who admission.Record, needs []admission.Need) ([]admission.Need, error) {
	if len(needs) == 0 {
		return nil, nil
	}
	master, err := a.masters.is(ctx, who, a.review)
	if err != nil {
		return nil, err
	}
	var rest []admission.Need
	for _, n := range needs {
		if master && (n.Granted || len(n.Rule.NonResourceURLs) == 0) { // who may do anything may grant anything
			continue
		}
		if n.Granted {
			resource := "roles"
			if n.Namespace == "" {
				resource = "clusterroles"
			}
			escalate := rbacv1.PolicyRule{Verbs: []string{"escalate"}, APIGroups: []string{rbacv1.GroupName}, Resources: []string{resource}}
			allowed, err := a.review(ctx, who, spec(n.Namespace, escalate))
			if err != nil {
				return nil, err
			}
			if allowed {
				continue
			}
		}
		rest = append(rest, n)
	}
	return rest, nil
}

// resolve replaces the needs that name a role by those for its rules, unless who may
// bind the role. A role that does not exist stays: anything could become of it.
func (a *assessor) resolve(ctx context.Context, who admission.Record, needs []admission.Need) ([]admission.Need, error) {
	var resolved []admission.Need
	for _, n := range needs {
		if n.Role == nil {
			resolved = append(resolved, n)
			continue
		}
		bind := rbacv1.PolicyRule{
			Verbs: []string{"bind"}, APIGroups: []string{rbacv1.GroupName},
			Resources: []string{strings.ToLower(n.Role.Kind) + "s"}, ResourceNames: []string{n.Role.Name},
		}
		allowed, err := a.review(ctx, who, spec(n.Namespace, bind))
		if err != nil {
			return nil, err
		}
		if allowed {
			continue
		}
		rules, exists, err := a.rulesOfRole(ctx, n.Namespace, *n.Role)
		if err != nil {
			return nil, err
		}
		if !exists {
			resolved = append(resolved, n)
		}
		for _, r := range rules {
			part := n
			part.Role, part.Rule = nil, r
			resolved = append(resolved, part)
		}
	}
	return resolved, nil
}

// rulesOf returns what RBAC grants who in a namespace, or at the cluster scope.
func (a *assessor) rulesOf(ctx context.Context, who admission.Record, namespace string) ([]rbacv1.PolicyRule, error) {
	key := who.Username + " " + strings.Join(who.Groups, " ") + " " + namespace
	if rules, known := a.rules[key]; known {
		return rules, nil
	}
	refs, err := a.boundCluster(ctx, who)
	if err != nil {
		return nil, err
	}
	var rules []rbacv1.PolicyRule
	for _, ref := range refs {
		more, _, err := a.rulesOfRole(ctx, "", ref)
		if err != nil {
			return nil, err
		}
		rules = append(rules, more...)
	}
	if refs, err = a.boundIn(ctx, who, namespace); err != nil {
		return nil, err
	}
	for _, ref := range refs {
		more, _, err := a.rulesOfRole(ctx, namespace, ref)
		if err != nil {
			return nil, err
		}
		rules = append(rules, more...)
	}
	a.rules[key] = rules
	return rules, nil
}

// boundCluster returns the roles that who has everywhere.
func (a *assessor) boundCluster(ctx context.Context, who admission.Record) ([]rbacv1.RoleRef, error) {
	if !a.listed {
		list := &rbacv1.ClusterRoleBindingList{}
		if err := a.client.List(ctx, list); err != nil {
			return nil, fmt.Errorf("list ClusterRoleBindings: %w", err)
		}
		a.bindings, a.listed = list.Items, true
	}
	var refs []rbacv1.RoleRef
	for i := range a.bindings {
		if isBound(who, a.bindings[i].Subjects) {
			refs = append(refs, a.bindings[i].RoleRef)
		}
	}
	return refs, nil
}

// boundIn returns the roles that who has in a namespace; none at the cluster scope.
func (a *assessor) boundIn(ctx context.Context, who admission.Record, namespace string) ([]rbacv1.RoleRef, error) {
	if namespace == "" {
		return nil, nil
	}
	list := &rbacv1.RoleBindingList{}
	if err := a.client.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list RoleBindings: %w", err)
	}
	var refs []rbacv1.RoleRef
	for i := range list.Items {
		if isBound(who, list.Items[i].Subjects) {
			refs = append(refs, list.Items[i].RoleRef)
		}
	}
	return refs, nil
}

func (a *assessor) rulesOfRole(ctx context.Context, namespace string, ref rbacv1.RoleRef) (rules []rbacv1.PolicyRule, exists bool, err error) {
	key := namespace + "/" + ref.Name
	if ref.Kind == "ClusterRole" {
		key = "/" + ref.Name
	}
	if rules, known := a.roles[key]; known {
		return rules, rules != nil, nil
	}
	found := []rbacv1.PolicyRule{}
	if ref.Kind == "ClusterRole" {
		role := &rbacv1.ClusterRole{}
		err = a.client.Get(ctx, client.ObjectKey{Name: ref.Name}, role)
		found = append(found, role.Rules...)
	} else {
		role := &rbacv1.Role{}
		err = a.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, role)
		found = append(found, role.Rules...)
	}
	if client.IgnoreNotFound(err) != nil {
		return nil, false, fmt.Errorf("read %s %q: %w", ref.Kind, ref.Name, err)
	}
	if err != nil {
		found = nil
	}
	a.roles[key] = found
	return found, found != nil, nil
}

// review asks the API server, which counts other authorizers than RBAC as well.
func (a *assessor) review(ctx context.Context, who admission.Record, s authorizationv1.SubjectAccessReviewSpec) (bool, error) {
	s.User, s.UID, s.Groups = who.Username, who.UID, who.Groups
	key := s.String()
	if answer, known := a.reviews[key]; known {
		return answer, nil
	}
	review := &authorizationv1.SubjectAccessReview{Spec: s}
	if err := a.client.Create(ctx, review); err != nil {
		return false, fmt.Errorf("ask for the rights of user %q: %w", who.Username, err)
	}
	a.reviews[key] = review.Status.Allowed
	return review.Status.Allowed, nil
}

// spec asks for a single right.
func spec(namespace string, atom rbacv1.PolicyRule) authorizationv1.SubjectAccessReviewSpec {
	if len(atom.NonResourceURLs) > 0 {
		return authorizationv1.SubjectAccessReviewSpec{
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: atom.NonResourceURLs[0], Verb: atom.Verbs[0]},
		}
	}
	resource, subresource, _ := strings.Cut(atom.Resources[0], "/")
	attributes := &authorizationv1.ResourceAttributes{
		Namespace: namespace, Verb: atom.Verbs[0], Group: atom.APIGroups[0], Resource: resource, Subresource: subresource,
	}
	if len(atom.ResourceNames) > 0 {
		attributes.Name = atom.ResourceNames[0]
	}
	return authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: attributes}
}

// atoms counts the single rights that a rule stands for.
func atoms(r rbacv1.PolicyRule) int {
	named := max(1, len(r.ResourceNames))
	return len(r.Verbs) * (len(r.APIGroups)*len(r.Resources)*named + len(r.NonResourceURLs))
}

// granted leaves out what was granted already: rights that the ServiceAccount has, and
// those that a ClusterRole gives everybody.
func (a *assessor) granted(ctx context.Context, namespace string, needs []admission.Need) ([]admission.Need, error) {
	var rest []admission.Need
	for _, n := range needs {
		switch {
		case n.Unless != "":
			rules, _, err := a.rulesOfRole(ctx, "", rbacv1.RoleRef{Kind: "ClusterRole", Name: n.Unless})
			if err != nil {
				return nil, err
			}
			if covered, _ := validation.Covers(rules, []rbacv1.PolicyRule{n.Rule}); !covered {
				rest = append(rest, n)
			}
		case n.Account != "" && n.Role == nil:
			missing, err := a.lacking(ctx, account(namespace, n.Account), []admission.Need{withoutEscalation(n)})
			if err != nil {
				return nil, err
			}
			for _, m := range missing {
				m.Granted = n.Granted
				rest = append(rest, m)
			}
		default:
			rest = append(rest, n)
		}
	}
	return slices.Clip(rest), nil
}

// withoutEscalation asks whether somebody has a right, not whether they may grant it.
func withoutEscalation(n admission.Need) admission.Need {
	n.Granted = false
	return n
}
