package main

import (
	"context"
	"path/filepath"

	"go.uber.org/zap/zapcore"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"chandler.dev/olm/pkg/controller/admission/authority"
	"chandler.dev/olm/pkg/controller/apiservice"
	"chandler.dev/olm/pkg/controller/cached"
	"chandler.dev/olm/pkg/controller/catalogsource"
	"chandler.dev/olm/pkg/controller/catalogsource/dial"
	"chandler.dev/olm/pkg/controller/catalogsource/pull"
	"chandler.dev/olm/pkg/controller/copiedcsv"
	"chandler.dev/olm/pkg/controller/csv"
	"chandler.dev/olm/pkg/controller/installplan"
	"chandler.dev/olm/pkg/controller/metric"
	"chandler.dev/olm/pkg/controller/operator"
	"chandler.dev/olm/pkg/controller/operatorcondition"
	"chandler.dev/olm/pkg/controller/operatorgroup"
	"chandler.dev/olm/pkg/controller/snapshot"
	"chandler.dev/olm/pkg/controller/subscription"
	"chandler.dev/olm/pkg/failure"
)

// cacheOptions keep the memory of the controller proportional to what it
// manages, whatever else the cluster holds.
func cacheOptions() cache.Options {
	return cache.Options{ByObject: cached.Objects(), DefaultTransform: cache.TransformStripManagedFields()}
}

// clientOptions send reads of kinds that are too large or too secret to cache
// to the API server.
func clientOptions() client.Options {
	return client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}}}
}

// addControllers gives the manager one reconciler for each kind. The function
// that it returns closes what they share.
func addControllers(ctx context.Context, mgr ctrl.Manager, o controllerOptions) (func(), error) {
	snapshots, err := snapshot.New(snapshot.Options{
		Dir: filepath.Join(o.dataDir, "snapshots"), Open: dial.OpenFile, Fetch: pull.Bundles{Reader: mgr.GetAPIReader()}.Content,
	})
	if err != nil {
		return nil, err
	}
	catalogs, err := catalogsource.OptionsFor(mgr, snapshots, dial.Address)
	if err != nil {
		return nil, err
	}
	catalogs.Hosting = hostingOf(o)
	subscriptions, err := subscription.OptionsFor(mgr, snapshots, o.catalogNamespace)
	if err != nil {
		return nil, err
	}
	versions, err := csv.OptionsFor(mgr)
	if err != nil {
		return nil, err
	}
	plans, err := executorOptions(mgr, snapshots, o)
	if err != nil {
		return nil, err
	}
	conditions, err := operatorcondition.OptionsFor(mgr)
	if err != nil {
		return nil, err
	}
	copies, err := copiedcsv.OptionsFor(mgr)
	if err != nil {
		return nil, err
	}
	copies.Protected = o.protectedNamespaces
	for _, controller := range []interface{ SetupWithManager(ctrl.Manager) error }{
		catalogsource.New(catalogs),
		operatorgroup.New(operatorgroup.OptionsFor(mgr)),
		subscription.New(subscriptions),
		installplan.New(plans),
		csv.New(versions),
		&apiservice.Reconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader()},
		operatorcondition.New(conditions),
		copiedcsv.New(copies),
		operator.New(mgr.GetCache(), mgr.GetClient()),
	} {
		if err := controller.SetupWithManager(mgr); err != nil {
			return nil, err
		}
	}
	snapshots.Watch(func(catalog types.NamespacedName) {
		if snapshots.Origin(catalog) != "" {
			metric.Read(catalog)
		}
	})
	if err := metric.Register(ctx, mgr, metrics.Registry, catalogsource.NewList); err != nil {
		return nil, err
	}
	return func() { _ = snapshots.Close() }, mgr.Add(manager.RunnableFunc(saveMemory))
}

func executorOptions(mgr ctrl.Manager, snapshots *snapshot.Cache, o controllerOptions) (installplan.Options, error) {
	plans, err := installplan.OptionsFor(mgr, snapshots)
	if err != nil {
		return plans, err
	}
	plans.CatalogNamespace, plans.ConvertDefinitions = o.catalogNamespace, o.convertDefinitions
	plans.Warned = metric.Warned
	o.judge(&plans)
	return plans, o.canRecord(mgr.GetRESTMapper())
}

// canRecord fails if the API server is too old to record who asks for
// something, but plans are to be held against it.
func (o controllerOptions) canRecord(mapper meta.RESTMapper) error {
	if o.rights != rightsEnforce {
		return nil
	}
	kind := admissionv1.SchemeGroupVersion.WithKind("MutatingAdmissionPolicy")
	_, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		return failure.New(failure.Blocked, "this cluster cannot record who asks for something, which takes Kubernetes 1.36").
			WithHint("run the controller with --rights=warn or --rights=off; see docs/security.md")
	}
	return err
}

// judge gives plans the authority that --rights asks for.
func (o controllerOptions) judge(plans *installplan.Options) {
	if o.rights == rightsOff {
		return
	}
	plans.Authority = authority.New(authority.Options{
		Client: plans.Cluster.Client(), CatalogNamespace: o.catalogNamespace, Deputies: o.deputies, Clock: clock.RealClock{},
	})
	plans.Advisory = o.rights == rightsWarn
}

// zapLevel turns 0, 1, 2… into the levels of the logging library, which count down.
func zapLevel(v int) zapcore.Level { return zapcore.Level(-min(max(v, 0), 10)) } //nolint:gosec // in range

func zapEncoder(format string) zap.Opts {
	if format == "json" {
		return zap.JSONEncoder()
	}
	return zap.ConsoleEncoder()
}
