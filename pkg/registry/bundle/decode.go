package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// flaw says why a file is not YAML.
type flaw struct {
	line    int // 0 if unknown
	message string
	hint    string
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// decode returns the first document of a file as compact JSON with sorted keys
// and without HTML escapes.
func decode(text []byte) ([]byte, *flaw) {
	raw, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, flawOf(err)
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, &flaw{message: err.Error()}
	}
	out, err := encode(v)
	if err != nil {
		return nil, &flaw{message: err.Error()}
	}
	return out, nil
}

func flawOf(err error) *flaw {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	f := &flaw{hint: "check the indentation, and put values with : or # into quotes"}
	if strings.Contains(text, "tab") || strings.Contains(text, "cannot start any token") {
		f.hint = "indent with spaces, not with tabs"
	}
	if m := yamlLine.FindStringSubmatchIndex(text); m != nil {
		f.line, _ = strconv.Atoi(text[m[2]:m[3]])
		text = text[:m[0]] + text[m[1]:]
	}
	f.message = fmt.Sprintf("broken YAML: %s", strings.TrimSpace(text))
	return f
}

func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
