package main

import (
	"testing"

	"chandler.dev/olm/pkg/controller/catalogsource"
)

func TestHostingOf(t *testing.T) {
	tests := map[string]struct {
		o         controllerOptions
		inCluster bool
		want      catalogsource.Hosting
	}{
		"outside of a cluster there is no server":   {want: catalogsource.Hosting{Namespace: "olm", ClusterDomain: "cluster.local"}},
		"in a cluster it has a usual name":          {inCluster: true, want: catalogsource.Hosting{Address: "catalog.olm.svc:50051", Namespace: "olm", ClusterDomain: "cluster.local"}},
		"a server that is named":                    {o: controllerOptions{catalogServer: "127.0.0.1:1"}, inCluster: true, want: catalogsource.Hosting{Address: "127.0.0.1:1", Namespace: "olm", ClusterDomain: "cluster.local"}},
		"a server in another namespace and cluster": {o: controllerOptions{catalogServer: "c.servers.svc:1", clusterDomain: "d"}, want: catalogsource.Hosting{Address: "c.servers.svc:1", Namespace: "servers", ClusterDomain: "d"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.inCluster {
				t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
			}
			tt.o.catalogNamespace = "olm"
			if got := hostingOf(tt.o); got != tt.want {
				t.Errorf("hostingOf() = %+v, want %+v", got, tt.want)
			}
		})
	}
}
