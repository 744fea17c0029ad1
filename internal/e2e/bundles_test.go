package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/component-helpers/auth/rbac/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"chandler.dev/olm/internal/testkit"
)

// journey is a published operator on its way through a channel.
type journey struct {
	pkg, channel string
	start, end   string // names of bundles
	last         string // folder of the last bundle
	allSpaces    bool   // the operator watches all namespaces
	hops         []string
	catalog      string
}

// TestPublishedBundles installs real operators and lets them walk their
// channels to the end.
func TestPublishedBundles(t *testing.T) {
	bundles := testkit.Data(t, "bundles")
	s := startStack(t)
	s.catalogSource(t, "replaces", serve(t, bundleSubset(t, bundles, "prometheus", "cockroachdb", "etcd", "klusterlet")))
	s.catalogSource(t, "semver", serve(t, "--graph", "semver", bundleSubset(t, bundles, "snapscheduler", "cert-manager")))
	s.catalogSource(t, "strimzi", serve(t, strimziCatalog(t, bundles)))
	for name, j := range map[string]journey{
		"prometheus":    {pkg: "prometheus", channel: "beta", start: "prometheusoperator.0.47.0", end: "prometheusoperator.0.56.3", last: "prometheus/0.56.3", catalog: "replaces"},
		"snapscheduler": {pkg: "snapscheduler", channel: "stable", start: "snapscheduler.v2.0.0", end: "snapscheduler.v3.5.0", last: "snapscheduler/3.5.0", allSpaces: true, catalog: "semver", hops: []string{"snapscheduler.v2.1.0", "snapscheduler.v3.0.0", "snapscheduler.v3.1.0", "snapscheduler.v3.2.0", "snapscheduler.v3.3.0", "snapscheduler.v3.4.0"}},
		"cockroachdb":   {pkg: "cockroachdb", channel: "stable-5.x", start: "cockroachdb.v5.0.3", end: "cockroachdb.v5.0.4", last: "cockroachdb/5.0.4", catalog: "replaces"},
		"etcd":          {pkg: "etcd", channel: "singlenamespace-alpha", start: "etcdoperator.v0.9.2", end: "etcdoperator.v0.9.4", last: "etcd/0.9.4", catalog: "replaces"},
		"cert-manager":  {pkg: "cert-manager", channel: "stable", start: "cert-manager.v1.15.2", end: "cert-manager.v1.16.5", last: "cert-manager/1.16.5", allSpaces: true, catalog: "semver", hops: []string{"cert-manager.v1.16.1"}},
		"strimzi":       {pkg: "strimzi-kafka-operator", channel: "all", start: "strimzi-cluster-operator.v0.51.0", end: "strimzi-cluster-operator.v1.2.0", last: "strimzi-kafka-operator/1.2.0", catalog: "strimzi", hops: []string{"strimzi-cluster-operator.v1.0.0", "strimzi-cluster-operator.v1.0.1", "strimzi-cluster-operator.v1.1.0"}},
		"klusterlet":    {pkg: "klusterlet", channel: "stable", start: "klusterlet.v0.10.0", end: "klusterlet.v0.13.1", last: "klusterlet/0.13.1", catalog: "replaces", hops: []string{"klusterlet.v0.11.0", "klusterlet.v0.12.0", "klusterlet.v0.13.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.travel(t, j, filepath.Join(bundles, j.last))
		})
	}
}

// TestConvertedDefinitions installs an operator whose definitions are of
// v1beta1, and lets it upgrade to those of v1.
func TestConvertedDefinitions(t *testing.T) {
	t.Parallel()
	bundles := testkit.Data(t, "bundles")
	env := testkit.Own(t)
	s := &stack{Env: env, controller: startController(t, env, t.TempDir(), "--convert-definitions")}
	s.catalogSource(t, "converted", serve(t, bundleSubset(t, bundles, "prometheus")))
	s.travel(t, journey{
		pkg: "prometheus", channel: "beta", start: "prometheusoperator.0.37.0", end: "prometheusoperator.0.56.3",
		last: "prometheus/0.56.3", catalog: "converted", hops: []string{"prometheusoperator.0.47.0"},
	}, filepath.Join(bundles, "prometheus", "0.56.3"))
}

func (s *stack) travel(t testing.TB, j journey, last string) {
	ns := s.Namespace(t, j.pkg)
	if j.allSpaces {
		s.group(t, ns)
	} else {
		s.group(t, ns, ns)
	}
	key := s.subscribe(t, wish{ns: ns, pkg: j.pkg, channel: j.channel, start: j.start, catalog: j.catalog})
	s.waitInstalled(t, key, j.end)
	s.checkHops(t, ns, append(append([]string{j.start}, j.hops...), j.end))
	s.checkBundle(t, ns, last)
}

