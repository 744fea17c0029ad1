package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"chandler.dev/olm/devcluster/internal/egress"
	"chandler.dev/olm/devcluster/internal/node"
	"chandler.dev/olm/devcluster/internal/pki"
	"chandler.dev/olm/devcluster/internal/simulated"
)

const (
	killSignal = syscall.SIGKILL
	// portAttempts is how often a start is tried again because another process took a port first.
	portAttempts = 5
)

// start brings everything up, or returns an error with nothing running.
func (s *supervisor) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.timeout())
	defer cancel()
	for attempt := 1; ; attempt++ {
		err := s.startWithPorts(ctx)
		if err == nil || attempt == portAttempts || !isPortTaken(err) {
			return err
		}
		_, _ = fmt.Fprintf(s.log, "a port was taken by another process, trying others: %v\n", err)
	}
}

// startWithPorts starts everything on ports that are free now. The context bounds the start, not the life of the cluster.
func (s *supervisor) startWithPorts(ctx context.Context) (err error) {
	if err := s.prepare(); err != nil {
		return err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	s.end = end
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case failure := <-s.failed:
			cancel(failure)
		case <-done:
		}
	}()
	if err := s.bringUp(ctx, life); err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			return fmt.Errorf("%w (%w)", cause, err)
		}
		return err
	}
	return s.setPhase(Ready)
}

// prepare leaves nothing in the folder but what a start needs.
func (s *supervisor) prepare() error {
	select {
	case err := <-s.failed:
		_, _ = fmt.Fprintf(s.log, "the attempt before failed as well: %v\n", err)
	default:
	}
	s.clearNode()
	if err := s.folder.clear(s.options.keep...); err != nil {
		return err
	}
	if err := os.MkdirAll(s.folder.Path("logs"), 0o755); err != nil {
		return fmt.Errorf("create logs: %w", err)
	}
	return s.setPhase(Starting)
}

// bringUp starts the components in the order of their needs.
func (s *supervisor) bringUp(ctx, life context.Context) error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	l := layout{
		folder: s.folder, programs: s.options.Program, audit: s.options.Audit,
		port: ports[0], etcdPort: ports[1], peerPort: ports[2],
	}
	var real *realNode
	if s.options.Nodes == Real {
		if real, err = s.launchNode(ctx, life); err != nil {
			return err
		}
		l.advertise = real.network.HostIP().String()
	}
	keys, err := newCredentials(s.folder, real.addresses())
	if err != nil {
		return err
	}
	if err := s.writeConfigs(l, keys); err != nil {
		return err
	}
	if real != nil {
		err = real.configure(l, keys)
	} else {
		l.egress = true
		err = s.startEgress(life)
	}
	if err != nil {
		return err
	}
	client, err := newAPI(l.url(), keys.authority.Pair, keys.admin)
	if err != nil {
		return err
	}
	if err := s.bringUpControlPlane(ctx, life, l, client); err != nil {
		return err
	}
	if err := s.bringUpNodes(ctx, life, l, client, real); err != nil {
		return err
	}
	err = await(ctx, "the default service account", client.exists("/api/v1/namespaces/default/serviceaccounts/default"))
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.state.Server = l.url()
	s.mu.Unlock()
	return writeFile(s.folder.Kubeconfig(), keys.kubeconfig(s.folder.Name(), l.url(), "admin", keys.admin), 0o600)
}

func (s *supervisor) bringUpControlPlane(ctx, life context.Context, l layout, client *api) error {
	if err := s.launch(life, l.etcd()); err != nil {
		return err
	}
	if err := await(ctx, "etcd", listens(ctx, l.etcdPort)); err != nil {
		return err
	}
	if err := s.launch(life, l.apiServer()); err != nil {
		return err
	}
	if err := await(ctx, "the API server", client.ready); err != nil {
		return err
	}
	if err := s.launch(life, l.controllerManager()); err != nil {
		return err
	}
	return s.launch(life, l.scheduler())
}

func (s *supervisor) bringUpNodes(ctx, life context.Context, l layout, client *api, real *realNode) error {
	if real != nil {
		if err := real.openServer(life, l); err != nil {
			return err
		}
		return await(ctx, "the node", client.nodesReady(1))
	}
	if err := s.launch(life, l.kwok()); err != nil {
		return err
	}
	for i := range s.options.NodeCount {
		if _, err := client.do(ctx, http.MethodPost, "/api/v1/nodes", simulatedNode(i)); err != nil {
			return err
		}
	}
	return await(ctx, "the nodes", client.nodesReady(s.options.NodeCount))
}

// startEgress lets the API server reach what plays pods on this machine.
func (s *supervisor) startEgress(life context.Context) error {
	proxy, err := egress.Start()
	if err != nil {
		return err
	}
	context.AfterFunc(life, proxy.Close)
	return writeFile(s.folder.Path("egress.yaml"), proxy.Configuration(), 0o644)
}

func (s *supervisor) writeConfigs(l layout, keys *credentials) error {
	for user, subject := range map[string]pki.Subject{
		"controller-manager": {CommonName: "system:kube-controller-manager"},
		"scheduler":          {CommonName: "system:kube-scheduler"},
		"kwok":               {CommonName: "kwok", Organizations: []string{"system:masters"}},
	} {
		path := s.folder.Path("pki", user+".kubeconfig")
		if err := keys.writeKubeconfig(path, s.folder.Name(), l.url(), subject); err != nil {
			return err
		}
	}
	if err := writeFile(s.folder.Path("audit-policy.yaml"), []byte(auditPolicy), 0o644); err != nil {
		return err
	}
	return writeFile(s.folder.Path("stages.yaml"), simulated.Stages, 0o644)
}

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// stop takes everything down.
func (s *supervisor) stop() {
	_ = s.setPhase(Stopping) // only a courtesy to those who look
	if s.end != nil {
		s.end()
	}
	s.halt()
	s.clearNode()
}

// clearNode deletes what a real node leaves outside of its namespaces.
func (s *supervisor) clearNode() {
	if s.options.Nodes == Real {
		node.RemoveCgroup(node.Cgroup(string(s.folder)))
	}
}

// listens succeeds when something accepts connections at the port.
func listens(ctx context.Context, port int) func(context.Context) error {
	dialer := net.Dialer{Timeout: time.Second}
	return func(context.Context) error {
		conn, err := dialer.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return fmt.Errorf("not yet: %w", err)
		}
		return conn.Close()
	}
}

// isPortTaken says whether a component ended because another process was faster in taking its port.
func isPortTaken(err error) bool {
	var exit *exitError
	return errors.As(err, &exit) && strings.Contains(tail(exit.log), "address already in use")
}

// tail returns the last lines of a log, or nothing if there are none.
func tail(path string) string {
	const lines = 8
	content, err := os.ReadFile(path)
	if err != nil || len(content) == 0 {
		return ""
	}
	all := strings.Split(strings.TrimSpace(string(content)), "\n")
	return "\n  " + strings.Join(all[max(0, len(all)-lines):], "\n  ")
}
