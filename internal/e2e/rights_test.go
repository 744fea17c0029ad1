package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
)

const (
	requester = "chandler.dev/requester"
	relax     = "chandler.dev/install-without-rights"
)

func webhookOnPods(deployment string) operatorsv1alpha1.WebhookDescription {
	return operatorsv1alpha1.WebhookDescription{
		GenerateName: "pods.example.com", Type: operatorsv1alpha1.MutatingAdmissionWebhook, DeploymentName: deployment,
		ContainerPort: 443, AdmissionReviewVersions: []string{"v1"}, SideEffects: new(admissionv1.SideEffectClassNone),
		Rules: []admissionv1.RuleWithOperations{{
			Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
		}},
	}
}

var everything = []rbacv1.PolicyRule{rule("*", "*", "*")}

// held waits until the plan of a Subscription waits for somebody with more rights, and
// the Subscription says which are missing.
func (w *tenancy) held(t *testing.T, key client.ObjectKey, wants ...string) {
	t.Helper()
	message := w.condition(t, key, operatorsv1alpha1.SubscriptionInstallPlanPending, wants...)
	t.Log(message)
	plan := w.planOf(t, key)
	if plan.Status.Phase != operatorsv1alpha1.InstallPlanPhaseRequiresApproval || plan.Spec.Approved {
		t.Errorf("plan is %s, approved: %v; want one that waits for approval", plan.Status.Phase, plan.Spec.Approved)
	}
	var csvs operatorsv1alpha1.ClusterServiceVersionList
	if err := w.Client.List(t.Context(), &csvs, client.InNamespace(key.Namespace)); err != nil {
		t.Fatal(err)
	}
	for _, csv := range csvs.Items {
		if !csv.IsCopied() && csv.Name == plan.Spec.ClusterServiceVersionNames[0] {
			t.Errorf("the plan that is held has created %s", csv.Name)
		}
	}
}

// planOf waits for the plan of a Subscription.
func (w *tenancy) planOf(t *testing.T, key client.ObjectKey) *operatorsv1alpha1.InstallPlan {
	t.Helper()
	plan := &operatorsv1alpha1.InstallPlan{}
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		var sub operatorsv1alpha1.Subscription
		if err := w.Client.Get(ctx, key, &sub); err != nil {
			return err
		}
		if sub.Status.InstallPlanRef == nil {
			return fmt.Errorf("subscription %s has no plan: %s", key, conditions(&sub))
		}
		return w.Client.Get(ctx, objectKey(key.Namespace, sub.Status.InstallPlanRef.Name), plan)
	})
	return plan
}

