package fbc

import (
	"encoding/json"
	"slices"
	"strings"

	canon "chandler.dev/olm/pkg/registry/document"
)

// plainBundle reads an olm.bundle whose fields are spelled as its schema spells
// them, without looking at their content again. False if anything is unusual:
// decode knows what that means.
func plainBundle(fields map[string]json.RawMessage) (b bundleBlob, ok bool) {
	for name, raw := range fields {
		switch name {
		case "schema":
			b.Schema, ok = canon.Text(raw)
		case "name":
			b.Name, ok = canon.Text(raw)
		case "package":
			b.Package, ok = canon.Text(raw)
		case "image":
			b.Image, ok = canon.Text(raw)
		case "properties":
			b.Properties, ok = plainList(raw, plainProperty)
		case "relatedImages":
			b.RelatedImages, ok = plainList(raw, plainImage)
		default:
			ok = !slices.ContainsFunc(bundleFields, func(known string) bool { return strings.EqualFold(known, name) })
		}
		if !ok {
			return b, false
		}
	}
	return b, true
}

var bundleFields = []string{"schema", "name", "package", "image", "properties", "relatedImages"}

func plainList[T any](array []byte, element func([]byte) (T, bool)) ([]T, bool) {
	elements, ok := canon.Elements(array)
	if !ok {
		return nil, false
	}
	list := make([]T, len(elements))
	for i, raw := range elements {
		if list[i], ok = element(raw); !ok {
			return nil, false
		}
	}
	return list, true
}

func plainProperty(object []byte) (p propertyBlob, ok bool) {
	fields, ok := canon.Fields(object)
	if !ok || len(fields) != 2 || fields[0].Name != "type" || fields[1].Name != "value" {
		return p, false
	}
	p.Value = fields[1].Value
	p.Type, ok = canon.Text(fields[0].Value)
	return p, ok
}

func plainImage(object []byte) (i imageBlob, ok bool) {
	fields, ok := canon.Fields(object)
	if !ok || len(fields) != 2 || fields[0].Name != "image" || fields[1].Name != "name" {
		return i, false
	}
	if i.Image, ok = canon.Text(fields[0].Value); !ok {
		return i, false
	}
	i.Name, ok = canon.Text(fields[1].Value)
	return i, ok
}
