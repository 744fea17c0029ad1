package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"chandler.dev/olm/pkg/failure"
)

// controllerOptions are the flags of the controller. Each also has an
// environment variable: OLM_DATA_DIR for --data-dir.
type controllerOptions struct {
	dataDir          string
	catalogNamespace string
	catalogServer    string
	clusterDomain    string
	healthAddress    string
	metricsAddress   string
	leaderElect      bool
	leaderNamespace  string
	logLevel         int
	logFormat        string
	// convertDefinitions lets definitions of v1beta1 become v1.
	convertDefinitions bool
	// protectedNamespaces keep copies of global operators when copying is off.
	protectedNamespaces []string
	rights              string
	// deputies are users who ask for others.
	deputies []string
}

// What happens to a plan that would grant what nobody who asked for it has.
const (
	rightsEnforce = "enforce" // it waits for the approval of somebody who has the rights
	rightsWarn    = "warn"    // an event says so
	rightsOff     = "off"     // nobody looks, as in OLM v0
)

func newControllerCommand(c *connection) *cobra.Command {
	var o controllerOptions
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Run the lifecycle controller",
		Long: `Run the lifecycle controller until it is interrupted, in a cluster or outside of it. Each flag
can also be set in the environment: OLM_DATA_DIR for --data-dir.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(cmd.Flags()); err != nil {
				return err
			}
			cfg, err := c.config()
			if err != nil {
				return err
			}
			return runController(cmd.Context(), cfg, o)
		},
	}
	o.addTo(cmd.Flags())
	return cmd
}

func (o *controllerOptions) addTo(flags *pflag.FlagSet) {
	_, inCluster := os.LookupEnv("KUBERNETES_SERVICE_HOST")
	flags.StringVar(&o.dataDir, "data-dir", defaultDataDir(), "`folder` for snapshots of catalogs; may be lost at any time")
	flags.StringVar(&o.catalogNamespace, "catalog-namespace", "olm", "`namespace` whose catalogs every namespace sees")
	flags.StringVar(&o.catalogServer, "catalog-server", "", "`host:port` of \"catalog serve --kubernetes\", which serves the images and ConfigMaps of catalogs (default in a cluster: catalog.<catalog namespace>.svc:50051)")
	flags.StringVar(&o.clusterDomain, "cluster-domain", "cluster.local", "`domain` of the names of services")
	flags.StringVar(&o.healthAddress, "health-address", "127.0.0.1:8081", "`address` of /healthz and /readyz; 0 for none")
	flags.StringVar(&o.metricsAddress, "metrics-address", "127.0.0.1:8082", "`address` of /metrics; 0 for none")
	flags.BoolVar(&o.leaderElect, "leader-elect", inCluster, "let only one of several controllers act (default: in a cluster)")
	flags.StringVar(&o.leaderNamespace, "leader-namespace", "olm", "`namespace` of the lease")
	flags.BoolVar(&o.convertDefinitions, "convert-definitions", false, "install bundles whose resource definitions are of v1beta1, as v1, where that loses nothing; without it they are refused")
	flags.StringSliceVar(&o.protectedNamespaces, "protected-copied-csv-namespaces", nil, "`namespaces` that have copies of global operators although the OLMConfig turns copies off")
	flags.SetNormalizeFunc(flagNames)
	flags.StringVar(&o.rights, "rights", rightsEnforce, "what to do about plans that exceed the rights of who asked for them: enforce, warn or off")
	flags.StringSliceVar(&o.deputies, "deputies", nil, "`users`, as patterns, who make requests for others, so that their rights count for nothing: system:serviceaccount:argocd:*")
	flags.IntVarP(&o.logLevel, "v", "v", 0, "log `level`: 0 what changed, 1 also why")
	flags.StringVar(&o.logFormat, "log-format", "text", "text or json")
}

// flagNames makes the flags of OLM v0 known by their names there.
func flagNames(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	switch name {
	case "protectedCopiedCSVNamespaces":
		name = "protected-copied-csv-namespaces"
	case "namespace":
		name = "catalog-namespace"
	}
	return pflag.NormalizedName(name)
}

func defaultDataDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "chandler", "olm")
}

// fromEnvironment sets the flags that were not given from OLM_* variables.
func fromEnvironment(flags *pflag.FlagSet) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "OLM_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, ok := os.LookupEnv(name)
		if !ok || f.Changed || f.Name == "help" {
			return
		}
		if err := f.Value.Set(value); err != nil {
			errs = append(errs, failure.New(failure.Invalid, "cannot read %s=%q: %v", name, value, err).WithHint("see `olm controller --help`"))
		}
	})
	return errors.Join(errs...)
}

func runController(ctx context.Context, cfg *rest.Config, o controllerOptions) error {
	switch o.rights {
	case rightsEnforce, rightsWarn, rightsOff:
	default:
		return failure.New(failure.Invalid, "unknown mode %q of --rights", o.rights).WithHint("use enforce, warn or off")
	}
	log, err := newLogger(o)
	if err != nil {
		return err
	}
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	cfg = rest.CopyConfig(cfg)
	cfg.UserAgent = "chandler-olm"
	cfg.QPS, cfg.Burst = 200, 400 // the API server's own fairness decides; waiting here only hides it
	manager, err := newManager(cfg, o)
	if err != nil {
		return err
	}
	closer, err := addControllers(ctx, manager, o)
	if err != nil {
		return err
	}
	defer closer()
	log.Info("the controller starts", "dataDir", o.dataDir, "catalogNamespace", o.catalogNamespace, "leaderElection", o.leaderElect)
	return friendly(manager.Start(ctx))
}

func newLogger(o controllerOptions) (logr.Logger, error) {
	switch o.logFormat {
	case "text", "json":
	default:
		return logr.Logger{}, failure.New(failure.Invalid, "unknown log format %q", o.logFormat).WithHint("use --log-format text or json")
	}
	return zap.New(zap.UseDevMode(false), zap.Level(zapLevel(o.logLevel)), zapEncoder(o.logFormat)), nil
}

// leaseDuration is after how long another controller acts for one that died.
const leaseDuration = 12 * time.Second

func newManager(cfg *rest.Config, o controllerOptions) (ctrl.Manager, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	// Resource definitions are the largest objects that the controller handles; as
	// protobuf they cost both sides a fraction of what they cost as JSON.
	if err := apiutil.AddToProtobufScheme(apiextensionsv1.AddToScheme); err != nil {
		return nil, err
	}
	grace, lease, renew := 5*time.Second, leaseDuration, leaseDuration-2*time.Second
	manager, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:                        scheme,
		Cache:                         cacheOptions(),
		Client:                        clientOptions(),
		Metrics:                       metricsserver.Options{BindAddress: o.metricsAddress},
		HealthProbeBindAddress:        o.healthAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              "chandler-olm",
		LeaderElectionNamespace:       o.leaderNamespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &lease,
		RenewDeadline:                 &renew,
		GracefulShutdownTimeout:       &grace,
	})
	if err != nil {
		return nil, fmt.Errorf("start the controller: %w", friendly(err))
	}
	if err := manager.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, err
	}
	return manager, manager.AddReadyzCheck("ping", healthz.Ping)
}
