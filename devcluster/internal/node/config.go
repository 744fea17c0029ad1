package node

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

// files are the configuration files of the node's components, by their path in the folder.
var files = map[string]string{
	"containerd.toml": `version = 2
root = "{{.Folder}}/containerd"
state = "/run/containerd/state"
oom_score = 0
[grpc]
  address = "` + socket + `"
[plugins."io.containerd.grpc.v1.cri"]
  # Without it runc dies where the capability to lower the score is missing.
  restrict_oom_score_adj = true
  sandbox_image = "` + pauseImage + `"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "` + cniPlugins + `"
    conf_dir = "{{.Folder}}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
`,
	// The pods are routed, not bridged: all their packets pass the rules of kube-proxy without a kernel module.
	"cni/10-pods.conflist": `{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {
      "type": "ptp",
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": "{{.Network.PodCIDR}}"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`,
	"kubelet.yaml": `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {{.Network.NodeIP}}
port: 10250
healthzPort: 0
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: {{.PKI}}/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: {{.PKI}}/kubelet.crt
tlsPrivateKeyFile: {{.PKI}}/kubelet.key
containerRuntimeEndpoint: unix://` + socket + `
cgroupDriver: cgroupfs
cgroupRoot: {{.Cgroup}}
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
clusterDomain: ` + domain + `
clusterDNS: ["{{.Network.NodeIP}}"]
resolvConf: {{.Folder}}/resolv.conf
# A full disk of the developer is no reason to evict pods or to delete images that cannot be pulled again.
evictionHard: {memory.available: "1Mi", nodefs.available: "0%", imagefs.available: "0%", nodefs.inodesFree: "0%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
imageMinimumGCAge: 24h
maxPods: 200
oomScoreAdj: 0
registerWithTaints: []
serializeImagePulls: false
syncFrequency: 10s
# Pods of tests change often and soon.
fileCheckFrequency: 5s
nodeStatusUpdateFrequency: 5s
crashLoopBackOff: {maxContainerRestartPeriod: 20s}
featureGates: {KubeletCrashLoopBackOffMax: true}
`,
	"kube-proxy.yaml": `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: {{.Network.PodCIDR}}
clientConnection: {kubeconfig: {{.PKI}}/kube-proxy.kubeconfig}
hostnameOverride: {{.Name}}
healthzBindAddress: ""
metricsBindAddress: 127.0.0.1:10249
oomScoreAdj: 0
# The limits of connection tracking are those of the machine, which is not ours to tune.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
iptables: {minSyncPeriod: 100ms, syncPeriod: 30s}
`,
	// Answers live for a moment only: members of a StatefulSet look each other up while they come and go.
	"Corefile": `.:53 {
  bind {{.Network.NodeIP}}
  errors
  kubernetes ` + domain + ` in-addr.arpa {
    kubeconfig {{.PKI}}/coredns.kubeconfig
    ttl 1
  }
}
`,
	"resolv.conf": `nameserver {{.Network.NodeIP}}
`,
}

// writeFiles writes the configuration files.
func (c Config) writeFiles() error {
	for name, text := range files {
		t, err := template.New(name).Option("missingkey=error").Parse(text)
		if err != nil {
			return fmt.Errorf("configure node: %w", err)
		}
		var content bytes.Buffer
		if err := t.Execute(&content, c); err != nil {
			return fmt.Errorf("configure node: %w", err)
		}
		path := c.path(name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("configure node: %w", err)
		}
		if err := os.WriteFile(path, content.Bytes(), 0o644); err != nil {
			return fmt.Errorf("configure node: %w", err)
		}
	}
	return nil
}

// Processes are the names of the processes that Init keeps running.
var Processes = []string{"containerd", "coredns", "kube-proxy", "kubelet"}

// process is one process of the node.
type process struct {
	name string
	path string
	args []string
}

func (c Config) containerd() process {
	return process{"containerd", "containerd", []string{"--config", c.path("containerd.toml")}}
}

// workers are the processes that need containerd and the API server.
func (c Config) workers() []process {
	return []process{
		{"coredns", c.Programs["coredns"], []string{"-conf", c.path("Corefile"), "-quiet"}},
		{"kube-proxy", c.Programs["kube-proxy"], []string{"--config=" + c.path("kube-proxy.yaml")}},
		{"kubelet", c.Programs["kubelet"], []string{
			"--config=" + c.path("kubelet.yaml"),
			"--kubeconfig=" + filepath.Join(c.PKI, "kubelet.kubeconfig"),
			"--hostname-override=" + c.Name,
			"--node-ip=" + c.Network.NodeIP().String(),
		}},
	}
}
