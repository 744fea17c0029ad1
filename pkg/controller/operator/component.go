package operator

import (
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// kind is one of which there can be components.
type kind struct {
	gvk    schema.GroupVersionKind
	object func() client.Object
	list   func() client.ObjectList
}

// kinds are cached by others, too, all but ConfigMaps.
func kinds() []kind {
	return []kind{
		{appsv1.SchemeGroupVersion.WithKind("Deployment"), func() client.Object { return &appsv1.Deployment{} }, func() client.ObjectList { return &appsv1.DeploymentList{} }},
		{corev1.SchemeGroupVersion.WithKind("Service"), func() client.Object { return &corev1.Service{} }, func() client.ObjectList { return &corev1.ServiceList{} }},
		{corev1.SchemeGroupVersion.WithKind("ServiceAccount"), func() client.Object { return &corev1.ServiceAccount{} }, func() client.ObjectList { return &corev1.ServiceAccountList{} }},
		{rbacv1.SchemeGroupVersion.WithKind("Role"), func() client.Object { return &rbacv1.Role{} }, func() client.ObjectList { return &rbacv1.RoleList{} }},
		{rbacv1.SchemeGroupVersion.WithKind("RoleBinding"), func() client.Object { return &rbacv1.RoleBinding{} }, func() client.ObjectList { return &rbacv1.RoleBindingList{} }},
		{rbacv1.SchemeGroupVersion.WithKind("ClusterRole"), func() client.Object { return &rbacv1.ClusterRole{} }, func() client.ObjectList { return &rbacv1.ClusterRoleList{} }},
		{rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding"), func() client.Object { return &rbacv1.ClusterRoleBinding{} }, func() client.ObjectList { return &rbacv1.ClusterRoleBindingList{} }},
		{apiregistrationv1.SchemeGroupVersion.WithKind("APIService"), func() client.Object { return &apiregistrationv1.APIService{} }, func() client.ObjectList { return &apiregistrationv1.APIServiceList{} }},
		{apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"), func() client.Object { return &apiextensionsv1.CustomResourceDefinition{} }, func() client.ObjectList { return &apiextensionsv1.CustomResourceDefinitionList{} }},
		{operatorsv1alpha1.SchemeGroupVersion.WithKind("Subscription"), func() client.Object { return &operatorsv1alpha1.Subscription{} }, func() client.ObjectList { return &operatorsv1alpha1.SubscriptionList{} }},
		{operatorsv1alpha1.SchemeGroupVersion.WithKind("InstallPlan"), func() client.Object { return &operatorsv1alpha1.InstallPlan{} }, func() client.ObjectList { return &operatorsv1alpha1.InstallPlanList{} }},
		{csvKind, func() client.Object { return &operatorsv1alpha1.ClusterServiceVersion{} }, func() client.ObjectList { return &operatorsv1alpha1.ClusterServiceVersionList{} }},
		{operatorsv2.GroupVersion.WithKind("OperatorCondition"), func() client.Object { return &operatorsv2.OperatorCondition{} }, func() client.ObjectList { return &operatorsv2.OperatorConditionList{} }},
		metadataOnly(corev1.SchemeGroupVersion.WithKind("Namespace")),
		metadataOnly(corev1.SchemeGroupVersion.WithKind("Secret")),
		metadataOnly(corev1.SchemeGroupVersion.WithKind("ConfigMap")),
	}
}

var csvKind = operatorsv1alpha1.SchemeGroupVersion.WithKind(operatorsv1alpha1.ClusterServiceVersionKind)

func metadataOnly(gvk schema.GroupVersionKind) kind {
	return kind{
		gvk: gvk,
		object: func() client.Object {
			m := &metav1.PartialObjectMetadata{}
			m.SetGroupVersionKind(gvk)
			return m
		},
		list: func() client.ObjectList {
			l := &metav1.PartialObjectMetadataList{}
			l.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
			return l
		},
	}
}
