package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/subscription"
	"chandler.dev/olm/pkg/failure"
)

type installOptions struct {
	pkg         string
	namespace   string
	channel     string
	version     string
	start       string
	catalog     string
	global      string
	approval    string
	watch       []string
	timeout     time.Duration
	noWait      bool
	createSpace bool
}

func newInstallCommand(c *connection) *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{
		Use:   "install PACKAGE",
		Short: "Install an operator and wait until it runs",
		Long: `Subscribe a namespace to a package: an OperatorGroup if the namespace has none, a
Subscription, and then wait with progress until the operator runs. Repeating the
command continues to wait.`,
		Example: `  olm install database -n shop
  olm install database -n shop --channel fast --version '>=1.1.0 <2.0.0'
  olm install cert-manager -n operators --watch '*'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.pkg = args[0]
			o.namespace = c.namespace(o.namespace)
			cl, err := c.client()
			if err != nil {
				return err
			}
			return runInstall(cmd.Context(), cl, cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.namespace, "namespace", "n", "", "`namespace` of the operator (default: of the kubeconfig context)")
	flags.StringVar(&o.channel, "channel", "", "`channel` to follow (default: the default channel of the package)")
	flags.StringVar(&o.version, "version", "", "`range` of versions to stay in, such as '>=1.1.0 <2.0.0'")
	flags.StringVar(&o.start, "starting-csv", "", "`name` of the bundle to start with")
	flags.StringVar(&o.catalog, "catalog", "", "`NAMESPACE/NAME` of the catalog (default: the only one there is)")
	flags.StringVar(&o.global, "catalog-namespace", "olm", "`namespace` whose catalogs every namespace sees")
	flags.StringVar(&o.approval, "approval", "Automatic", "Automatic or Manual: who approves upgrades")
	flags.StringSliceVar(&o.watch, "watch", nil, "`namespaces` that the operator watches, '*' for all, when the namespace has no OperatorGroup yet (default: its own)")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Minute, "how long to wait")
	flags.BoolVar(&o.noWait, "no-wait", false, "return when the Subscription is written")
	flags.BoolVar(&o.createSpace, "create-namespace", false, "create the namespace if it is missing")
	_ = cmd.RegisterFlagCompletionFunc("approval", cobra.FixedCompletions([]string{"Automatic", "Manual"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runInstall(ctx context.Context, cl client.WithWatch, out, talk io.Writer, o installOptions) error {
	if o.approval != "Automatic" && o.approval != "Manual" {
		return failure.New(failure.Invalid, "unknown approval %q", o.approval).WithHint("use --approval Automatic or Manual")
	}
	if err := checkRange(o.version); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if err := ensureNamespace(ctx, cl, o); err != nil {
		return err
	}
	catalog, err := chooseCatalog(ctx, cl, o)
	if err != nil {
		return err
	}
	if err := ensureOperatorGroup(ctx, cl, talk, o); err != nil {
		return err
	}
	sub, err := ensureSubscription(ctx, cl, talk, o, catalog)
	if err != nil || o.noWait {
		return err
	}
	return follow(ctx, cl, out, talk, client.ObjectKeyFromObject(sub))
}

func ensureNamespace(ctx context.Context, cl client.Client, o installOptions) error {
	err := cl.Get(ctx, client.ObjectKey{Name: o.namespace}, &corev1.Namespace{})
	switch {
	case err == nil || apierrors.IsForbidden(err): // a user of one namespace cannot read it, and need not
		return nil
	case !apierrors.IsNotFound(err):
		return friendly(err)
	case !o.createSpace:
		return failure.New(failure.NotFound, "namespace %q does not exist", o.namespace).WithHint("create it, or add --create-namespace")
	}
	return friendly(cl.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.namespace}}))
}

// chooseCatalog returns the catalog to subscribe to: the one that was named,
// or the only one that the namespace sees.
func chooseCatalog(ctx context.Context, cl client.Client, o installOptions) (client.ObjectKey, error) {
	if o.catalog != "" {
		key := catalogKey(o.catalog, o.global)
		err := cl.Get(ctx, key, catalogMetadata())
		if apierrors.IsNotFound(err) {
			return key, failure.New(failure.NotFound, "there is no catalog %q in namespace %q", key.Name, key.Namespace).WithHint("list them with `kubectl get catalogsources -A`")
		}
		return key, friendly(err)
	}
	var found []client.ObjectKey
	for _, ns := range uniq(o.namespace, o.global) {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(operatorsv1alpha1.SchemeGroupVersion.WithKind(operatorsv1alpha1.CatalogSourceKind + "List"))
		if err := cl.List(ctx, list, client.InNamespace(ns)); err != nil {
			return client.ObjectKey{}, friendly(err)
		}
		for i := range list.Items {
			found = append(found, client.ObjectKeyFromObject(&list.Items[i]))
		}
	}
	switch len(found) {
	case 0:
		return client.ObjectKey{}, failure.New(failure.NotFound, "namespace %q sees no catalog", o.namespace).
			WithHint("create a CatalogSource in it or in %q, or name one with --catalog NAMESPACE/NAME", o.global)
	case 1:
		return found[0], nil
	}
	names := make([]string, len(found))
	for i, key := range found {
		names[i] = key.String()
	}
	return client.ObjectKey{}, failure.New(failure.Invalid, "namespace %q sees several catalogs: %s", o.namespace, strings.Join(names, ", ")).
		WithHint("name one with --catalog NAMESPACE/NAME")
}

// catalogKey reads NAMESPACE/NAME, or the NAME of a catalog of the global namespace.
func catalogKey(text, global string) client.ObjectKey {
	if ns, name, ok := strings.Cut(text, "/"); ok {
		return client.ObjectKey{Namespace: ns, Name: name}
	}
	return client.ObjectKey{Namespace: global, Name: text}
}

// catalogMetadata reads a CatalogSource without its spec, which the Go type of
// the operator kinds cannot read in every form that the API server takes.
func catalogMetadata() *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(operatorsv1alpha1.SchemeGroupVersion.WithKind(operatorsv1alpha1.CatalogSourceKind))
	return m
}

func uniq(a, b string) []string {
	if a == b {
		return []string{a}
	}
	return []string{a, b}
}

// ensureOperatorGroup makes a group for the namespace unless it has one.
func ensureOperatorGroup(ctx context.Context, cl client.Client, talk io.Writer, o installOptions) error {
	var groups operatorsv1.OperatorGroupList
	if err := cl.List(ctx, &groups, client.InNamespace(o.namespace)); err != nil {
		return friendly(err)
	}
	switch {
	case len(groups.Items) > 1:
		return failure.New(failure.Conflict, "namespace %q has %d operator groups", o.namespace, len(groups.Items)).WithHint("delete all but one")
	case len(groups.Items) == 1 && len(o.watch) > 0:
		return failure.New(failure.Conflict, "namespace %q has the operator group %q already", o.namespace, groups.Items[0].Name).
			WithHint("leave --watch away, or use another namespace")
	case len(groups.Items) == 1:
		return nil
	}
	group := &operatorsv1.OperatorGroup{ObjectMeta: metav1.ObjectMeta{Name: o.namespace, Namespace: o.namespace}}
	group.Spec.TargetNamespaces = targets(o)
	if err := cl.Create(ctx, group); err != nil {
		return friendly(err)
	}
	_, err := fmt.Fprintf(talk, "created operator group %s/%s, watching %s\n", o.namespace, group.Name, describeTargets(group.Spec.TargetNamespaces))
	return err
}

func targets(o installOptions) []string {
	switch {
	case len(o.watch) == 0:
		return []string{o.namespace}
	case len(o.watch) == 1 && o.watch[0] == "*":
		return nil
	}
	return o.watch
}

func describeTargets(namespaces []string) string {
	if len(namespaces) == 0 {
		return "all namespaces"
	}
	return strings.Join(namespaces, ", ")
}

// ensureSubscription writes the Subscription; one for the package that is
// there already must say the same.
func ensureSubscription(ctx context.Context, cl client.Client, talk io.Writer, o installOptions, catalog client.ObjectKey) (*operatorsv1alpha1.Subscription, error) {
	wanted := subscriptionTo(o, catalog)
	var list operatorsv1alpha1.SubscriptionList
	if err := cl.List(ctx, &list, client.InNamespace(o.namespace)); err != nil {
		return nil, friendly(err)
	}
	for i := range list.Items {
		if have := &list.Items[i]; have.Spec != nil && have.Spec.Package == o.pkg {
			return have, sameSubscription(have, wanted, o)
		}
	}
	if err := cl.Create(ctx, wanted); err != nil {
		return nil, friendly(err)
	}
	_, err := fmt.Fprintf(talk, "created subscription %s/%s to package %s of catalog %s\n", o.namespace, wanted.Name, o.pkg, catalog)
	return wanted, err
}

func subscriptionTo(o installOptions, catalog client.ObjectKey) *operatorsv1alpha1.Subscription {
	sub := &operatorsv1alpha1.Subscription{
		ObjectMeta: metav1.ObjectMeta{Name: o.pkg, Namespace: o.namespace},
		Spec: &operatorsv1alpha1.SubscriptionSpec{
			Package:                o.pkg,
			Channel:                o.channel,
			StartingCSV:            o.start,
			CatalogSource:          catalog.Name,
			CatalogSourceNamespace: catalog.Namespace,
			InstallPlanApproval:    operatorsv1alpha1.Approval(o.approval),
		},
	}
	if o.version != "" {
		sub.Annotations = map[string]string{subscription.RangeAnnotation: o.version}
	}
	return sub
}

func sameSubscription(have, want *operatorsv1alpha1.Subscription, o installOptions) error {
	differs := have.Annotations[subscription.RangeAnnotation] != o.version ||
		(o.channel != "" && have.Spec.Channel != want.Spec.Channel) ||
		(o.catalog != "" && (have.Spec.CatalogSource != want.Spec.CatalogSource || have.Spec.CatalogSourceNamespace != want.Spec.CatalogSourceNamespace))
	if !differs {
		return nil
	}
	return failure.New(failure.Conflict, "subscription %q in namespace %q asks for package %q in another way", have.Name, have.Namespace, o.pkg).
		WithHint("edit it, or remove it with `olm uninstall %s -n %s`", o.pkg, o.namespace)
}