// checkHops looks at the plans that brought the operator here.
func (s *stack) checkHops(t testing.TB, ns string, want []string) {
	t.Helper()
	var plans operatorsv1alpha1.InstallPlanList
	if err := s.Client.List(t.Context(), &plans, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(plans.Items, func(a, b operatorsv1alpha1.InstallPlan) int { return a.Spec.Generation - b.Spec.Generation })
	var got []string
	for _, p := range plans.Items {
		got = append(got, p.Spec.ClusterServiceVersionNames...)
		if p.Status.Phase != operatorsv1alpha1.InstallPlanPhaseComplete {
			t.Errorf("plan %s is %s: %s", p.Name, p.Status.Phase, p.Status.Message)
		}
	}
	// Only the newest five plans of a namespace are kept.
	if n := min(len(got), len(want), 5); !slices.Equal(got[len(got)-n:], want[len(want)-n:]) {
		t.Errorf("plans installed %q, want the end of %q", got, want)
	}
}

// checkBundle compares the cluster with what the bundle in dir asks for.
func (s *stack) checkBundle(t testing.TB, ns, dir string) {
	t.Helper()
	csv, definitions := readBundle(t, dir)
	for _, crd := range definitions {
		s.checkDefinition(t, crd)
	}
	strategy := csv.Spec.InstallStrategy.StrategySpec
	for _, d := range strategy.DeploymentSpecs {
		s.checkDeployment(t, ns, csv, d)
	}
	for _, p := range strategy.Permissions {
		s.checkRules(t, ns, csv.Name, p, ns)
	}
	for _, p := range strategy.ClusterPermissions {
		s.checkRules(t, ns, csv.Name, p, "")
	}
}

func (s *stack) checkDefinition(t testing.TB, want *apiextensionsv1.CustomResourceDefinition) {
	t.Helper()
	var got apiextensionsv1.CustomResourceDefinition
	if err := s.Client.Get(t.Context(), client.ObjectKeyFromObject(want), &got); err != nil {
		t.Error(err)
		return
	}
	versions := func(crd *apiextensionsv1.CustomResourceDefinition) map[string]bool {
		served := map[string]bool{}
		for _, v := range crd.Spec.Versions {
			served[v.Name] = v.Served
		}
		return served
	}
	if !maps.Equal(versions(want), versions(&got)) {
		t.Errorf("definition %s serves %v, want %v", want.Name, versions(&got), versions(want))
	}
}

func (s *stack) checkDeployment(t testing.TB, ns string, csv *operatorsv1alpha1.ClusterServiceVersion, want operatorsv1alpha1.StrategyDeploymentSpec) {
	t.Helper()
	var got appsv1.Deployment
	if err := s.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: want.Name}, &got); err != nil {
		t.Error(err)
		return
	}
	for key, value := range map[string]string{
		"olm.managed": "true", "olm.owner": csv.Name, "olm.owner.namespace": ns, "olm.owner.kind": "ClusterServiceVersion",
	} {
		if got.Labels[key] != value {
			t.Errorf("deployment %s: label %s is %q, want %q", want.Name, key, got.Labels[key], value)
		}
	}
	if got.Labels["olm.deployment-spec-hash"] == "" {
		t.Errorf("deployment %s has no spec hash", want.Name)
	}
	if image, wantImage := got.Spec.Template.Spec.Containers[0].Image, want.Spec.Template.Spec.Containers[0].Image; image != wantImage {
		t.Errorf("deployment %s runs %q, want %q", want.Name, image, wantImage)
	}
	if got.Status.AvailableReplicas == 0 && (want.Spec.Replicas == nil || *want.Spec.Replicas > 0) {
		t.Errorf("deployment %s has no available replica", want.Name)
	}
}

// checkRules asks whether the roles bound to a service account cover what the bundle asks for.
func (s *stack) checkRules(t testing.TB, ns, csv string, want operatorsv1alpha1.StrategyDeploymentPermissions, scope string) {
	t.Helper()
	var account corev1.ServiceAccount
	if err := s.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: want.ServiceAccountName}, &account); err != nil {
		t.Error(err)
	}
	rules, err := s.rulesOf(t.Context(), ns, want.ServiceAccountName, scope)
	if err != nil {
		t.Fatal(err)
	}
	if ok, missing := validation.Covers(rules, want.Rules); !ok {
		t.Errorf("%s: service account %s in scope %q lacks %v", csv, want.ServiceAccountName, scope, missing)
	}
}

