package wire

import (
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/document"
)

// plainTemplate makes the template of a bundle whose metadata is spelled as
// MetadataOf spells it, by copying its text. False if anything is unusual:
// decodedTemplate knows what that means.
func plainTemplate(b registry.Bundle) (t Template, ok bool) {
	all, ok := document.Fields(b.Content.Metadata)
	if !ok {
		return t, false
	}
	fields := make(map[string][]byte, len(all))
	for _, f := range all {
		if expected := plainFields[f.Name]; expected == nil || !expected(f.Value) {
			return t, false
		}
		fields[f.Name] = f.Value
	}
	if fields["apiServiceDefinitions"] == nil || fields["crdDescriptions"] == nil {
		return t, false
	}
	const most = 512 // bytes of names
	w := plainWriter{fields: fields, text: make([]byte, 0, len(b.Content.Metadata)+most)}
	w.raw(`{"apiVersion":"` + csvAPIVersion + `","kind":"` + csvKind + `","metadata":{"name":` + compact(b.Name) + `,`)
	w.copy("annotations", "annotations")
	w.copy("labels", "labels")
	w.end(`},"spec":{`)
	w.copy("apiServiceDefinitions", "apiservicedefinitions")
	w.copy("crdDescriptions", "customresourcedefinitions")
	if fields["description"] == nil {
		t.DescriptionAt = len(w.text)
	}
	w.copy("description", "description")
	if fields["displayName"] == nil {
		w.raw(`"displayName":"",`)
	}
	w.copy("displayName", "displayName")
	t.IconAt = len(w.text)
	w.raw(`"install":{"strategy":"deployment","spec":{"deployments":null}},`)
	for _, name := range []string{"installModes", "keywords", "links", "maintainers", "maturity", "minKubeVersion", "nativeAPIs", "provider"} {
		w.copy(name, name)
	}
	if len(b.RelatedImages) > 0 {
		w.raw(`"relatedImages":` + compact(csvImages(b)) + `,`)
	}
	if version := canonicalVersion(b.Version); version != "" {
		w.raw(`"version":` + compact(version) + `,`)
	}
	w.end(`}}`)
	t.CSV = w.text
	return t, true
}

// plainFields says what is expected of each field of metadata.
var plainFields = map[string]func(value []byte) bool{
	"annotations": isTexts, "labels": isTexts,
	"description": isText, "displayName": isText, "maturity": isText, "minKubeVersion": isText,
	"apiServiceDefinitions": isNested, "crdDescriptions": isNested, "installModes": isNested, "keywords": isNested,
	"links": isNested, "maintainers": isNested, "nativeAPIs": isNested, "provider": isNested,
}

func isText(value []byte) bool { return value[0] == '"' && len(value) > len(`""`) }

func isNested(value []byte) bool { return value[0] == '{' || value[0] == '[' }

func isTexts(value []byte) bool {
	fields, ok := document.Fields(value)
	for _, f := range fields {
		ok = ok && f.Value[0] == '"'
	}
	return ok && len(fields) > 0
}

// plainWriter writes fields, each with a comma behind it.
type plainWriter struct {
	fields map[string][]byte
	text   []byte
}

func (w *plainWriter) raw(text string) { w.text = append(w.text, text...) }

// copy writes a field under another name, if it is there.
func (w *plainWriter) copy(from, to string) {
	if value, ok := w.fields[from]; ok {
		w.raw(`"` + to + `":`)
		w.text = append(append(w.text, value...), ',')
	}
}

// end writes text in the place of the last comma.
func (w *plainWriter) end(text string) {
	w.text = append(w.text[:len(w.text)-1], text...)
}
