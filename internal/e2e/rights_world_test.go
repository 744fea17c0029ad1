package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
)

// tenancy is a cluster on which people have different rights. The controller is the
// ServiceAccount that setup makes, so that what it does is not what an administrator does.
type tenancy struct {
	*stack
}

func startTenancy(t testing.TB) *tenancy {
	t.Helper()
	env := testkit.Own(t)
	w := &tenancy{&stack{Env: env}}
	kubeconfig := w.kubeconfigOf(t, "olm", "olm")
	w.controller = testkit.Start(t, "olm", "controller", "--kubeconfig", kubeconfig, "--data-dir", t.TempDir(),
		"--health-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0")
	return w
}

// as returns a client with the rights of a user.
func (w *tenancy) as(t testing.TB, user string) client.Client {
	t.Helper()
	cfg := rest.CopyConfig(w.Config)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	c, err := client.New(cfg, client.Options{Scheme: testkit.Scheme(), Mapper: w.Client.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// olmAdmin lets a user write everything of the lifecycle in a namespace, statuses
// included, as administrators of v0 clusters do who want to be nice.
var olmAdmin = []rbacv1.PolicyRule{{APIGroups: []string{"operators.coreos.com"}, Resources: []string{"*"}, Verbs: []string{"*"}}}

// allow gives a user the ClusterRole edit in a namespace, and rules on top.
func (w *tenancy) allow(t testing.TB, ns, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}
	name := strings.ReplaceAll(user, ":", "-")
	meta := metav1.ObjectMeta{Namespace: ns, Name: name + "-edit"}
	w.create(t, &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"}})
	// On a young cluster the role does not yet have what setup adds to it.
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		edit := &rbacv1.ClusterRole{}
		if err := w.Client.Get(ctx, client.ObjectKey{Name: "edit"}, edit); err != nil {
			return err
		}
		if !slices.ContainsFunc(edit.Rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, "subscriptions") }) {
			return fmt.Errorf("the ClusterRole edit lacks Subscriptions")
		}
		return nil
	})
	w.waitAllowed(t, ns, user, rule("operators.coreos.com", "subscriptions", "create"))
	if len(rules) == 0 {
		return
	}
	meta.Name = name + "-more"
	w.create(t, &rbacv1.Role{ObjectMeta: meta, Rules: rules})
	w.create(t, &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name}})
	w.waitAllowed(t, ns, user, rules[len(rules)-1])
}

// waitAllowed waits until the API server has noticed that a user has a right.
func (w *tenancy) waitAllowed(t testing.TB, ns, user string, r rbacv1.PolicyRule) {
	t.Helper()
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User:               user,
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: ns, Verb: r.Verbs[0], Group: r.APIGroups[0], Resource: r.Resources[0]},
		}}
		if err := w.Client.Create(ctx, review); err != nil {
			return err
		}
		if !review.Status.Allowed {
			return fmt.Errorf("user %s cannot %s yet", user, r.String())
		}
		return nil
	})
}

// operator describes a bundle for tests.
type operator struct {
	pkg, version, replaces string
	namespaced, cluster    []rbacv1.PolicyRule
	crd                    string // name of an owned CRD that the bundle brings
	webhook                bool
	requires               string // package that it depends on
	objects                []any
}

func (o operator) name() string { return o.pkg + ".v" + o.version }

