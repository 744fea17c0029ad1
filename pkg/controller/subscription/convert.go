package subscription

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver"
)

const (
	// propertiesAnnotation holds the properties of the bundle that a
	// ClusterServiceVersion was installed from.
	propertiesAnnotation = "operatorframework.io/properties"
	// RangeAnnotation restricts the versions that a Subscription may get.
	RangeAnnotation = "chandler.dev/version-range"
)

// ask states the whole problem of a namespace; gather adds what catalogs offer.
func ask(v *view, links map[string]link, gather func(resolver.Problem) (resolver.Problem, error)) (resolver.Problem, error) {
	p, err := gather(problemOf(v, links))
	if err != nil {
		return p, err
	}
	restore(&p, links)
	return p, nil
}

// problemOf states what the resolver has to decide; the offers are added later.
func problemOf(v *view, links map[string]link) resolver.Problem {
	p := resolver.Problem{
		Namespace: v.namespace, FailForward: v.failForward(), Cluster: resolver.Cluster{KubeVersion: v.kubeVersion},
	}
	owners := map[string][]string{}
	for _, sub := range v.subscriptions {
		installed := links[sub.Name].installed
		p.Subscriptions = append(p.Subscriptions, resolver.Subscription{
			Name: sub.Name, Package: sub.Spec.Package, Catalog: catalogOf(sub), Channel: sub.Spec.Channel,
			StartingCSV: sub.Spec.StartingCSV, VersionRange: sub.Annotations[RangeAnnotation], Installed: installed,
		})
		owners[installed] = append(owners[installed], sub.Spec.Package)
	}
	for _, csv := range v.csvs {
		p.Installed = append(p.Installed, installedOf(csv, owners[csv.Name]))
	}
	return p
}

// restore makes Subscriptions whose ClusterServiceVersion was deleted start
// with that version again, or with the newest if it is not offered any more:
// to start with spec.startingCSV could be a downgrade.
func restore(p *resolver.Problem, links map[string]link) {
	for i := range p.Subscriptions {
		s := &p.Subscriptions[i]
		lost := links[s.Name].lost
		if lost == "" {
			continue
		}
		s.StartingCSV = ""
		if isOffered(p.Catalogs, *s, lost) {
			s.StartingCSV = lost
		}
	}
}

func isOffered(catalogs []resolver.Catalog, s resolver.Subscription, bundle string) bool {
	for _, c := range catalogs {
		if s.Catalog != (resolver.CatalogRef{}) && s.Catalog != c.Ref {
			continue
		}
		for _, offer := range c.Packages {
			if offer.Package.Name != s.Package {
				continue
			}
			for _, ch := range offer.Package.Channels {
				if _, ok := ch.Entry(bundle); ok && (s.Channel == "" || s.Channel == ch.Name) {
					return true
				}
			}
		}
	}
	return false
}

func catalogOf(sub *v1alpha1.Subscription) resolver.CatalogRef {
	return resolver.CatalogRef{Namespace: sub.Spec.CatalogSourceNamespace, Name: sub.Spec.CatalogSource}
}

var phases = map[v1alpha1.ClusterServiceVersionPhase]resolver.Phase{
	v1alpha1.CSVPhaseReplacing: resolver.PhaseReplacing,
	v1alpha1.CSVPhaseDeleting:  resolver.PhaseReplacing,
	v1alpha1.CSVPhaseFailed:    resolver.PhaseFailed,
}

// installedOf returns what the resolver knows about an operator that runs;
// packages are those of the Subscriptions that own it.
func installedOf(csv *v1alpha1.ClusterServiceVersion, packages []string) resolver.Installed {
	b := registry.Bundle{Name: csv.Name, Properties: propertiesOf(csv)}
	if version := csv.Spec.Version.String(); version != "0.0.0" {
		b.Version = version
	}
	slices.Sort(packages)
	packages = slices.Compact(packages)
	b.Package = packageOf(b.Properties)
	if b.Package == "" && len(packages) == 1 && packages[0] != "" {
		b.Package = packages[0]
		b.Properties = append(b.Properties, property(registry.PropertyPackage, packageValue{Name: b.Package, Version: b.Version}))
	}
	return resolver.Installed{Bundle: b, Replaces: csv.Spec.Replaces, Phase: phases[csv.Status.Phase]}
}

type packageValue struct {
	Name    string `json:"packageName"`
	Version string `json:"version"`
}

// packageOf returns the package that properties name; empty if none.
func packageOf(properties []registry.Property) string {
	for _, p := range properties {
		var value packageValue
		if p.Type == registry.PropertyPackage && json.Unmarshal(p.Value, &value) == nil && value.Name != "" {
			return value.Name
		}
	}
	return ""
}

// propertiesOf returns what an operator was installed with, or what its own
// text says if nobody wrote that down.
func propertiesOf(csv *v1alpha1.ClusterServiceVersion) []registry.Property {
	if text, ok := csv.Annotations[propertiesAnnotation]; ok {
		if properties, err := decodeProperties(text); err == nil {
			return properties
		}
	}
	var properties []registry.Property
	add := func(kind, group, version, name string) {
		properties = append(properties, property(kind, gvkValue{Group: group, Kind: name, Version: version}))
	}
	for _, crd := range csv.Spec.CustomResourceDefinitions.Owned {
		add(registry.PropertyGVK, groupOf(crd.Name), crd.Version, crd.Kind)
	}
	for _, api := range csv.Spec.APIServiceDefinitions.Owned {
		add(registry.PropertyGVK, api.Group, api.Version, api.Kind)
	}
	for _, crd := range csv.Spec.CustomResourceDefinitions.Required {
		add(registry.PropertyGVKRequired, groupOf(crd.Name), crd.Version, crd.Kind)
	}
	for _, api := range csv.Spec.APIServiceDefinitions.Required {
		add(registry.PropertyGVKRequired, api.Group, api.Version, api.Kind)
	}
	return properties
}

type gvkValue struct {
	Group   string `json:"group"`
	Kind    string `json:"kind"`
	Version string `json:"version"`
}

func groupOf(crd string) string {
	_, group, _ := strings.Cut(crd, ".")
	return group
}

func property(kind string, value any) registry.Property {
	raw, err := json.Marshal(value)
	if err != nil {
		return registry.Property{Type: kind}
	}
	return registry.Property{Type: kind, Value: raw}
}

// decodeProperties reads the properties annotation, or that of a lookup.
func decodeProperties(text string) ([]registry.Property, error) {
	var list struct {
		Properties []struct {
			Type  string          `json:"type"`
			Value json.RawMessage `json:"value"`
		} `json:"properties"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, err
	}
	properties := make([]registry.Property, 0, len(list.Properties))
	for _, p := range list.Properties {
		properties = append(properties, registry.Property{Type: p.Type, Value: p.Value})
	}
	return properties, nil
}
