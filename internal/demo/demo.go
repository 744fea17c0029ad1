package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	namespace = "shop"   // where the operator and its database live
	database  = "orders" // the ProductionReadyDatabase
	patience  = 3 * time.Minute
)

// demo is one walk through the main job.
type demo struct {
	nodes string
	keep  bool

	line       *timeline
	dir        string // logs, the served catalog, the cluster
	address    string // of the catalog server
	kubeconfig string
	client     client.Client
	pods       kubernetes.Interface
	children   []*child
	operator   *child // stands in for the operator's container on simulated nodes
	before     identity
	keepLogs   bool
}

// identity is what must outlive an upgrade.
type identity struct {
	database, statefulSet types.UID
	ready                 int64
}

func (d *demo) run(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "chandler-demo-"); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		d.startCluster, d.startPrograms, d.install, d.createDatabase,
		func(ctx context.Context) error { return d.upgrade(ctx, "1.1.0") },
		func(ctx context.Context) error { return d.upgrade(ctx, "2.0.0") },
		d.summary,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// close ends every program that was started, last first.
func (d *demo) close() error {
	for _, c := range slices.Backward(d.children) {
		c.stop()
	}
	if d.dir == "" || d.keepLogs {
		return nil
	}
	return os.RemoveAll(d.dir)
}

// bin is one of the programs that `make demo` builds first.
func bin(name string) string { return filepath.Join("bin", name) }

func (d *demo) start(ready, program string, args ...string) (string, error) {
	c, found, err := start(d.dir, ready, program, args...)
	if err != nil {
		return "", err
	}
	d.children = append(d.children, c)
	return found, nil
}

func (d *demo) startCluster(ctx context.Context) (err error) {
	d.line.title("A Kubernetes with %s nodes", d.nodes)
	d.kubeconfig, err = d.start("kubeconfig: ", bin("devcluster"), "run", "--name", "demo", "--dir", d.dir, "--nodes", d.nodes)
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", d.kubeconfig)
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	if err := operatorsv1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	if d.client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	if d.pods, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	d.line.say("the API server answers, the node is ready")
	if d.nodes == "real" {
		return d.loadImages(ctx)
	}
	return nil
}

// startPrograms runs a catalog with one release, and the controller.
func (d *demo) startPrograms(ctx context.Context) error {
	d.line.title("The two programs")
	out, err := output(ctx, bin("olm"), "setup", "--kubeconfig", d.kubeconfig)
	if err != nil {
		return err
	}
	d.line.say("olm setup: %d objects", strings.Count(out, "\n"))
	if err := d.publish("1.0.0"); err != nil {
		return err
	}
	if d.address, err = freeAddress(ctx); err != nil {
		return err
	}
	if _, err := d.start("", bin("catalog"), "serve", "--watch", "--address", d.address, "--http-address", "", filepath.Join(d.dir, "catalog")); err != nil {
		return err
	}
	d.line.say("catalog serve --watch: version 1.0.0 of package database on %s", d.address)
	if _, err := d.start("", bin("olm"), "controller", "--kubeconfig", d.kubeconfig, "--data-dir", filepath.Join(d.dir, "olm"),
		"--health-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0"); err != nil {
		return err
	}
	d.line.say("olm controller: started")
	source := &operatorsv1alpha1.CatalogSource{ObjectMeta: metav1.ObjectMeta{Namespace: "olm", Name: "demo"}}
	source.Spec.SourceType = operatorsv1alpha1.SourceTypeGrpc
	source.Spec.Address = d.address
	return d.client.Create(ctx, source)
}

// publish puts a release into the folder that the catalog serves. It is
// renamed into place, so that the server never sees half of it.
func (d *demo) publish(version string) error {
	tmp := filepath.Join(d.dir, "release-"+version)
	if err := os.CopyFS(tmp, os.DirFS(filepath.Join("catalogs", "database", "bundles", version))); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(d.dir, "catalog"), 0o750); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(d.dir, "catalog", version))
}

func (d *demo) install(ctx context.Context) error {
	d.line.title("Install: olm install database -n %s --create-namespace", namespace)
	out, err := output(ctx, bin("olm"), "install", "database", "--kubeconfig", d.kubeconfig, "-n", namespace, "--create-namespace")
	d.line.quote(out)
	if err != nil {
		return err
	}
	d.line.say("the operator runs at 1.0.0")
	return d.standIn("1.0.0")
}

