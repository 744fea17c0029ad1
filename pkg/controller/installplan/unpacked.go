package installplan

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/install/render"
	"chandler.dev/olm/pkg/registry"
)

// maxUnpacked bounds what a compressed manifest may become, in bytes.
const maxUnpacked = 32 << 20

// unpack reads the manifests in a ConfigMap of v0: plain, or compressed and
// encoded. As in v0, what is not an object is left out.
func unpack(u *unstructured.Unstructured) (registry.Content, error) {
	cm := &corev1.ConfigMap{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, cm); err != nil {
		return registry.Content{}, fmt.Errorf("read ConfigMap %q: %w", u.GetName(), err)
	}
	files := map[string][]byte{}
	for k, v := range cm.Data {
		files[k] = []byte(v)
	}
	for k, v := range cm.BinaryData {
		text, err := inflate(v)
		if err != nil {
			return registry.Content{}, failure.New(failure.Invalid, "%q in ConfigMap %q cannot be decompressed", k, cm.Name).
				WithHint("delete the ConfigMap and the plan; both are made anew")
		}
		files[k] = text
	}
	var content registry.Content
	for _, name := range slices.Sorted(maps.Keys(files)) {
		object, err := yaml.YAMLToJSON(files[name])
		if err != nil {
			continue
		}
		m, err := render.ParseManifest(object)
		if err != nil {
			continue
		}
		if m.Kind == render.KindCSV {
			content.CSV = object
		}
		content.Objects = append(content.Objects, object)
	}
	return content, nil
}

func inflate(data []byte) ([]byte, error) {
	compressed := make([]byte, base64.StdEncoding.DecodedLen(len(data)))
	n, err := base64.StdEncoding.Decode(compressed, data)
	if err != nil {
		return nil, err
	}
	reader, err := gzip.NewReader(bytes.NewReader(compressed[:n]))
	if err != nil {
		return nil, err
	}
	defer reader.Close() //nolint:errcheck // reading has told all errors
	return io.ReadAll(io.LimitReader(reader, maxUnpacked))
}
