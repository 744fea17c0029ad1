package cluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"

	"chandler.dev/olm/devcluster/internal/node"
	"chandler.dev/olm/devcluster/internal/pki"
	"chandler.dev/olm/devcluster/internal/relay"
)

const (
	realNodeName = "node-0"
	// nodeComponent is the init of a real node, under which everything else of it runs.
	nodeComponent = "node"
)

// realNode is the only node of a cluster with real pods.
type realNode struct {
	folder  Folder
	network node.Network
}

// launchNode starts the namespaces of the node and connects them with this machine. The node waits for configure.
func (s *supervisor) launchNode(ctx, life context.Context) (*realNode, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	n := &realNode{folder: s.folder}
	connected := false
	err = s.launch(life, spec{
		name: nodeComponent, path: self, args: []string{"node", "--config", n.config()}, cloneflags: node.Cloneflags,
		started: func(pid int) (err error) {
			if connected {
				return n.network.Reattach(life, pid)
			}
			n.network, err = node.Attach(ctx, pid)
			connected = err == nil
			return err
		},
	})
	return n, err
}

func (n *realNode) config() string { return n.folder.Path("node.json") }

// addresses are those of the API server as the node sees it; there are none without a real node.
func (n *realNode) addresses() []net.IP {
	if n == nil {
		return nil
	}
	return []net.IP{n.network.HostIP()}
}

// configure makes the keys of the node and tells it to go on.
func (n *realNode) configure(l layout, keys *credentials) error {
	serving, err := keys.authority.Issue(pki.Subject{CommonName: "kubelet", IPs: []net.IP{n.network.NodeIP()}})
	if err != nil {
		return err
	}
	if err := writeFile(l.pki("kubelet.crt"), serving.Cert, 0o644); err != nil {
		return err
	}
	if err := writeFile(l.pki("kubelet.key"), serving.Key, 0o600); err != nil {
		return err
	}
	server := n.server(l)
	for user, subject := range map[string]pki.Subject{
		"kubelet":    {CommonName: "system:node:" + realNodeName, Organizations: []string{"system:nodes"}},
		"kube-proxy": {CommonName: "system:kube-proxy"},
		"coredns":    {CommonName: "coredns", Organizations: []string{"system:masters"}},
	} {
		if err := keys.writeKubeconfig(l.pki(user+".kubeconfig"), l.folder.Name(), "https://"+server, subject); err != nil {
			return err
		}
	}
	programs := map[string]string{}
	for _, name := range []string{"kubelet", "kube-proxy", "coredns", "pause"} {
		programs[name] = l.programs(name)
	}
	return node.Config{
		Name: realNodeName, Network: n.network, Server: server, Programs: programs,
		Folder: l.folder.Path("node"), Logs: l.folder.Path("logs"), PKI: l.folder.Path("pki"),
		Cgroup: node.Cgroup(string(l.folder)),
	}.Write(n.config())
}

// server is the address of the API server for the node and its pods.
func (n *realNode) server(l layout) string {
	return net.JoinHostPort(n.network.HostIP().String(), strconv.Itoa(l.port))
}

// openServer makes the API server, which listens on the loopback address only, reachable for the node.
func (n *realNode) openServer(life context.Context, l layout) error {
	return relay.Forward(life, n.server(l), net.JoinHostPort("127.0.0.1", strconv.Itoa(l.port)))
}

// LoadImage imports the images of an archive into the real node of a running cluster.
func LoadImage(ctx context.Context, f Folder, archive io.Reader, out io.Writer) error {
	c, err := f.component(nodeComponent)
	if err != nil {
		return err
	}
	if err := c.Signal(syscall.Signal(0)); err != nil {
		return fmt.Errorf("component %q: %w", c.Name, err)
	}
	return node.LoadImage(ctx, c.PID, archive, out)
}
