package main

import (
	"context"
	"fmt"
	"io"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"chandler.dev/olm/pkg/failure"
)

// fieldManager owns what setup applies.
const fieldManager = "chandler-setup"

type setupOptions struct {
	catalogNamespace  string
	operatorNamespace string
	serviceAccount    string
	timeout           time.Duration
}

func newSetupCommand(c *connection) *cobra.Command {
	var o setupOptions
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Prepare a cluster: resource definitions, namespaces and roles",
		Long: `Prepare a cluster for the controller. Safe to repeat: what is there already and as it
should be is left alone, and nothing is ever removed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			return runSetup(cmd.Context(), cl, cmd.OutOrStdout(), o)
		},
	}
	cmd.Flags().StringVar(&o.catalogNamespace, "catalog-namespace", "olm", "`namespace` whose catalogs every namespace sees")
	cmd.Flags().StringVar(&o.operatorNamespace, "operator-namespace", "operators", "`namespace` for operators that watch all namespaces; empty for none")
	cmd.Flags().StringVar(&o.serviceAccount, "service-account", "olm", "`name` of the service account for a controller in the cluster, with the rights that it needs; empty for none")
	cmd.Flags().DurationVar(&o.timeout, "timeout", time.Minute, "how long to wait for the resource definitions")
	return cmd
}

func runSetup(ctx context.Context, cl client.Client, out io.Writer, o setupOptions) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	definitions := definitions()
	for _, crd := range definitions {
		if err := ensure(ctx, cl, out, crd); err != nil {
			return err
		}
	}
	for _, crd := range definitions {
		if err := established(ctx, cl, crd.GetName()); err != nil {
			return err
		}
	}
	for _, obj := range setupObjects(o) {
		if err := ensure(ctx, cl, out, obj); err != nil {
			return err
		}
	}
	return ensurePolicies(ctx, cl, out, o)
}

func setupObjects(o setupOptions) []client.Object {
	objects := []client.Object{namespace(o.catalogNamespace), editRole(), viewRole()}
	if o.serviceAccount != "" {
		objects = append(objects, grants(o.catalogNamespace, o.serviceAccount)...)
		objects = append(objects, hostingObjects(o.catalogNamespace)...)
	}
	if o.operatorNamespace != "" {
		objects = append(objects, namespace(o.operatorNamespace), &operatorsv1.OperatorGroup{
			ObjectMeta: metav1.ObjectMeta{Name: "global-operators", Namespace: o.operatorNamespace},
		})
	}
	return objects
}

func namespace(name string) client.Object {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

var readVerbs = []string{"get", "list", "watch"}

func editRole() client.Object {
	return role("aggregate-olm-edit", []string{"admin", "edit"},
		rbacv1.PolicyRule{APIGroups: []string{"operators.coreos.com"}, Resources: []string{"subscriptions"}, Verbs: []string{"create", "update", "patch", "delete"}},
		rbacv1.PolicyRule{APIGroups: []string{"operators.coreos.com"}, Resources: []string{"clusterserviceversions", "catalogsources", "installplans", "subscriptions"}, Verbs: []string{"delete"}})
}

func viewRole() client.Object {
	return role("aggregate-olm-view", []string{"admin", "edit", "view"},
		rbacv1.PolicyRule{APIGroups: []string{"operators.coreos.com"}, Resources: []string{"clusterserviceversions", "catalogsources", "installplans", "subscriptions", "operatorgroups"}, Verbs: readVerbs},
		rbacv1.PolicyRule{APIGroups: []string{"packages.operators.coreos.com"}, Resources: []string{"packagemanifests", "packagemanifests/icon"}, Verbs: readVerbs})
}

func role(name string, aggregateTo []string, rules ...rbacv1.PolicyRule) client.Object {
	labels := map[string]string{}
	for _, to := range aggregateTo {
		labels["rbac.authorization.k8s.io/aggregate-to-"+to] = "true"
	}
	return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Rules: rules}
}

// ensure applies obj on the server's side and says what happened to it.
func ensure(ctx context.Context, cl client.Client, out io.Writer, obj client.Object) error {
	gvk, err := apiutil.GVKForObject(obj, cl.Scheme())
	if err != nil {
		return err
	}
	current := obj.DeepCopyObject().(client.Object)
	err = cl.Get(ctx, client.ObjectKeyFromObject(obj), current)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("read %s %q: %w", gvk.Kind, obj.GetName(), friendly(err))
	}
	verb, before := "unchanged", current.GetResourceVersion()
	if apierrors.IsNotFound(err) {
		verb, before = "created", ""
	}
	labels := obj.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels["app.kubernetes.io/managed-by"] = fieldManager // an applier that owns no field would be written again each time
	obj.SetLabels(labels)
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return err
	}
	applied := applyConfiguration(fields)
	applied.SetGroupVersionKind(gvk)
	if err := cl.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied), client.FieldOwner(fieldManager), client.ForceOwnership); err != nil {
		return fmt.Errorf("apply %s %q: %w", gvk.Kind, obj.GetName(), friendly(err))
	}
	if before != "" && applied.GetResourceVersion() != before {
		verb = "configured"
	}
	_, err = fmt.Fprintf(out, "%s %s %s\n", gvk.Kind, obj.GetName(), verb)
	return err
}

// established waits until the API server serves a definition.
func established(ctx context.Context, cl client.Client, name string) error {
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		var crd apiextensionsv1.CustomResourceDefinition
		if err := cl.Get(ctx, client.ObjectKey{Name: name}, &crd); err != nil {
			return false, client.IgnoreNotFound(err)
		}
		for _, c := range crd.Status.Conditions {
			if c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return &failure.Error{Kind: failure.Waiting, Message: fmt.Sprintf("resource definition %q is not served yet", name), Hint: "see `kubectl describe crd`, then run `olm setup` again", Err: err}
	}
	return nil
}