// approve allows a plan with the rights of a user.
func (w *tenancy) approve(t *testing.T, c client.Client, key client.ObjectKey) {
	t.Helper()
	plan := w.planOf(t, key)
	before := plan.DeepCopy()
	plan.Spec.Approved = true
	if err := c.Patch(t.Context(), plan, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// TestRightsOfRequesters installs operators for a namespace editor: what they could do
// themselves works, what they could not do waits, with a sentence that names the right,
// until somebody who can approves it or an administrator has relaxed the rule.
func TestRightsOfRequesters(t *testing.T) {
	w := startTenancy(t)
	w.catalogSource(t, "global", serve(t, fileCatalog(t,
		operator{pkg: "modest", version: "1.0.0", namespaced: modest},
		operator{pkg: "grows", version: "1.0.0", namespaced: modest},
		operator{pkg: "grows", version: "2.0.0", replaces: "grows.v1.0.0", namespaced: modest, cluster: []rbacv1.PolicyRule{rule("", "nodes", "get", "list")}},
		operator{pkg: "greedy", version: "1.0.0", cluster: everything},
		operator{pkg: "secretive", version: "1.0.0", namespaced: modest, cluster: []rbacv1.PolicyRule{rule("", "secrets", "get", "list")}},
		operator{pkg: "hooked", version: "1.0.0", namespaced: modest, webhook: true},
		operator{pkg: "typed", version: "1.0.0", namespaced: modest, crd: "things.typed.example.com", objects: []any{thingCRD("typed.example.com")}},
		operator{pkg: "needy", version: "1.0.0", namespaced: modest, requires: "greedy"},
		operator{pkg: "bound", version: "1.0.0", namespaced: modest, objects: []any{
			&rbacv1.ClusterRoleBinding{
				TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRoleBinding"}, ObjectMeta: metav1.ObjectMeta{Name: "jane-is-root"},
				RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
				Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "jane"}},
			},
		}},
	)))
	ask := func(t *testing.T, c client.Client, pkg string) client.ObjectKey {
		t.Helper()
		ns := w.Namespace(t, "tenant")
		w.allow(t, ns, "jane")
		w.create(t, ownGroup(ns))
		sub := subscription(ns, pkg, "olm", "global")
		sub.Annotations = map[string]string{requester: `{"username":"admin","groups":["system:masters"]}`}
		if err := c.Create(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
		return client.ObjectKeyFromObject(sub)
	}
	jane := w.as(t, "jane")
	for pkg, wants := range map[string][]string{
		"greedy":    {`user "jane"`, `cannot * resource "*" in API group "*" at the cluster scope`},
		"secretive": {`cannot get, list resource "secrets" in API group "" at the cluster scope`},
		"hooked":    {`cannot create resource "mutatingwebhookconfigurations" in API group "admissionregistration.k8s.io" at the cluster scope`},
		"typed":     {`resource "customresourcedefinitions" in API group "apiextensions.k8s.io" at the cluster scope`, `resource "things" in API group "typed.example.com"`},
		"needy":     {`"greedy.v1.0.0"`, `cannot * resource "*" in API group "*" at the cluster scope`},
		"bound":     {`resource "clusterrolebindings"`, `cannot * resource "*" in API group "*" at the cluster scope`},
	} {
		t.Run("an editor cannot have "+pkg, func(t *testing.T) {
			t.Parallel()
			w.held(t, ask(t, jane, pkg), wants...)
		})
	}
	t.Run("an editor can have what they could do themselves", func(t *testing.T) {
		t.Parallel()
		w.waitInstalled(t, ask(t, jane, "modest"), "modest.v1.0.0")
	})
	t.Run("an upgrade that asks for more waits for somebody who has it", func(t *testing.T) {
		t.Parallel()
		key := ask(t, jane, "grows")
		w.held(t, key, `cannot get, list resource "nodes" in API group "" at the cluster scope`, `"grows.v2.0.0"`)
		w.approve(t, w.Client, key)
		w.waitInstalled(t, key, "grows.v2.0.0")
	})
	t.Run("an approval counts for as much as its giver", func(t *testing.T) {
		t.Parallel()
		key := ask(t, jane, "secretive")
		w.held(t, key, `user "jane", who asked for it`)
		w.allow(t, key.Namespace, "mallory", olmAdmin...)
		w.approve(t, w.as(t, "mallory"), key)
		w.held(t, key, `user "mallory", who approved the plan`, `cannot get, list resource "secrets"`)
		w.approve(t, w.Client, key)
		w.waitInstalled(t, key, "secretive.v1.0.0")
	})
	t.Run("an administrator gets it", func(t *testing.T) {
		t.Parallel()
		w.waitInstalled(t, ask(t, w.Client, "greedy"), "greedy.v1.0.0")
	})
	t.Run("a plan goes on when its requester gets the rights", func(t *testing.T) {
		t.Parallel()
		key := ask(t, w.as(t, "jane"), "secretive")
		w.held(t, key, `resource "secrets"`)
		w.create(t, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "promoted"}, Rules: []rbacv1.PolicyRule{rule("", "secrets", "get", "list")}})
		w.create(t, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "promoted"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "promoted"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: key.Namespace, Name: "promoted"}},
		})
		w.takeOver(t, key, "system:serviceaccount:"+key.Namespace+":promoted")
		w.waitInstalled(t, key, "secretive.v1.0.0")
	})
	t.Run("an administrator lets a namespace have a package", func(t *testing.T) {
		t.Parallel()
		key := ask(t, jane, "hooked")
		w.held(t, key, "webhook")
		w.annotateNamespace(t, key.Namespace, "olm/global/mod*, olm/global/hooked")
		w.waitInstalled(t, key, "hooked.v1.0.0")
	})
}

