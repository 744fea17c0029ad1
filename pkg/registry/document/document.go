// Package document turns one document of YAML or JSON into compact JSON with
// sorted keys and without HTML escapes, or says where it is broken and how
// that is usually cured. A document costs bounded memory, whatever is in it.
package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v2"
)

// Flaw is why a document cannot be read.
type Flaw struct { //nolint:errname // it says what is wrong with a text, not with the program
	Line    int // in the document, from 1; 0 if it is not known
	Message string
	Hint    string // may be empty
}

func (f *Flaw) Error() string { return f.Message }

// FromYAML reads the first document of a text.
func FromYAML(text []byte) ([]byte, error) {
	release, err := admit(len(text), yamlValues(text))
	if err != nil {
		return nil, err
	}
	defer release()
	var parsed any
	if err := yaml.Unmarshal(text, &parsed); err != nil {
		return nil, yamlFlaw(err)
	}
	v, err := withStringKeys(parsed)
	if err != nil {
		return nil, err
	}
	return encodeWithin(v)
}

// FromJSON reads a JSON value. Numbers become what a float64 can hold.
func FromJSON(text []byte) ([]byte, error) {
	release, err := admit(len(text), jsonValues(text))
	if err != nil {
		return nil, err
	}
	defer release()
	if out, ok := canonical(text); ok {
		return out, nil
	}
	return decoded(text)
}

// decoded is FromJSON by the standard library, which is the rule.
func decoded(text []byte) ([]byte, error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, jsonFlaw(text, err)
	}
	return encodeWithin(v)
}

// encodeWithin encodes what is not larger than a document may be. Aliases and
// escapes can make a small text large.
func encodeWithin(v any) ([]byte, error) {
	if err := measure(v); err != nil {
		return nil, err
	}
	out, err := Encode(v)
	if err != nil {
		return nil, &Flaw{Message: "no JSON can say this: " + err.Error(), Hint: "JSON knows no infinity and no value that is not a number"}
	}
	return out, nil
}

// Encode writes compact JSON without HTML escapes.
func Encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

func yamlFlaw(err error) *Flaw {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	f := &Flaw{Hint: "check the indentation, and put values with : or # into quotes"}
	if strings.Contains(text, "tab character") || strings.Contains(text, "cannot start any token") {
		f.Hint = "indent with spaces, not with tabs"
	}
	if m := yamlLine.FindStringSubmatchIndex(text); m != nil {
		n, _ := strconv.Atoi(text[m[2]:m[3]])
		f.Line = max(n, 1)
		text = text[:m[0]] + text[m[1]:]
	}
	f.Message = "broken YAML: " + strings.TrimSpace(text)
	return f
}

func jsonFlaw(text []byte, err error) *Flaw {
	f := &Flaw{Message: "broken JSON: " + err.Error(), Hint: "check commas, quotes and braces around it"}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		const context = 30
		before := text[:min(int(syntax.Offset), len(text))]
		f.Line = 1 + bytes.Count(before, []byte("\n"))
		f.Message += fmt.Sprintf(" after %q", before[max(0, len(before)-context):])
	}
	return f
}
