package cluster

import (
	"fmt"
	"net"
	"strconv"
)

// Names and addresses inside of every cluster.
const (
	frontProxy  = "front-proxy"
	serviceCIDR = "10.96.0.0/16"
	podCIDR     = "10.244.0.0/16"
)

// apiServerGC lets the heap of the API server grow to four times of what it
// holds. An empty cluster holds so little that the server would otherwise spend
// a third of its time collecting, which one with real content does not.
const apiServerGC = "GOGC=300"

var (
	loopback  = net.IPv4(127, 0, 0, 1)
	serviceIP = net.IPv4(10, 96, 0, 1)
)

// spec says how to run one component.
type spec struct {
	name string
	path string
	args []string
	env  []string // added to the environment
	// cloneflags are the namespaces that the component gets for itself.
	cloneflags uintptr
	// started, if there is one, is called with the process id after every start.
	started func(pid int) error
}

// layout is what the arguments of the components are made from.
type layout struct {
	folder   Folder
	programs func(name string) string
	etcdPort int
	peerPort int
	port     int
	// advertise is the address at which pods reach the API server; empty if there are no real pods.
	advertise string
	audit     bool
	// egress says that the API server reaches Services through the proxy of simulated nodes.
	egress bool
}

// URL returns the address of the API server.
func (l layout) url() string { return "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(l.port)) }

func (l layout) etcdURL(port int) string {
	return "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func (l layout) pki(name string) string { return l.folder.Path("pki", name) }

func (l layout) etcd() spec {
	return spec{name: "etcd", path: l.programs("etcd"), args: []string{
		"--name=devcluster",
		"--data-dir=" + l.folder.Path("etcd"),
		"--listen-client-urls=" + l.etcdURL(l.etcdPort),
		"--advertise-client-urls=" + l.etcdURL(l.etcdPort),
		"--listen-peer-urls=" + l.etcdURL(l.peerPort),
		"--initial-advertise-peer-urls=" + l.etcdURL(l.peerPort),
		"--initial-cluster=devcluster=" + l.etcdURL(l.peerPort),
		"--cert-file=" + l.pki(etcdServer+".crt"),
		"--key-file=" + l.pki(etcdServer+".key"),
		"--trusted-ca-file=" + l.pki("ca.crt"),
		"--client-cert-auth",
		"--peer-cert-file=" + l.pki(etcdServer+".crt"),
		"--peer-key-file=" + l.pki(etcdServer+".key"),
		"--peer-trusted-ca-file=" + l.pki("ca.crt"),
		"--peer-client-cert-auth",
		// The data is thrown away with the cluster.
		"--unsafe-no-fsync",
		"--snapshot-count=5000",
		"--quota-backend-bytes=4294967296",
		"--auto-compaction-mode=periodic",
		"--auto-compaction-retention=5m",
		"--log-level=warn",
	}}
}

func (l layout) apiServer() spec {
	args := []string{
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(l.port),
		"--tls-cert-file=" + l.pki(apiServer+".crt"),
		"--tls-private-key-file=" + l.pki(apiServer+".key"),
		"--client-ca-file=" + l.pki("ca.crt"),
		"--etcd-servers=" + l.etcdURL(l.etcdPort),
		"--etcd-cafile=" + l.pki("ca.crt"),
		"--etcd-certfile=" + l.pki(etcdServer+".crt"),
		"--etcd-keyfile=" + l.pki(etcdServer+".key"),
		"--kubelet-certificate-authority=" + l.pki("ca.crt"),
		"--kubelet-client-certificate=" + l.pki("apiserver-kubelet.crt"),
		"--kubelet-client-key=" + l.pki("apiserver-kubelet.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--service-cluster-ip-range=" + serviceCIDR,
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + l.pki("service-accounts.crt"),
		"--service-account-signing-key-file=" + l.pki("service-accounts.key"),
		"--requestheader-client-ca-file=" + l.pki("front-proxy-ca.crt"),
		"--requestheader-allowed-names=" + frontProxy,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + l.pki("front-proxy.crt"),
		"--proxy-client-key-file=" + l.pki("front-proxy.key"),
		"--enable-aggregator-routing",
		"--max-requests-inflight=1000",
		"--max-mutating-requests-inflight=500",
		"--profiling=false",
		"--shutdown-delay-duration=0s",
	}
	if l.advertise != "" {
		args = append(args, "--advertise-address="+l.advertise)
	} else {
		// No pod will ever dial the Service "kubernetes", and its endpoint must not be a loopback address.
		args = append(args, "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none")
	}
	if l.egress {
		args = append(args, "--egress-selector-config-file="+l.folder.Path("egress.yaml"))
	}
	if l.audit {
		args = append(args,
			"--audit-log-path="+l.folder.Path("logs", "audit.log"),
			"--audit-policy-file="+l.folder.Path("audit-policy.yaml"))
	}
	return spec{name: "kube-apiserver", path: l.programs("kube-apiserver"), args: args, env: []string{apiServerGC}}
}

func (l layout) controllerManager() spec {
	return spec{name: "kube-controller-manager", path: l.programs("kube-controller-manager"), args: []string{
		"--kubeconfig=" + l.folder.Path("pki", "controller-manager.kubeconfig"),
		"--leader-elect=false",
		"--secure-port=0",
		"--use-service-account-credentials",
		"--service-account-private-key-file=" + l.pki("service-accounts.key"),
		"--root-ca-file=" + l.pki("ca.crt"),
		"--cluster-signing-cert-file=" + l.pki("ca.crt"),
		"--cluster-signing-key-file=" + l.pki("ca.key"),
		"--cluster-name=" + l.folder.Name(),
		"--kube-api-qps=1000",
		"--kube-api-burst=2000",
		"--concurrent-deployment-syncs=10",
		"--concurrent-replicaset-syncs=10",
		"--concurrent-gc-syncs=30",
		"--concurrent-namespace-syncs=20",
		"--concurrent-serviceaccount-token-syncs=10",
		// A node is not lost because the machine is busy or a test has paused something.
		"--node-monitor-grace-period=3m",
		"--profiling=false",
	}}
}

func (l layout) scheduler() spec {
	return spec{name: "kube-scheduler", path: l.programs("kube-scheduler"), args: []string{
		"--kubeconfig=" + l.folder.Path("pki", "scheduler.kubeconfig"),
		"--authentication-skip-lookup",
		"--leader-elect=false",
		"--secure-port=0",
		"--kube-api-qps=1000",
		"--kube-api-burst=2000",
		"--profiling=false",
	}}
}

func (l layout) kwok() spec {
	return spec{name: "kwok", path: l.programs("kwok"), args: []string{
		"--kubeconfig=" + l.folder.Path("pki", "kwok.kubeconfig"),
		"--config=" + l.folder.Path("stages.yaml"),
		"--manage-all-nodes",
		"--cidr=" + podCIDR,
		// A lease would keep a restarted kwok from the nodes of its predecessor. They have a heartbeat instead.
		"--node-lease-duration-seconds=0",
	}}
}

// simulatedNode returns the object of a node that kwok plays.
func simulatedNode(index int) map[string]any {
	name := fmt.Sprintf("node-%d", index)
	return map[string]any{
		"apiVersion": "v1",
		"kind":       "Node",
		"metadata": map[string]any{
			"name":        name,
			"annotations": map[string]string{"kwok.x-k8s.io/node": "fake"},
			"labels": map[string]string{
				"kubernetes.io/hostname": name,
				"kubernetes.io/os":       "linux",
				"kubernetes.io/arch":     "amd64",
			},
		},
		"status": map[string]any{
			"addresses": []map[string]string{
				{"type": "InternalIP", "address": fmt.Sprintf("10.0.%d.%d", index/250, index%250+1)},
				{"type": "Hostname", "address": name},
			},
			"nodeInfo": map[string]string{"kubeletVersion": "v1.36.3"},
		},
	}
}
