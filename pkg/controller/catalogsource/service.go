package catalogsource

import (
	"context"
	"fmt"
	"maps"
	"net"
	"strings"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/install/render"
)

const (
	// LabelServerPod is on the pods of the catalog server, with the value "true".
	LabelServerPod = "chandler.dev/catalog-server"

	labelCatalog = "olm.catalogSource"
	servicePort  = "50051"
	grpcPort     = 50051
)

// Hosting is the catalog server that serves images and ConfigMaps of CatalogSources.
type Hosting struct {
	Address       string // host:port to dial; empty if there is none
	Namespace     string // of its pods and its own Service
	ClusterDomain string // of the names of Services, such as "cluster.local"
}

// serviceName is the name that the Service of a catalog has.
func serviceName(cs *v1alpha1.CatalogSource) string { return strings.ReplaceAll(cs.Name, ".", "-") }

// serviceOf returns the Service through which a cluster reaches a hosted catalog.
// It selects the pods of the catalog server. A Service cannot select pods of
// another namespace, so there it is another name of the server's own Service.
func serviceOf(cs *v1alpha1.CatalogSource, h Hosting) *corev1.Service {
	no := false
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{
		Name: serviceName(cs), Namespace: cs.Namespace,
		Labels: map[string]string{render.LabelManaged: "true", labelCatalog: cs.Name},
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: GVK.GroupVersion().String(), Kind: GVK.Kind, Name: cs.Name, UID: cs.UID, Controller: &no, BlockOwnerDeletion: &no,
		}},
	}}
	service.Spec.Ports = []corev1.ServicePort{{Name: "grpc", Port: grpcPort, TargetPort: intstr.FromInt32(grpcPort), Protocol: corev1.ProtocolTCP}}
	if cs.Namespace == h.Namespace {
		service.Spec.Type = corev1.ServiceTypeClusterIP
		service.Spec.Selector = map[string]string{LabelServerPod: "true"}
		return service
	}
	service.Spec.Type = corev1.ServiceTypeExternalName
	service.Spec.ExternalName = h.serverService() + "." + h.Namespace + ".svc." + h.ClusterDomain
	return service
}

// serverService is the name of the server's own Service.
func (h Hosting) serverService() string {
	if host, _, err := net.SplitHostPort(h.Address); err == nil {
		if labels := strings.Split(host, "."); len(labels) > 2 && labels[1] == h.Namespace && labels[2] == "svc" {
			return labels[0]
		}
	}
	return "catalog"
}

// adjusted returns have with everything that want says; equal reports whether
// it already said so.
func adjusted(have, want *corev1.Service) (next *corev1.Service, equal bool) {
	next = have.DeepCopy()
	if next.Labels == nil {
		next.Labels = map[string]string{}
	}
	maps.Copy(next.Labels, want.Labels)
	next.OwnerReferences = want.OwnerReferences
	next.Spec.Type, next.Spec.Selector, next.Spec.ExternalName = want.Spec.Type, want.Spec.Selector, want.Spec.ExternalName
	ports := want.Spec.Ports
	if len(have.Spec.Ports) == 1 {
		ports[0].NodePort = have.Spec.Ports[0].NodePort
	}
	next.Spec.Ports = ports
	if want.Spec.Type == corev1.ServiceTypeExternalName && have.Spec.Type != want.Spec.Type {
		next.Spec.ClusterIP, next.Spec.ClusterIPs, next.Spec.IPFamilies, next.Spec.IPFamilyPolicy = "", nil, nil, nil
		next.Spec.InternalTrafficPolicy = nil
	}
	return next, equality.Semantic.DeepEqual(next, have)
}

// owns reports whether a Service was made for a CatalogSource.
func owns(cs *v1alpha1.CatalogSource, service *corev1.Service) bool {
	for _, ref := range service.OwnerReferences {
		if ref.UID == cs.UID {
			return true
		}
	}
	return false
}

// ensureService makes the Service of a hosted catalog what it should be. The
// refusal says that somebody else has a Service of that name.
func (r *Reconciler) ensureService(ctx context.Context, cs *v1alpha1.CatalogSource) (*refusal, error) {
	want := serviceOf(cs, r.options.Hosting)
	have, err := r.service(ctx, want)
	switch {
	case apierrors.IsNotFound(err):
		if err = r.options.Client.Create(ctx, want); err != nil {
			return nil, fmt.Errorf("create the service of the catalog: %w", err)
		}
		return nil, nil
	case err != nil:
		return nil, err
	case !owns(cs, have):
		return &refusal{v1alpha1.CatalogSourceRegistryServerError, fmt.Sprintf(
			"a service %q that does not belong to this catalog is in the way, so that clients cannot reach the catalog; delete it, or rename the catalog", have.Name)}, nil
	}
	next, equal := adjusted(have, want)
	if equal {
		return nil, nil
	}
	if err := r.options.Client.Update(ctx, next); err != nil {
		return nil, fmt.Errorf("update the service of the catalog: %w", err)
	}
	return nil, nil
}

// service reads a Service. The cache holds only those that carry our label.
func (r *Reconciler) service(ctx context.Context, like *corev1.Service) (*corev1.Service, error) {
	key, found := client.ObjectKeyFromObject(like), &corev1.Service{}
	err := r.options.Client.Get(ctx, key, found)
	if apierrors.IsNotFound(err) {
		err = r.options.Live.Get(ctx, key, found)
	}
	return found, err
}

// removeService removes the Service of a catalog that is no longer hosted.
func (r *Reconciler) removeService(ctx context.Context, cs *v1alpha1.CatalogSource) error {
	service := &corev1.Service{}
	err := r.options.Client.Get(ctx, client.ObjectKey{Namespace: cs.Namespace, Name: serviceName(cs)}, service)
	if err != nil || !owns(cs, service) || service.Labels[labelCatalog] != cs.Name {
		return client.IgnoreNotFound(err)
	}
	return client.IgnoreNotFound(r.options.Client.Delete(ctx, service, client.Preconditions{UID: &service.UID}))
}
