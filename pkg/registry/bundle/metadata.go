package bundle

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
)

// metadata is what the files beside the manifests say. Their names do not
// matter; each is known by what is in it.
type metadata struct {
	annotations  annotations
	dependencies []item
	properties   []item
}

type annotations struct {
	Package        string `json:"operators.operatorframework.io.bundle.package.v1"`
	Channels       string `json:"operators.operatorframework.io.bundle.channels.v1"`
	DefaultChannel string `json:"operators.operatorframework.io.bundle.channel.default.v1"`
}

func (a annotations) channels() []string {
	if a.Channels == "" {
		return nil
	}
	return strings.Split(a.Channels, ",")
}

// item is a dependency or a property.
type item struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}

func (r *reader) metadata() (metadata, error) {
	var meta metadata
	entries, err := r.entries(metadataDir)
	if err != nil {
		return meta, err
	}
	found := false
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		file := path.Join(metadataDir, entry.Name())
		object, err := r.document(file)
		if f := flawOf(err); f != nil {
			if isYAML(file) { // anything else may lie there
				r.broken(file, f)
			}
			continue
		}
		if err != nil {
			return meta, err
		}
		found = meta.take(object) || found
	}
	if !found && len(r.problems) == 0 {
		r.problem(metadataDir, "add annotations.yaml with the package and its channels", "could not find annotations file")
	}
	return meta, nil
}

// take reads a document as each kind that was not found yet. It reports
// whether the document holds the annotations.
func (m *metadata) take(object []byte) bool {
	var doc struct {
		Annotations  annotations
		Dependencies []item
		Properties   []item
	}
	if err := json.Unmarshal(object, &doc); err != nil {
		return false
	}
	if len(m.dependencies) == 0 {
		m.dependencies = doc.Dependencies
	}
	if len(m.properties) == 0 {
		m.properties = doc.Properties
	}
	if m.annotations == (annotations{}) && doc.Annotations != (annotations{}) {
		m.annotations = doc.Annotations
		return true
	}
	return false
}

func isYAML(file string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(file))
}
