package main

import (
	"cmp"
	"net"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/catalogsource"
)

const (
	catalogService     = "catalog"          // of the catalog server
	catalogAccount     = "chandler-catalog" // that it runs as, and its role
	catalogPort        = 50051
	inClusterVariable  = "KUBERNETES_SERVICE_HOST"
	defaultClusterName = "cluster.local"
)

// hostingOf returns where the catalog server is: in a cluster the Service of
// the usual name, unless another one is named.
func hostingOf(o controllerOptions) catalogsource.Hosting {
	h := catalogsource.Hosting{Address: o.catalogServer, Namespace: o.catalogNamespace, ClusterDomain: cmp.Or(o.clusterDomain, defaultClusterName)}
	if _, inCluster := os.LookupEnv(inClusterVariable); inCluster && h.Address == "" {
		h.Address = catalogService + "." + o.catalogNamespace + ".svc:50051"
	}
	if host, _, err := net.SplitHostPort(h.Address); err == nil {
		if labels := strings.Split(host, "."); len(labels) > 2 && labels[2] == "svc" {
			h.Namespace = labels[1]
		}
	}
	return h
}

// hostingObjects are what a catalog server in the cluster needs: a Service that
// leads to its pods, and a ServiceAccount with the rights to read what
// CatalogSources name.
func hostingObjects(namespace string) []client.Object {
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: catalogService}}
	service.Spec.Selector = map[string]string{catalogsource.LabelServerPod: "true"}
	service.Spec.Ports = []corev1.ServicePort{{Name: "grpc", Port: catalogPort, TargetPort: intstr.FromInt32(catalogPort), Protocol: corev1.ProtocolTCP}}
	return []client.Object{
		service,
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: catalogAccount}},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: catalogAccount}, Rules: []rbacv1.PolicyRule{
			rule("operators.coreos.com", []string{"list", "watch"}, "catalogsources"),
			rule("", []string{"list", "watch"}, "configmaps"), // only those that are named, one by one
			rule("", []string{"get"}, "secrets", "serviceaccounts"),
		}},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: catalogAccount},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: catalogAccount}},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: catalogAccount},
		},
	}
}
