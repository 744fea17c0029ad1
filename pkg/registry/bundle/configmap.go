package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"sigs.k8s.io/yaml"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/document"
)

// Keys of a ConfigMap that holds a catalog. The value of each is a list in YAML.
const (
	keyPackages = "packages"
	keyCSVs     = "clusterServiceVersions"
	keyCRDs     = "customResourceDefinitions"
)

// listed is an object of such a list.
type listed struct {
	raw  json.RawMessage
	head struct {
		Metadata struct{ Name string }
		Spec     struct {
			Replaces string
			Skips    []string
			CRDs     struct {
				Owned []struct{ Name string }
			} `json:"customresourcedefinitions"`
		}
	}
}

// ConfigMap returns the catalog of the data of a ConfigMap. It writes it as a
// tree of package manifests below dir, which has to stay while the source is
// read. A bundle is a ClusterServiceVersion that a channel leads to, with the
// definitions that it owns. failure.Invalid if the data is no catalog.
func ConfigMap(data map[string]string, dir string, o Options) (registry.Source, error) {
	packages, err := listOf(data, keyPackages)
	if err != nil {
		return nil, err
	}
	if len(packages) == 0 {
		return nil, failure.New(failure.Invalid, "the ConfigMap has no package").
			WithHint("a catalog has the keys %s, %s and %s, a list in YAML each", keyPackages, keyCSVs, keyCRDs)
	}
	versions, err := byName(data, keyCSVs)
	if err != nil {
		return nil, err
	}
	crds, err := byName(data, keyCRDs)
	if err != nil {
		return nil, err
	}
	for i, raw := range packages {
		if err := writePackage(filepath.Join(dir, strconv.Itoa(i)), raw, versions, crds); err != nil {
			return nil, err
		}
	}
	t, _ := FS(os.DirFS(dir), ".", o).(tree)
	return legacyTree{t}, nil
}

func listOf(data map[string]string, key string) ([]json.RawMessage, error) {
	raw, err := document.FromYAML([]byte(data[key]))
	var list []json.RawMessage
	if err == nil {
		err = json.Unmarshal(raw, &list)
	}
	if err != nil {
		return nil, failure.New(failure.Invalid, "the key %q of the ConfigMap is no list of objects: %v", key, err).WithHint("write a list in YAML")
	}
	return list, nil
}

// byName returns the objects of a list; of several with one name the last.
func byName(data map[string]string, key string) (map[string]listed, error) {
	list, err := listOf(data, key)
	all := map[string]listed{}
	for i, raw := range list {
		one := listed{raw: raw}
		if err := json.Unmarshal(raw, &one.head); err != nil || one.head.Metadata.Name == "" {
			return nil, failure.New(failure.Invalid, "item %d of the key %q of the ConfigMap is no object with a name", i+1, key)
		}
		all[one.head.Metadata.Name] = one
	}
	return all, err
}

// writePackage writes a package manifest, and a directory for each version that
// one of its channels leads to.
func writePackage(dir string, raw json.RawMessage, versions, crds map[string]listed) error {
	var m packageManifest
	if err := json.Unmarshal(raw, &m); err != nil || m.PackageName == "" {
		return failure.New(failure.Invalid, "an item of the key %q of the ConfigMap is no package with a packageName", keyPackages)
	}
	text, err := yaml.JSONToYAML(raw)
	if err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "package.yaml"), text, 0o600)); err != nil {
		return err
	}
	var todo []string
	for _, ch := range m.Channels {
		todo = append(todo, ch.CurrentCSV)
	}
	seen := map[string]bool{}
	for ; len(todo) > 0; todo = todo[1:] {
		version, ok := versions[todo[0]]
		if !ok || seen[todo[0]] {
			continue
		}
		seen[todo[0]] = true
		todo = append(append(todo, version.head.Spec.Replaces), version.head.Spec.Skips...)
		if err := writeVersion(filepath.Join(dir, strconv.Itoa(len(seen))), version, crds); err != nil {
			return err
		}
	}
	return nil
}

func writeVersion(dir string, version listed, crds map[string]listed) error {
	err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "clusterserviceversion.yaml"), version.raw, 0o600))
	for i, owned := range version.head.Spec.CRDs.Owned {
		if crd, ok := crds[owned.Name]; ok {
			err = errors.Join(err, os.WriteFile(filepath.Join(dir, fmt.Sprintf("definition-%d.yaml", i)), crd.raw, 0o600))
		}
	}
	return err
}
