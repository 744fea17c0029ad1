// Package testkit gives tests a real Kubernetes, the programs of this project
// as processes, and the bundles that others publish. It is for tests only.
package testkit

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Env is a cluster that answers.
type Env struct {
	Name       string // of the devcluster
	Dir        string // that holds the folder of the cluster
	Kubeconfig string // path, cluster administrator
	Config     *rest.Config
	Client     client.WithWatch

	process *exec.Cmd
	stdin   io.Closer
}

var shared struct {
	once sync.Once
	env  *Env
	err  error
}

// Main runs the tests of a package and stops the cluster that they shared.
// Call it from TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if shared.env != nil {
		shared.env.stop()
	}
	os.Exit(code)
}

// Cluster returns the cluster that all tests of this process share, with the
// operator kinds installed. The first call starts it, in about four seconds;
// on a machine that never built Kubernetes it takes several minutes.
func Cluster(t testing.TB) *Env {
	t.Helper()
	shared.once.Do(func() { shared.env, shared.err = start() })
	if shared.err != nil {
		t.Fatalf("start a cluster: %v", shared.err)
	}
	return shared.env
}

// Own starts a cluster for one test alone, which may break it.
func Own(t testing.TB) *Env {
	t.Helper()
	env, err := start()
	if err != nil {
		t.Fatalf("start a cluster: %v", err)
	}
	t.Cleanup(env.stop)
	return env
}

var started sync.Mutex

func start() (*Env, error) {
	bin, err := Program("devcluster")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "chandler-cluster-")
	if err != nil {
		return nil, err
	}
	env := &Env{Name: filepath.Base(dir), Dir: dir}
	if err := env.run(bin); err != nil {
		env.stop()
		return nil, fmt.Errorf("%w\n%s", err, env.Log())
	}
	if err := env.connect(); err != nil {
		env.stop()
		return nil, err
	}
	return env, nil
}

// run starts the cluster as a child that ends when its standard input does.
func (e *Env) run(bin string) error {
	e.process = exec.Command(bin, "run", "--name", e.Name, "--dir", e.Dir, "--audit") //nolint:noctx // stop ends it, after the context of any test
	log, err := os.Create(filepath.Join(e.Dir, "devcluster.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the child has its own handle
	e.process.Stderr = log
	stdout, err := e.process.StdoutPipe()
	if err != nil {
		return err
	}
	if e.stdin, err = e.process.StdinPipe(); err != nil {
		return err
	}
	started.Lock()
	err = e.process.Start()
	started.Unlock()
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if path, ok := strings.CutPrefix(lines.Text(), "kubeconfig: "); ok {
			e.Kubeconfig = path
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return nil
		}
	}
	return fmt.Errorf("the cluster did not start")
}

func (e *Env) connect() error {
	cfg, err := clientcmd.BuildConfigFromFlags("", e.Kubeconfig)
	if err != nil {
		return err
	}
	cfg.QPS, cfg.Burst = 500, 1000
	e.Config = cfg
	if e.Client, err = client.NewWithWatch(cfg, client.Options{Scheme: Scheme()}); err != nil {
		return err
	}
	return e.setup()
}

// setup installs the operator kinds with the program that users run.
func (e *Env) setup() error {
	bin, err := Program("olm")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, bin, "setup", "--kubeconfig", e.Kubeconfig).CombinedOutput()
	if err != nil {
		return fmt.Errorf("olm setup: %w\n%s", err, out)
	}
	return nil
}

func (e *Env) stop() {
	if e.stdin != nil {
		_ = e.stdin.Close()
		_ = e.process.Wait()
	}
	_ = os.RemoveAll(e.Dir)
}

// Log returns what the cluster said while it started.
func (e *Env) Log() string {
	text, _ := os.ReadFile(filepath.Join(e.Dir, "devcluster.log"))
	return string(text)
}

// AuditLog is the file in which the API server records every request.
func (e *Env) AuditLog() string { return filepath.Join(e.Dir, e.Name, "logs", "audit.log") }

// Scheme knows every kind that tests read.
func Scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, apiregistrationv1.AddToScheme,
		operatorsv1alpha1.AddToScheme, operatorsv1.AddToScheme, operatorsv2.AddToScheme,
	} {
		if err := add(s); err != nil {
			panic(err) // a scheme that cannot be built is a broken constant
		}
	}
	return s
}

// Namespace creates a namespace with a name that begins with prefix. It is
// deleted when the test ends.
func (e *Env) Namespace(t testing.TB, prefix string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix + "-"}}
	if err := e.Client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := e.Client.Delete(ctx, ns); client.IgnoreNotFound(err) != nil {
			t.Errorf("delete namespace: %v", err)
		}
	})
	return ns.Name
}