// TestRightsOfServiceAccounts installs with the rights of a ServiceAccount that an
// OperatorGroup names. What the lifecycle does on top of that, somebody must be allowed.
func TestRightsOfServiceAccounts(t *testing.T) {
	w := startTenancy(t)
	w.catalogSource(t, "global", serve(t, fileCatalog(t,
		operator{pkg: "modest", version: "1.0.0", namespaced: modest},
		operator{pkg: "secretive", version: "1.0.0", cluster: []rbacv1.PolicyRule{rule("", "secrets", "get", "list")}},
		operator{pkg: "typed", version: "1.0.0", namespaced: modest, crd: "things.limited.example.com", objects: []any{thingCRD("limited.example.com")}},
		operator{pkg: "allowed", version: "1.0.0", namespaced: modest, crd: "things.allowed.example.com", objects: []any{thingCRD("allowed.example.com")}},
	)))
	ask := func(t *testing.T, grouper client.Client, pkg string) client.ObjectKey {
		t.Helper()
		ns := w.Namespace(t, "limited")
		w.allow(t, ns, "jane", olmAdmin...)
		w.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "installer"}})
		w.allow(t, ns, "system:serviceaccount:"+ns+":installer", append(slices.Clone(olmAdmin), rule(rbacv1.GroupName, "roles", "*"), rule(rbacv1.GroupName, "rolebindings", "*"))...)
		group := ownGroup(ns)
		group.Spec.ServiceAccountName = "installer"
		if err := grouper.Create(t.Context(), group); err != nil {
			t.Fatal(err)
		}
		sub := subscription(ns, pkg, "olm", "global")
		if err := w.as(t, "jane").Create(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
		return client.ObjectKeyFromObject(sub)
	}
	t.Run("what it may do", func(t *testing.T) {
		t.Parallel()
		w.waitInstalled(t, ask(t, w.as(t, "jane"), "modest"), "modest.v1.0.0")
	})
	t.Run("what it may not do", func(t *testing.T) {
		t.Parallel()
		key := ask(t, w.as(t, "jane"), "secretive")
		testkit.Eventually(t, patience, func(context.Context) error {
			plan := w.planOf(t, key)
			if !strings.Contains(plan.Status.Message, `service account "`+key.Namespace+`/installer" lacks rights`) {
				return fmt.Errorf("%s %q", plan.Status.Phase, plan.Status.Message)
			}
			return nil
		})
	})
	t.Run("a definition that its maker may not make", func(t *testing.T) {
		t.Parallel()
		w.held(t, ask(t, w.as(t, "jane"), "typed"), `user "jane", who made the OperatorGroup`, `resource "customresourcedefinitions"`)
	})
	t.Run("a definition in the group of an administrator", func(t *testing.T) {
		t.Parallel()
		key := ask(t, w.Client, "allowed")
		w.waitInstalled(t, key, "allowed.v1.0.0")
		// What is there, and there for everybody, needs no rights a second time.
		w.waitInstalled(t, ask(t, w.as(t, "jane"), "allowed"), "allowed.v1.0.0")
	})
}

