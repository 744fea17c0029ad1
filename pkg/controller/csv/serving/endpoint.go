// Package serving computes what lets the API server call the pods of an operator:
// certificates, Services, rights, webhook configurations, conversion stanzas of CRDs and
// APIServices. It is pure; the controller csv reads what exists and applies what differs.
package serving

import (
	"strconv"
	"strings"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install/render"
)

const defaultPort = 443

// Endpoint is one Deployment that the API server calls.
type Endpoint struct {
	Deployment     string
	ServiceAccount string            // that the pods run as
	Selector       map[string]string // labels of the pods
	Ports          []corev1.ServicePort
	APIs           []v1alpha1.APIServiceDescription // APIs that it serves
}

// Service returns the name of the Service in front of the pods. Dots, which a Service
// must not have, become dashes, as in the webhook configurations.
func (e Endpoint) Service() string { return serviceName(e.Deployment) }

// Secret returns the name of the Secret with the certificate, and of the role to read it.
func (e Endpoint) Secret() string { return render.ServingCertName(e.Deployment) }

// Hosts returns the names under which the API server calls the Service.
func (e Endpoint) Hosts(namespace string) []string {
	host := e.Service() + "." + namespace
	return []string{host, host + ".svc", host + ".svc.cluster.local"}
}

func serviceName(deployment string) string {
	return render.ServingServiceName(strings.ReplaceAll(deployment, ".", "-"))
}

// Endpoints returns the Deployments of csv that serve webhooks or APIs, in the order of
// the manifest. A description that names no Deployment of csv is Invalid.
func Endpoints(csv *v1alpha1.ClusterServiceVersion) ([]Endpoint, error) {
	byName := map[string]*Endpoint{}
	get := func(deployment string) *Endpoint {
		if byName[deployment] == nil {
			byName[deployment] = &Endpoint{Deployment: deployment}
		}
		return byName[deployment]
	}
	for _, api := range csv.GetOwnedAPIServiceDescriptions() {
		e := get(api.DeploymentName)
		e.APIs = append(e.APIs, api)
		e.addPort(api.ContainerPort, nil)
	}
	for i := range csv.Spec.WebhookDefinitions {
		w := &csv.Spec.WebhookDefinitions[i]
		get(w.DeploymentName).addPort(w.ContainerPort, w.TargetPort)
	}
	var endpoints []Endpoint
	specs := csv.Spec.InstallStrategy.StrategySpec.DeploymentSpecs
	for i := range specs {
		e := byName[specs[i].Name]
		if e == nil {
			continue
		}
		delete(byName, specs[i].Name)
		if specs[i].Spec.Selector != nil {
			e.Selector = specs[i].Spec.Selector.MatchLabels
		}
		e.ServiceAccount = specs[i].Spec.Template.Spec.ServiceAccountName
		if e.ServiceAccount == "" {
			e.ServiceAccount = "default"
		}
		endpoints = append(endpoints, *e)
	}
	for name := range byName {
		return nil, failure.New(failure.Invalid, "a webhook or an owned API names deployment %q, which the ClusterServiceVersion does not have", name).
			WithHint("correct deploymentName in spec.webhookdefinitions or spec.apiservicedefinitions")
	}
	return endpoints, nil
}

// addPort adds a port once; the first description of a port decides where it leads.
func (e *Endpoint) addPort(port int32, target *intstr.IntOrString) {
	if port == 0 {
		port = defaultPort
	}
	name := strconv.Itoa(int(port))
	for _, p := range e.Ports {
		if p.Name == name {
			return
		}
	}
	to := intstr.FromInt32(port)
	if target != nil {
		to = *target
	}
	e.Ports = append(e.Ports, corev1.ServicePort{Name: name, Port: port, TargetPort: to, Protocol: corev1.ProtocolTCP})
}
