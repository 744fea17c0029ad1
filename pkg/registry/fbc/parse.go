package fbc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// meta is a blob whose envelope was read.
type meta struct {
	schema, pkg, name string
	json              []byte // the whole blob: compact, keys sorted, no HTML escapes
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
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
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
	m := meta{json: text}
	for key, to := range map[string]*string{"schema": &m.schema, "package": &m.pkg, "name": &m.name} {
		names := folded[key]
		if len(names) == 0 {
			continue
		}
		if err := json.Unmarshal(fields[names[0]], to); err != nil {
			return meta{}, &flaw{message: fmt.Sprintf("expected value for key %q to be a string, got %s", key, fields[names[0]]), hint: "put it into quotes"}
		}
	}
	if m.schema == "" {
		return meta{}, &flaw{message: fmt.Sprintf("object '%s' is missing root schema field", abbreviated(text)), hint: "add schema, or exclude the file by .indexignore"}
	}
	return m, nil
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

// normalize returns a document as compact JSON with sorted keys, through the
// types that YAML and JSON decode to.
func normalize(doc document) ([]byte, error) {
	if doc.json {
		return normalizeJSON(doc)
	}
	text, err := yaml.YAMLToJSON(doc.text)
	if err != nil {
		return nil, yamlFlaw(doc, err)
	}
	return unescapeHTML(text), nil
}

func normalizeJSON(doc document) ([]byte, error) {
	var v any
	if err := json.Unmarshal(doc.text, &v); err != nil {
		return nil, jsonFlaw(doc, err)
	}
	return encode(v)
}

// encode writes compact JSON without HTML escapes.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

var htmlEscapes = map[string]byte{"u003c": '<', "u003e": '>', "u0026": '&'}

// unescapeHTML undoes what encoding/json does to < > and & in strings.
func unescapeHTML(text []byte) []byte {
	if !bytes.Contains(text, []byte(`\u00`)) {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			out = append(out, text[i])
			continue
		}
		if i+6 <= len(text) {
			if c, ok := htmlEscapes[string(text[i+1:i+6])]; ok {
				out = append(out, c)
				i += 5
				continue
			}
		}
		out = append(out, text[i], text[i+1])
		i++
	}
	return out
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// yamlFlaw says where in the file YAML is broken, and how it is usually cured.
func yamlFlaw(doc document, err error) error {
	text := err.Error()
	text = strings.TrimPrefix(text, "yaml: ")
	f := &flaw{hint: "check the indentation, and put values with : or # into quotes"}
	if strings.Contains(text, "tab character") || strings.Contains(text, "cannot start any token") {
		f.hint = "indent with spaces, not with tabs"
	}
	if m := yamlLine.FindStringSubmatchIndex(text); m != nil {
		n, _ := strconv.Atoi(text[m[2]:m[3]])
		f.line = doc.line + max(n, 1) - 1
		text = text[:m[0]] + text[m[1]:]
	}
	f.message = "broken YAML: " + strings.TrimSpace(text)
	return f
}

func jsonFlaw(doc document, err error) error {
	f := &flaw{message: "broken JSON: " + err.Error(), hint: "check commas, quotes and braces around it"}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		at := min(int(syntax.Offset), len(doc.text))
		before := bytes.TrimLeft(doc.text[:at], " \t\r\n")
		f.line = doc.line + bytes.Count(before, []byte("\n"))
		tail := before[max(0, len(before)-30):]
		f.message += fmt.Sprintf(" after %q", tail)
	}
	return f
}
