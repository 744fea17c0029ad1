package fbc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	canon "chandler.dev/olm/pkg/registry/document"
)

// meta is a blob whose envelope was read.
type meta struct {
	schema, pkg, name string
	json              []byte // the whole blob: compact, keys sorted, no HTML escapes
	fields            map[string]json.RawMessage
}

// flaw is something wrong with a document.
type flaw struct {
	line    int // in the file; 0 if it is about the document
	message string
	hint    string
}

func (f *flaw) Error() string { return f.message }

// parseMeta reads a document and its envelope.
func parseMeta(doc document) (meta, error) {
	text, err := normalize(doc)
	if err != nil {
		return meta{}, err
	}
	fields, err := fieldsOf(text)
	if err != nil {
		return meta{}, &flaw{message: "a blob must be an object: " + err.Error(), hint: "write key: value pairs, or separate files that are no catalog with .indexignore"}
	}
	folded := map[string][]string{}
	for key := range fields {
		folded[strings.ToLower(key)] = append(folded[strings.ToLower(key)], key)
	}
	for _, key := range slices.Sorted(maps.Keys(folded)) {
		if keys := folded[key]; len(keys) > 1 {
			slices.Sort(keys)
			return meta{}, &flaw{message: fmt.Sprintf("duplicate keys for key %q: %v", key, keys)}
		}
	}
	m := meta{json: text, fields: fields}
	for key, to := range map[string]*string{"schema": &m.schema, "package": &m.pkg, "name": &m.name} {
		names := folded[key]
		if len(names) == 0 {
			continue
		}
		if err := json.Unmarshal(fields[names[0]], to); err != nil {
			return meta{}, &flaw{message: fmt.Sprintf("expected value for key %q to be a string, got %s", key, fields[names[0]]), hint: "put it into quotes"}
		}
	}
	if max(len(m.schema), len(m.pkg), len(m.name)) > maxName {
		return meta{}, &flaw{message: fmt.Sprintf("the schema, package or name has more than %d letters", maxName), hint: "shorten it"}
	}
	if m.schema == "" {
		return meta{}, &flaw{message: fmt.Sprintf("object '%s' is missing root schema field", abbreviated(text)), hint: "add schema, or exclude the file by .indexignore"}
	}
	return m, nil
}

func fieldsOf(object []byte) (fields map[string]json.RawMessage, err error) {
	found, ok := canon.Fields(object)
	if !ok {
		return fields, json.Unmarshal(object, &fields)
	}
	fields = make(map[string]json.RawMessage, len(found))
	for _, f := range found {
		fields[f.Name] = f.Value
	}
	return fields, nil
}

func abbreviated(text []byte) string {
	const limit = 60
	if s := string(text); s != "null" && len(s) <= limit {
		return s
	} else if s != "null" {
		return s[:limit] + "…"
	}
	return ""
}

// normalize returns a document as compact JSON with sorted keys.
func normalize(doc document) ([]byte, error) {
	read := canon.FromYAML
	if doc.json {
		read = canon.FromJSON
	}
	text, err := read(doc.text)
	if f, ok := errors.AsType[*canon.Flaw](err); ok {
		at := &flaw{message: f.Message, hint: f.Hint}
		if f.Line > 0 {
			at.line = doc.line + f.Line - 1
			if doc.json { // doc.line is that of the first letter that is no space
				at.line -= bytes.Count(doc.text[:len(doc.text)-len(bytes.TrimLeft(doc.text, " \t\r\n"))], []byte("\n"))
			}
		}
		return nil, at
	}
	return text, err
}
