package document_test

import (
	"encoding/json"
	"errors"
	"testing"

	"chandler.dev/olm/pkg/registry/document"
)

func TestFromYAML(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"keys are sorted":               {"b: 1\na: [x, {d: 1, c: 2}]", `{"a":["x",{"c":2,"d":1}],"b":1}`},
		"HTML is not escaped":           {`a: "<b> & \\u003c c"`, `{"a":"<b> & \\u003c c"}`},
		"words of YAML 1.1 are boolean": {"a: yes\nb: n\nc: 'on'", `{"a":true,"b":false,"c":"on"}`},
		"versions become numbers":       {"a: 1.20", `{"a":1.2}`},
		"the last of equal keys wins":   {"a: 1\na: 2", `{"a":2}`},
		"only the first document":       {"a: 1\n---\nb: 2", `{"a":1}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := document.FromYAML([]byte(test.text))
			if err != nil || string(got) != test.want {
				t.Errorf("FromYAML() = %s, %v, want %s", got, err, test.want)
			}
		})
	}
}

func TestFlaws(t *testing.T) {
	tests := map[string]struct {
		read func([]byte) ([]byte, error)
		text string
		want int
	}{
		"YAML":          {document.FromYAML, "a: 1\nb: c: d\n", 2},
		"YAML with tab": {document.FromYAML, "a:\n\tb: 1\n", 2},
		"JSON":          {document.FromJSON, "{\"a\": 1,\n\"b\" 2}", 2},
		"bomb":          {document.FromYAML, bomb(), 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := test.read([]byte(test.text))
			f, ok := errors.AsType[*document.Flaw](err)
			if !ok || f.Line != test.want || f.Hint == "" {
				t.Errorf("error %#v, want a flaw on line %d with a hint", err, test.want)
			}
		})
	}
}

// bomb is a small text of aliases that stands for 10^9 words.
func bomb() string {
	text := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for _, n := range "123456789" {
		text += "a" + string(n) + ": &a" + string(n) + " ["
		for i := range 10 {
			if i > 0 {
				text += ","
			}
			text += "*a" + string(n-1)
		}
		text += "]\n"
	}
	return text
}

func FuzzDocument(f *testing.F) {
	for _, seed := range []string{"a: 1", `{"a": "<\u003c>"}`, "- x\n- y", "a: &b [1]\nc: *b", "\"\\\\u003c\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, read := range []func([]byte) ([]byte, error){document.FromYAML, document.FromJSON} {
			out, err := read(text)
			if err != nil {
				continue
			}
			if !json.Valid(out) {
				t.Fatalf("%q becomes invalid JSON %q", text, out)
			}
			again, err := document.FromJSON(out)
			if err != nil {
				t.Fatalf("%q is not read again: %v", out, err)
			}
			if _, err := document.FromJSON(again); err != nil {
				t.Fatalf("%q is not read again: %v", again, err)
			}
		}
	})
}
