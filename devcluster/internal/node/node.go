// Package node runs a real node: kubelet and containerd in namespaces of their own.
//
// The first process of the node is the init of a process, a mount and a network namespace. Everything that the node
// starts, mounts or configures lives in them, so the death of that one process undoes all of it, down to the containers;
// only cgroups and files are left to be deleted.
package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Cloneflags are the namespaces that Init needs.
const Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC

const (
	socket     = "/run/containerd/containerd.sock"
	pauseImage = "chandler.dev/devcluster/pause:1"
	domain     = "cluster.local"
	cniPlugins = "/usr/lib/cni"
)

// Config is what Init must know. Paths are those of the host, whose files the node sees too.
type Config struct {
	Name    string  `json:"name"`
	Network Network `json:"network"`
	// Server is where the node and its pods reach the API server, as host:port.
	Server string `json:"server"`
	// Folder takes everything that the node writes, Logs the logs.
	Folder string `json:"folder"`
	Logs   string `json:"logs"`
	// PKI holds ca.crt and the pairs kubelet.crt, kubelet.key, and the kubeconfigs of the components.
	PKI string `json:"pki"`
	// Programs maps the name of a program to its path.
	Programs map[string]string `json:"programs"`
	// Cgroup is the parent of all cgroups of the node, relative to the root of each hierarchy.
	Cgroup string `json:"cgroup"`
}

func (c Config) path(elements ...string) string {
	return filepath.Join(append([]string{c.Folder}, elements...)...)
}

// Write hands the configuration to an Init that waits for it.
func (c Config) Write(path string) error {
	content, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("write node: %w", err)
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o644); err != nil {
		return fmt.Errorf("write node: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write node: %w", err)
	}
	return nil
}

// Check says what this machine lacks to run a real node, in one sentence.
func Check() error {
	if os.Geteuid() != 0 {
		return errors.New("real nodes need root: become root or use simulated nodes")
	}
	// The Debian package that has each of them.
	needed := []struct{ file, pkg string }{
		{"containerd", "containerd"},
		{"ctr", "containerd"},
		{"runc", "runc"},
		{"ip", "iproute2"},
		{"iptables", "iptables"},
		{"nsenter", "util-linux"},
		{filepath.Join(cniPlugins, "ptp"), "containernetworking-plugins"},
	}
	missing := map[string]bool{}
	for _, n := range needed {
		if _, err := exec.LookPath(n.file); err != nil {
			missing[n.pkg] = true
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("real nodes need programs that are missing here: "+
		"apt-get install --no-install-recommends containerd runc containernetworking-plugins iproute2 iptables (missing: %s)",
		strings.Join(sortedKeys(missing), ", "))
}
