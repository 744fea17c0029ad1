// Package check says what is wrong with a bundle that catalogs would take all
// the same: what those who publish bundles are asked to get right. It does not
// know what a cluster would say; rules in CEL are compiled where they are used.
package check

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/document"
)

// Media types of bundles.
const (
	RegistryV1 = "registry+v1" // has a ClusterServiceVersion
	Helm       = "helm"        // is a chart
	Plain      = "plain"       // any other manifests
)

const (
	manifestsDir = "manifests"
	metadataDir  = "metadata"
	prefix       = "operators.operatorframework.io.bundle."

	mediaTypeKey      = prefix + "mediatype.v1"
	channelsKey       = prefix + "channels.v1"
	defaultChannelKey = prefix + "channel.default.v1"
)

var requiredKeys = []string{mediaTypeKey, prefix + "manifests.v1", prefix + "metadata.v1", prefix + "package.v1", channelsKey}

// Report is what was found.
type Report struct {
	Problems, Warnings []registry.Problem
}

// Bundle checks the bundle in a file system; name is what messages call it.
func Bundle(fsys fs.FS, name string) Report {
	c := &checker{fsys: fsys, name: name}
	if !c.isDir(manifestsDir) || !c.isDir(metadataDir) {
		return c.Report
	}
	c.manifests()
	mediaType, err := mediaTypeOf(c.objects)
	if err != nil {
		c.problem(manifestsDir, "", "%v", err)
	}
	c.metadata(mediaType)
	if mediaType == RegistryV1 {
		c.content()
	}
	return c.Report
}

// checker collects what is wrong.
type checker struct {
	Report

	fsys    fs.FS
	name    string
	objects []object
}

// object is a manifest.
type object struct {
	file       string
	raw        []byte
	apiVersion string
	kind       string
	name       string
}

func (c *checker) problem(file, hint, format string, args ...any) {
	c.Problems = append(c.Problems, registry.Problem{Message: fmt.Sprintf(format, args...), Hint: hint, Where: path.Join(c.name, file)})
}

func (c *checker) warning(file, hint, format string, args ...any) {
	c.Warnings = append(c.Warnings, registry.Problem{Message: fmt.Sprintf(format, args...), Hint: hint, Where: path.Join(c.name, file)})
}

func (c *checker) isDir(dir string) bool {
	info, err := fs.Stat(c.fsys, dir)
	if err == nil && info.IsDir() {
		return true
	}
	c.problem(dir, "", "unable to locate %s directory", dir)
	return false
}

// manifests reads every file.
func (c *checker) manifests() {
	files, err := fs.ReadDir(c.fsys, manifestsDir)
	if err != nil {
		c.problem(manifestsDir, "", "%v", err)
	}
	for _, entry := range files {
		file := path.Join(manifestsDir, entry.Name())
		if entry.IsDir() {
			c.warning(file, "manifests are in one directory", "a directory is passed over")
			continue
		}
		text, err := fs.ReadFile(c.fsys, file)
		if err != nil {
			c.problem(file, "", "%v", err)
			continue
		}
		raw, err := document.FromYAML(text)
		var head struct {
			APIVersion, Kind, Name string
			Metadata               struct{ Name string }
		}
		if err == nil {
			err = json.Unmarshal(raw, &head)
		}
		if err != nil {
			c.problem(file, "every file is one manifest", "the file cannot be decoded: %v", err)
			continue
		}
		one := object{file: file, raw: raw, apiVersion: head.APIVersion, kind: head.Kind, name: head.Metadata.Name}
		if path.Base(file) == "Chart.yaml" {
			one.name = head.Name
		}
		c.objects = append(c.objects, one)
	}
}

// mediaTypeOf finds out what a bundle is by its manifests.
func mediaTypeOf(objects []object) (string, error) {
	if len(objects) == 0 {
		return "", fmt.Errorf("the bundle has no manifests")
	}
	for _, o := range objects {
		if path.Base(o.file) == "Chart.yaml" && o.name != "" {
			return Helm, nil
		}
	}
	if slices.ContainsFunc(objects, func(o object) bool { return o.kind == csvKind }) {
		return RegistryV1, nil
	}
	return Plain, nil
}

// metadata checks annotations and dependencies. The names of files do not
// matter.
func (c *checker) metadata(mediaType string) {
	files, err := fs.ReadDir(c.fsys, metadataDir)
	if err != nil {
		c.problem(metadataDir, "", "%v", err)
	}
	found := false
	for _, entry := range files {
		file := path.Join(metadataDir, entry.Name())
		text, err := fs.ReadFile(c.fsys, file)
		if err != nil {
			continue // a directory
		}
		var doc struct {
			Annotations  map[string]string
			Dependencies []dependency
		}
		raw, err := document.FromYAML(text)
		if err == nil {
			err = json.Unmarshal(raw, &doc)
		}
		if err != nil {
			c.problem(file, "", "the file cannot be decoded: %v", err)
			continue
		}
		for _, d := range doc.Dependencies {
			c.dependency(file, d)
		}
		if len(doc.Annotations) > 0 && !found {
			found = true
			c.annotations(file, mediaType, doc.Annotations)
		}
	}
	if !found {
		c.problem(metadataDir, "add annotations.yaml", "could not find annotations file")
	}
}

func (c *checker) annotations(file, mediaType string, annotations map[string]string) {
	for _, key := range requiredKeys {
		value, ok := annotations[key]
		switch {
		case !ok:
			c.problem(file, "", "Missing annotation %q", key)
		case key == mediaTypeKey && mediaType != "" && value != mediaType:
			c.problem(file, "", "Expecting annotation %q to have value %q instead of %q", key, mediaType, value)
		case strings.TrimSpace(value) == "":
			c.problem(file, "", "Expecting annotation %q to have a value", key)
		}
	}
	if value, ok := annotations[defaultChannelKey]; ok && value == "" {
		c.problem(file, "remove the annotation or name a channel", "Expecting annotation %q to have a value", defaultChannelKey)
	}
}