func (o operator) csv() *operatorsv1alpha1.ClusterServiceVersion {
	csv := &operatorsv1alpha1.ClusterServiceVersion{
		TypeMeta:   metav1.TypeMeta{APIVersion: operatorsv1alpha1.ClusterServiceVersionAPIVersion, Kind: operatorsv1alpha1.ClusterServiceVersionKind},
		ObjectMeta: metav1.ObjectMeta{Name: o.name()},
	}
	spec := &csv.Spec
	spec.DisplayName, spec.Replaces = o.pkg, o.replaces
	_ = spec.Version.UnmarshalJSON([]byte(`"` + o.version + `"`))
	for _, mode := range []operatorsv1alpha1.InstallModeType{
		operatorsv1alpha1.InstallModeTypeOwnNamespace, operatorsv1alpha1.InstallModeTypeSingleNamespace,
		operatorsv1alpha1.InstallModeTypeMultiNamespace, operatorsv1alpha1.InstallModeTypeAllNamespaces,
	} {
		spec.InstallModes = append(spec.InstallModes, operatorsv1alpha1.InstallMode{Type: mode, Supported: true})
	}
	spec.InstallStrategy.StrategyName = operatorsv1alpha1.InstallStrategyNameDeployment
	strategy := &spec.InstallStrategy.StrategySpec
	labels := map[string]string{"app": o.pkg}
	strategy.DeploymentSpecs = []operatorsv1alpha1.StrategyDeploymentSpec{{Name: o.pkg, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{ServiceAccountName: o.pkg, Containers: []corev1.Container{{Name: "main", Image: "example.com/" + o.pkg + ":" + o.version}}},
		},
	}}}
	if len(o.namespaced) > 0 {
		strategy.Permissions = []operatorsv1alpha1.StrategyDeploymentPermissions{{ServiceAccountName: o.pkg, Rules: o.namespaced}}
	}
	if len(o.cluster) > 0 {
		strategy.ClusterPermissions = []operatorsv1alpha1.StrategyDeploymentPermissions{{ServiceAccountName: o.pkg, Rules: o.cluster}}
	}
	if o.crd != "" {
		spec.CustomResourceDefinitions.Owned = []operatorsv1alpha1.CRDDescription{{Name: o.crd, Version: "v1", Kind: "Thing"}}
	}
	if o.webhook {
		spec.WebhookDefinitions = []operatorsv1alpha1.WebhookDescription{webhookOnPods(o.pkg)}
	}
	return csv
}

func (o operator) blob(t testing.TB) any {
	t.Helper()
	type object = map[string]any
	properties := []object{{"type": "olm.package", "value": object{"packageName": o.pkg, "version": o.version}}}
	if o.requires != "" {
		properties = append(properties, object{"type": "olm.package.required", "value": object{"packageName": o.requires, "versionRange": ">=0.0.0"}})
	}
	for _, manifest := range append([]any{o.csv()}, o.objects...) {
		data, err := json.Marshal(manifest)
		if err != nil {
			t.Fatal(err)
		}
		properties = append(properties, object{"type": "olm.bundle.object", "value": object{"data": data}})
	}
	return object{"schema": "olm.bundle", "name": o.name(), "package": o.pkg, "image": "example.com/" + o.pkg + "-bundle:" + o.version, "properties": properties}
}

// fileCatalog writes a file-based catalog: per package one channel, stable, in the order
// of the versions.
func fileCatalog(t testing.TB, operators ...operator) string {
	t.Helper()
	var out bytes.Buffer
	write := json.NewEncoder(&out)
	entries := map[string][]any{}
	var order []string
	for _, o := range operators {
		if entries[o.pkg] == nil {
			order = append(order, o.pkg)
		}
		entry := map[string]any{"name": o.name()}
		if o.replaces != "" {
			entry["replaces"] = o.replaces
		}
		entries[o.pkg] = append(entries[o.pkg], entry)
	}
	var blobs []any
	for _, pkg := range order {
		blobs = append(blobs, map[string]any{"schema": "olm.package", "name": pkg, "defaultChannel": "stable"},
			map[string]any{"schema": "olm.channel", "package": pkg, "name": "stable", "entries": entries[pkg]})
	}
	for _, o := range operators {
		blobs = append(blobs, o.blob(t))
	}
	for _, blob := range blobs {
		if err := write.Encode(blob); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "catalog.json"), out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func rule(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

// modest asks for what the ClusterRole edit has.
var modest = []rbacv1.PolicyRule{rule("", "configmaps", "get", "list", "watch", "create", "update")}

func thingCRD(group string) *apiextensionsv1.CustomResourceDefinition {
	return &apiextensionsv1.CustomResourceDefinition{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{Name: "things." + group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "things", Singular: "thing", Kind: "Thing", ListKind: "ThingList"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object"}},
			}},
		},
	}
}

func ownGroup(ns string) *operatorsv1.OperatorGroup {
	return &operatorsv1.OperatorGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "group"}, Spec: operatorsv1.OperatorGroupSpec{TargetNamespaces: []string{ns}},
	}
}

func subscription(ns, pkg, catalogNamespace, catalog string) *operatorsv1alpha1.Subscription {
	return &operatorsv1alpha1.Subscription{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: pkg},
		Spec: &operatorsv1alpha1.SubscriptionSpec{
			Package: pkg, Channel: "stable", CatalogSource: catalog, CatalogSourceNamespace: catalogNamespace,
		},
	}
}