// takeOver makes somebody else, who may edit the namespace, the one who asks.
func (w *tenancy) takeOver(t *testing.T, key client.ObjectKey, user string) {
	t.Helper()
	w.create(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: "taker"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	})
	sub := &operatorsv1alpha1.Subscription{}
	sub.Namespace, sub.Name = key.Namespace, key.Name
	take := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"`+requester+`":"me"}}}`))
	if err := w.as(t, user).Patch(t.Context(), sub, take); err != nil {
		t.Fatal(err)
	}
	if got := sub.Annotations[requester]; !strings.Contains(got, user) {
		t.Fatalf("the record says %s, want %s", got, user)
	}
}

func (w *tenancy) annotateNamespace(t *testing.T, ns, patterns string) {
	t.Helper()
	obj := &metav1.PartialObjectMetadata{}
	obj.SetGroupVersionKind(metav1.Unversioned.WithKind("Namespace"))
	obj.APIVersion, obj.Name = "v1", ns
	patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, relax, patterns))
	if err := w.Client.Patch(t.Context(), obj, patch); err != nil {
		t.Fatal(err)
	}
}

// TestRightsOfCatalogMakers lets a namespace editor with all rights on the lifecycle's
// kinds make a catalog that hands out everything: four namespaced objects that ended in
// cluster-admin on OLM v0.
func TestRightsOfCatalogMakers(t *testing.T) {
	w := startTenancy(t)
	address := serve(t, fileCatalog(t, operator{pkg: "greedy", version: "1.0.0", cluster: everything}))
	own := func(t *testing.T, c client.Client) client.ObjectKey {
		t.Helper()
		ns := w.Namespace(t, "own")
		w.allow(t, ns, "jane", olmAdmin...)
		source := &operatorsv1alpha1.CatalogSource{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "own"}}
		source.Spec.SourceType, source.Spec.Address = operatorsv1alpha1.SourceTypeGrpc, address
		for _, obj := range []client.Object{source, ownGroup(ns)} {
			if err := c.Create(t.Context(), obj); err != nil {
				t.Fatal(err)
			}
		}
		return client.ObjectKey{Namespace: ns, Name: "greedy"}
	}
	jane := w.as(t, "jane")
	t.Run("their own catalog gives an editor nothing", func(t *testing.T) {
		t.Parallel()
		key := own(t, jane)
		if err := jane.Create(t.Context(), subscription(key.Namespace, key.Name, key.Namespace, "own")); err != nil {
			t.Fatal(err)
		}
		w.held(t, key, `user "jane"`, `cannot * resource "*" in API group "*" at the cluster scope`)
	})
	t.Run("nor when an administrator subscribes to it", func(t *testing.T) {
		t.Parallel()
		key := own(t, jane)
		w.create(t, subscription(key.Namespace, key.Name, key.Namespace, "own"))
		w.held(t, key, `user "jane", who made its catalog`, `cannot * resource "*"`)
	})
	t.Run("an administrator's catalog serves an administrator", func(t *testing.T) {
		t.Parallel()
		key := own(t, w.Client)
		w.create(t, subscription(key.Namespace, key.Name, key.Namespace, "own"))
		w.waitInstalled(t, key, "greedy.v1.0.0")
	})
	t.Run("a catalog that an administrator vouches for", func(t *testing.T) {
		source := &operatorsv1alpha1.CatalogSource{ObjectMeta: metav1.ObjectMeta{Namespace: "olm", Name: "vouched", Annotations: map[string]string{relax: "gree*"}}}
		source.Spec.SourceType, source.Spec.Address = operatorsv1alpha1.SourceTypeGrpc, address
		w.create(t, source)
		ns := w.Namespace(t, "vouched")
		w.allow(t, ns, "jane")
		w.create(t, ownGroup(ns))
		sub := subscription(ns, "greedy", "olm", "vouched")
		if err := jane.Create(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
		w.waitInstalled(t, client.ObjectKeyFromObject(sub), "greedy.v1.0.0")
	})
}

// TestRightsWithoutPolicies forges a record while the policies that make records true are
// not in force.
func TestRightsWithoutPolicies(t *testing.T) {
	w := startTenancy(t)
	w.catalogSource(t, "global", serve(t, fileCatalog(t, operator{pkg: "greedy", version: "1.0.0", cluster: everything})))
	ns := w.Namespace(t, "forged")
	w.allow(t, ns, "jane")
	w.create(t, ownGroup(ns))
	jane := w.as(t, "jane")
	for _, obj := range []client.Object{
		&admissionv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "chandler-requester"}},
		&admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "chandler-requester"}},
	} {
		if err := w.Client.Delete(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	forged := subscription(ns, "greedy", "olm", "global")
	forged.Annotations = map[string]string{requester: `{"username":"admin","groups":["system:masters"],"epoch":"x"}`}
	testkit.Eventually(t, patience, func(ctx context.Context) error { // until the API server has forgotten the policy
		probe := forged.DeepCopy()
		if err := jane.Create(ctx, probe, client.DryRunAll); err != nil || !strings.Contains(probe.Annotations[requester], "masters") {
			return errors.Join(err, fmt.Errorf("still recorded: %v", probe.Annotations))
		}
		return nil
	})
	if err := jane.Create(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	key := client.ObjectKeyFromObject(forged)
	w.held(t, key, "does not record who asks", "olm setup")
	if out, err := testkit.Run(t.Context(), "olm", "setup", "--kubeconfig", w.Kubeconfig); err != nil {
		t.Fatal(err, out)
	}
	w.held(t, key, "nobody is on record who asked for it", `* resource "*"`)
	w.approve(t, w.Client, key)
	w.waitInstalled(t, key, "greedy.v1.0.0")
}
