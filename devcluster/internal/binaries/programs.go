package binaries

import (
	_ "embed" // modules that are not that of this program
	"time"
)

// Program is a program that can be built.
type Program struct {
	Name string
	// Package is its main package, module the name of the module that pins it.
	Package string
	module  string
	// Cold is what building took on two cores with nothing cached, in the order of the lists below.
	Cold time.Duration
}

// module pins versions.
type module struct {
	mod []byte
	sum []byte
	// source is the text of the program, if it is not that of a dependency.
	source []byte
}

// The names of the modules.
const (
	// kubernetes is the module of this program, which pins all of Kubernetes.
	kubernetes = "kubernetes"
	// coreDNS is apart, because it needs other versions of the same libraries.
	coreDNS = "coredns"
	pause   = "pause"
)

// ControlPlane are the programs that every cluster needs.
var ControlPlane = []Program{
	{"etcd", "go.etcd.io/etcd/server/v3", kubernetes, 50 * time.Second},
	{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", kubernetes, 4*time.Minute + 30*time.Second},
	{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", kubernetes, 55 * time.Second},
	{"kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", kubernetes, 5 * time.Second},
	{"kwok", "sigs.k8s.io/kwok/cmd/kwok", kubernetes, 15 * time.Second},
}

// RealNode are the programs that a real node needs in addition.
var RealNode = []Program{
	{"kubelet", "k8s.io/kubernetes/cmd/kubelet", kubernetes, 40 * time.Second},
	{"kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy", kubernetes, 10 * time.Second},
	{"coredns", ".", coreDNS, 70 * time.Second},
	{"pause", ".", pause, time.Second},
}

//go:embed modules/coredns.mod
var coreDNSMod []byte

//go:embed modules/coredns.sum
var coreDNSSum []byte

//go:embed modules/coredns.go.txt
var coreDNSSource []byte

//go:embed modules/pause.mod
var pauseMod []byte

//go:embed modules/pause.go.txt
var pauseSource []byte

func modules(mod, sum []byte) map[string]module {
	return map[string]module{
		kubernetes: {mod: mod, sum: sum},
		coreDNS:    {mod: coreDNSMod, sum: coreDNSSum, source: coreDNSSource},
		pause:      {mod: pauseMod, source: pauseSource},
	}
}

// kubeVersion makes the programs say their version; clients complain about v0.0.0.
const kubeVersion = "-s -w" +
	" -X k8s.io/component-base/version.gitVersion=v1.36.3" +
	" -X k8s.io/component-base/version.gitMajor=1" +
	" -X k8s.io/component-base/version.gitMinor=36" +
	" -X k8s.io/component-base/version.gitTreeState=clean"