// standIn runs the operator on this machine in place of the container that a
// simulated node does not run. On real nodes there is nothing to do.
func (d *demo) standIn(version string) error {
	if d.nodes == "real" {
		return nil
	}
	if d.operator != nil {
		d.operator.stop()
	}
	c, _, err := start(d.dir, "", bin("database"), "operator", "--kubeconfig", d.kubeconfig, "--namespaces", namespace, "--members", "simulated",
		"--version", version, "--metrics-bind-address", "0", "--health-probe-bind-address", "0")
	if err != nil {
		return err
	}
	if d.operator == nil {
		d.children = append(d.children, c)
	} else {
		d.children[slices.Index(d.children, d.operator)] = c
	}
	d.operator = c
	d.line.say("(simulated nodes run no containers: the operator of %s runs on this machine in their place)", version)
	return nil
}

var databaseKind = schema.GroupVersionKind{Group: "database.example.com", Version: "v1alpha1", Kind: "ProductionReadyDatabase"}

func (d *demo) createDatabase(ctx context.Context) error {
	d.line.title("A database: kind ProductionReadyDatabase, clusterSize 3")
	db := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"clusterSize": int64(3), "readReplicas": int64(0), "version": "3.6.8"}}}
	db.SetGroupVersionKind(databaseKind)
	db.SetNamespace(namespace)
	db.SetName(database)
	if err := d.client.Create(ctx, db); err != nil {
		return err
	}
	last := ""
	err := d.await(ctx, "the database to be ready", func(ctx context.Context) (bool, error) {
		if err := d.client.Get(ctx, client.ObjectKeyFromObject(db), db); err != nil {
			return false, err
		}
		phase, _, _ := unstructured.NestedString(db.Object, "status", "phase")
		ready, _, _ := unstructured.NestedInt64(db.Object, "status", "readyMembers")
		if line := fmt.Sprintf("%s, %d of 3 members ready", phase, ready); line != last && phase != "" {
			last = line
			d.line.say("%s: %s", database, line)
		}
		return ready == 3 && phase == "Running", nil
	})
	if err != nil {
		return err
	}
	if d.before, err = d.identity(ctx); err != nil {
		return err
	}
	if err := d.membersAnswer(ctx); err != nil {
		return err
	}
	return d.writeKey(ctx)
}

// upgrade publishes a release and watches the cluster follow.
func (d *demo) upgrade(ctx context.Context, version string) error {
	d.line.title("Upgrade: %s is published", version)
	if err := d.publish(version); err != nil {
		return err
	}
	d.line.say("catalog: %s is in the served folder", version)
	name, last := "database.v"+version, ""
	err := d.await(ctx, version+" to run", func(ctx context.Context) (bool, error) {
		var csv operatorsv1alpha1.ClusterServiceVersion
		if err := d.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &csv); err != nil {
			return false, client.IgnoreNotFound(err)
		}
		if phase := string(csv.Status.Phase); phase != last && phase != "" {
			last = phase
			d.line.say("%s: %s", name, phase)
		}
		return csv.Status.Phase == operatorsv1alpha1.CSVPhaseSucceeded, nil
	})
	if err != nil {
		return err
	}
	if err := d.standIn(version); err != nil {
		return err
	}
	return d.survived(ctx, version)
}

// survived checks that the database and what runs it are the same objects as before.
func (d *demo) survived(ctx context.Context, version string) error {
	now, err := d.identity(ctx)
	if err != nil {
		return err
	}
	if now != d.before {
		return fmt.Errorf("the database did not live through the upgrade to %s: before %+v, now %+v", version, d.before, now)
	}
	d.line.say("%s lived through it: the same object and the same StatefulSet, %d members ready", database, now.ready)
	return d.readKey(ctx)
}

func (d *demo) identity(ctx context.Context) (identity, error) {
	db := &unstructured.Unstructured{}
	db.SetGroupVersionKind(databaseKind)
	key := client.ObjectKey{Namespace: namespace, Name: database}
	if err := d.client.Get(ctx, key, db); err != nil {
		return identity{}, err
	}
	var set appsv1.StatefulSet
	if err := d.client.Get(ctx, key, &set); err != nil {
		return identity{}, err
	}
	return identity{database: db.GetUID(), statefulSet: set.UID, ready: int64(set.Status.ReadyReplicas)}, nil
}

func (d *demo) summary(ctx context.Context) error {
	d.line.title("olm status")
	out, err := output(ctx, bin("olm"), "status", "--kubeconfig", d.kubeconfig)
	if err != nil {
		return err
	}
	d.line.quote(out)
	d.line.say("done")
	return nil
}

// await asks until done says so, and gives up after patience.
func (d *demo) await(ctx context.Context, what string, done wait.ConditionWithContextFunc) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, patience, true, func(context.Context) (ok bool, _ error) {
		ok, last = done(ctx)
		return ok, nil
	})
	if err == nil {
		return nil
	}
	d.keepLogs = true
	return errors.Join(fmt.Errorf("waited %s for %s; the logs are in %s", patience, what, d.dir), last)
}

func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
