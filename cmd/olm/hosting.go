package main

import (
	"cmp"
	"net"
	"os"
	"strings"

	"chandler.dev/olm/pkg/controller/catalogsource"
)

// hostingOf returns where the catalog server is: in a cluster the Service of
// the usual name, unless another one is named.
func hostingOf(o controllerOptions) catalogsource.Hosting {
	h := catalogsource.Hosting{Address: o.catalogServer, Namespace: o.catalogNamespace, ClusterDomain: cmp.Or(o.clusterDomain, "cluster.local")}
	if _, inCluster := os.LookupEnv("KUBERNETES_SERVICE_HOST"); inCluster && h.Address == "" {
		h.Address = "catalog." + o.catalogNamespace + ".svc:50051"
	}
	if host, _, err := net.SplitHostPort(h.Address); err == nil {
		if labels := strings.Split(host, "."); len(labels) > 2 && labels[2] == "svc" {
			h.Namespace = labels[1]
		}
	}
	return h
}
