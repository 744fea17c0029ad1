package serving

import (
	"maps"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/install/render"
)

// authNamespace holds the configuration of delegated authentication.
const authNamespace = metav1.NamespaceSystem

// Secret returns the Secret with the certificate of e.
func Secret(csv *v1alpha1.ClusterServiceVersion, e Endpoint, c Certificate) *corev1.Secret {
	meta := owned(csv, e.Secret())
	meta.Annotations = map[string]string{render.AnnotationCAHash: c.Hash()}
	return &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: meta,
		Type: corev1.SecretTypeTLS, Data: c.Data(),
	}
}

// Support returns what the pods of e need to be called: the Service, the right to read
// their certificate, and for owners of an API the rights to delegate authentication.
// (OLM grants these to pods that serve webhooks as well, which do not use them.)
func Support(csv *v1alpha1.ClusterServiceVersion, e Endpoint) []client.Object {
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: e.ServiceAccount, Namespace: csv.Namespace}}
	objects := []client.Object{
		&corev1.Service{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: owned(csv, e.Service()),
			Spec: corev1.ServiceSpec{Ports: e.Ports, Selector: e.Selector},
		},
		&rbacv1.Role{
			TypeMeta: rbacType("Role"), ObjectMeta: owned(csv, e.Secret()),
			Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{e.Secret()}}},
		},
		&rbacv1.RoleBinding{
			TypeMeta: rbacType("RoleBinding"), ObjectMeta: owned(csv, e.Secret()), Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: e.Secret()},
		},
	}
	if len(e.APIs) == 0 {
		return objects
	}
	labels := render.OwnerOf(csv).ManagedLabels()
	return append(objects,
		&rbacv1.ClusterRoleBinding{
			TypeMeta: rbacType("ClusterRoleBinding"), Subjects: subjects,
			ObjectMeta: metav1.ObjectMeta{Name: render.AuthDelegatorName(e.Deployment), Labels: labels},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:auth-delegator"},
		},
		&rbacv1.RoleBinding{
			TypeMeta: rbacType("RoleBinding"), Subjects: subjects,
			// OLM leaves this one behind; with the owner's labels it goes away with it.
			ObjectMeta: metav1.ObjectMeta{Namespace: authNamespace, Name: render.AuthReaderName(e.Deployment), Labels: labels},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "extension-apiserver-authentication-reader"},
		},
	)
}

// Leads tells whether a Service has the ports and pods of the wanted one.
func Leads(have *corev1.Service, wanted client.Object) bool {
	want, ok := wanted.(*corev1.Service)
	if !ok || !maps.Equal(want.Spec.Selector, have.Spec.Selector) {
		return false
	}
	return slices.EqualFunc(want.Spec.Ports, have.Spec.Ports, func(a, b corev1.ServicePort) bool {
		return a.Name == b.Name && a.Port == b.Port && a.TargetPort == b.TargetPort
	})
}

func owned(csv *v1alpha1.ClusterServiceVersion, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: csv.Namespace, Name: name, Labels: render.OwnerOf(csv).ManagedLabels(),
		OwnerReferences: []metav1.OwnerReference{render.OwnerReference(csv)},
	}
}

func rbacType(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: kind}
}