func (s *stack) rulesOf(ctx context.Context, ns, account, scope string) (rules []rbacv1.PolicyRule, err error) {
	isAccount := func(subject rbacv1.Subject) bool {
		return subject.Kind == "ServiceAccount" && subject.Namespace == ns && subject.Name == account
	}
	var clusterBindings rbacv1.ClusterRoleBindingList
	if err := s.Client.List(ctx, &clusterBindings); err != nil {
		return nil, err
	}
	for _, b := range clusterBindings.Items {
		if slices.ContainsFunc(b.Subjects, isAccount) {
			var role rbacv1.ClusterRole
			if err := s.Client.Get(ctx, client.ObjectKey{Name: b.RoleRef.Name}, &role); err != nil {
				return nil, err
			}
			rules = append(rules, role.Rules...)
		}
	}
	if scope == "" {
		return rules, nil
	}
	var bindings rbacv1.RoleBindingList
	if err := s.Client.List(ctx, &bindings, client.InNamespace(scope)); err != nil {
		return nil, err
	}
	for _, b := range bindings.Items {
		if slices.ContainsFunc(b.Subjects, isAccount) && b.RoleRef.Kind == "Role" {
			var role rbacv1.Role
			if err := s.Client.Get(ctx, client.ObjectKey{Namespace: scope, Name: b.RoleRef.Name}, &role); err != nil {
				return nil, err
			}
			rules = append(rules, role.Rules...)
		}
	}
	return rules, nil
}

// readBundle reads the manifests of a bundle folder with nothing of ours.
func readBundle(t testing.TB, dir string) (csv *operatorsv1alpha1.ClusterServiceVersion, definitions []*apiextensionsv1.CustomResourceDefinition) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "manifests", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests in %s: %v", dir, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var kind struct{ Kind string }
		if err := yaml.Unmarshal(text, &kind); err != nil {
			t.Fatal(err)
		}
		switch kind.Kind {
		case "ClusterServiceVersion":
			csv = &operatorsv1alpha1.ClusterServiceVersion{}
			err = yaml.Unmarshal(text, csv)
		case "CustomResourceDefinition":
			crd := &apiextensionsv1.CustomResourceDefinition{}
			err = yaml.Unmarshal(text, crd)
			definitions = append(definitions, crd)
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	if csv == nil {
		t.Fatalf("%s has no ClusterServiceVersion", dir)
	}
	return csv, definitions
}

// bundleSubset is a folder that shows only some packages of a tree of bundles.
func bundleSubset(t testing.TB, tree string, packages ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, pkg := range packages {
		if err := os.CopyFS(filepath.Join(dir, pkg), os.DirFS(filepath.Join(tree, pkg))); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// strimziCatalog is a file-based catalog whose author put the two lines of
// Strimzi releases, which their bundles do not connect, into one channel.
func strimziCatalog(t testing.TB, tree string) string {
	t.Helper()
	dir := t.TempDir()
	versions := []string{"0.51.0", "1.0.0", "1.0.1", "1.1.0", "1.2.0"}
	text := "schema: olm.package\nname: strimzi-kafka-operator\ndefaultChannel: all\n---\nschema: olm.channel\npackage: strimzi-kafka-operator\nname: all\nentries:\n"
	for i, v := range versions {
		text += fmt.Sprintf("- name: strimzi-cluster-operator.v%s\n", v)
		if i > 0 {
			text += fmt.Sprintf("  replaces: strimzi-cluster-operator.v%s\n", versions[i-1])
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "package.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, v := range versions {
		blob := inlineBundle(t, "strimzi-kafka-operator", "strimzi-cluster-operator.v"+v, v, filepath.Join(tree, "strimzi-kafka-operator", v))
		if err := os.WriteFile(filepath.Join(dir, v+".json"), blob, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// inlineBundle is an olm.bundle blob that holds the manifests of a bundle folder.
func inlineBundle(t testing.TB, pkg, name, version, dir string) []byte {
	t.Helper()
	type object = map[string]any
	properties := []object{{"type": "olm.package", "value": object{"packageName": pkg, "version": version}}}
	files, err := filepath.Glob(filepath.Join(dir, "manifests", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests in %s: %v", dir, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		properties = append(properties, object{"type": "olm.bundle.object", "value": object{"data": text}})
	}
	blob, err := json.Marshal(object{"schema": "olm.bundle", "package": pkg, "name": name, "properties": properties})
	if err != nil {
		t.Fatal(err)
	}
	return blob
}
