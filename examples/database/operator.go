package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/version"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"chandler.dev/olm/examples/database/api/v1alpha1"
	"chandler.dev/olm/examples/database/controller"
	"chandler.dev/olm/examples/database/roster"
)

// Values of --members.
const (
	membersEtcd      = "etcd"
	membersSimulated = "simulated"
)

type operatorOptions struct {
	kubeconfig     string
	namespaces     string
	version        string
	image          string
	members        string
	metricsAddress string
	probeAddress   string
	leaderElect    bool
	leaderNS       string
}

func (o *operatorOptions) flags(stderr io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet("operator", flag.ContinueOnError)
	f.SetOutput(stderr)
	release := cmp.Or(os.Getenv("DATABASE_RELEASE"), "dev")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file`; empty uses the pod's service account")
	f.StringVar(&o.namespaces, "namespaces", os.Getenv("WATCH_NAMESPACE"),
		"`namespaces` to watch, separated by commas; empty is all of them (env WATCH_NAMESPACE)")
	f.StringVar(&o.version, "version", release, "`release` that is reported in the status of databases (env DATABASE_RELEASE)")
	f.StringVar(&o.image, "member-image", os.Getenv("RELATED_IMAGE_MEMBER"),
		"`image` that members run; empty is that of the release (env RELATED_IMAGE_MEMBER)")
	f.StringVar(&o.members, "members", membersEtcd,
		"\"etcd\" asks members over the network before it adds or removes one;\n\"simulated\" goes by the readiness of pods alone, for nodes that run no containers")
	f.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", "`address` of the metrics over TLS; 0 is none")
	f.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "`address` of /healthz and /readyz; 0 is none")
	f.BoolVar(&o.leaderElect, "leader-elect", false, "let one of several replicas work")
	f.StringVar(&o.leaderNS, "leader-election-namespace", os.Getenv("POD_NAMESPACE"), "`namespace` of the lease (env POD_NAMESPACE)")
	return f
}

func (o *operatorOptions) validate() error {
	if o.members != membersEtcd && o.members != membersSimulated {
		return fmt.Errorf("--members=%q is neither %q nor %q", o.members, membersEtcd, membersSimulated)
	}
	if o.image == "" {
		o.image = "localhost/chandler/database-operator:" + o.version
	}
	return nil
}

func runOperator(ctx context.Context, args []string, stderr io.Writer) error {
	var o operatorOptions
	if err := parse(o.flags(stderr), args); err != nil {
		return err
	}
	if err := o.validate(); err != nil {
		return err
	}
	ctrl.SetLogger(zap.New(zap.WriteTo(stderr)))
	config, err := o.config()
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, o.manager())
	if err != nil {
		return err
	}
	for _, add := range []func(string, healthz.Checker) error{mgr.AddHealthzCheck, mgr.AddReadyzCheck} {
		if err := add("ping", healthz.Ping); err != nil {
			return err
		}
	}
	release := controller.Release{Version: o.version, Engine: version.Version, Image: o.image}
	if err := controller.New(mgr.GetClient(), mgr.GetEventRecorder("database-operator"), o.roster(), release).SetupWithManager(mgr); err != nil {
		return err
	}
	ctrl.Log.Info("starting", "release", release.Version, "etcd", release.Engine, "namespaces", cmp.Or(o.namespaces, "all"))
	return mgr.Start(ctx)
}

func (o *operatorOptions) config() (*rest.Config, error) {
	if o.kubeconfig == "" {
		return rest.InClusterConfig()
	}
	return clientcmd.BuildConfigFromFlags("", o.kubeconfig)
}

func (o *operatorOptions) roster() controller.Members {
	if o.members == membersSimulated {
		return nil
	}
	return roster.Pods{}
}

func (o *operatorOptions) manager() ctrl.Options {
	scheme := runtime.NewScheme()
	_ = clientgoscheme.AddToScheme(scheme)
	_ = v1alpha1.AddToScheme(scheme)
	grace := 10 * time.Second
	return ctrl.Options{
		Scheme:                        scheme,
		Cache:                         cache.Options{DefaultNamespaces: watched(o.namespaces)},
		HealthProbeBindAddress:        o.probeAddress,
		GracefulShutdownTimeout:       &grace,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              "database-operator.database.example.com",
		LeaderElectionNamespace:       o.leaderNS,
		LeaderElectionReleaseOnCancel: true,
		Metrics: metricsserver.Options{
			BindAddress:    o.metricsAddress,
			SecureServing:  true,
			FilterProvider: filters.WithAuthenticationAndAuthorization,
			TLSOpts:        []func(*tls.Config){func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }},
		},
	}
}

// watched reads the list of namespaces that the lifecycle writes into the pod's
// annotation olm.targetNamespaces. nil means all.
func watched(list string) map[string]cache.Config {
	var namespaces map[string]cache.Config
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if namespaces == nil {
			namespaces = map[string]cache.Config{}
		}
		namespaces[name] = cache.Config{}
	}
	return namespaces
}
