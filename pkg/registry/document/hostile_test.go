package document_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"sigs.k8s.io/yaml"

	"chandler.dev/olm/internal/testkit/peak"
	"chandler.dev/olm/pkg/registry/document"
)

// members is a block mapping of n members.
func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: 1\n", i)
	}
	return b.String()
}

// indented is a mapping in a mapping in a mapping.
func indented(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// TestHostileDocuments reads small and large texts that would take much more
// memory than they have.
func TestHostileDocuments(t *testing.T) {
	const (
		many   = document.MaxValues + 1
		values = "more than 500000 values"
		levels = "more than 1000 levels"
		size   = "larger than 64 MiB"
	)
	page := strings.Repeat("x", 1<<20)
	tests := map[string]struct {
		text  string
		want  string
		limit uint64 // MiB
	}{
		"a list without end":              {strings.Repeat("- a\n", many), values, 8},
		"a list in a line without end":    {"[" + strings.Repeat("1,", many) + "1]", values, 8},
		"lists in a line":                 {strings.Repeat("- ", many), values, 8},
		"a mapping without end":           {members(many), values, 8},
		"a mapping in a line without end": {"{" + strings.Repeat(`"a":1,`, many) + `"b":1}`, values, 8},
		"mappings without end":            {"[" + strings.Repeat("{},", many) + "{}]", values, 8},
		"as many values as may be":        {members(document.MaxValues/2 - 1), "", 192},
		"lists in lists":                  {strings.Repeat("[", 9000) + strings.Repeat("]", 9000), levels, 16},
		"lists in lists in lists":         {strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), "exceeded max depth", 64},
		"mappings in mappings":            {indented(5000), levels, 64},
		"mappings in mappings in a line":  {strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000), levels, 16},
		"ten thousand million aliases":    {bomb(), "excessive aliasing", 256},
		"an alias of much text":           {`{"a": &a ` + page + `, "b": [` + strings.Repeat("*a,", 1000) + "1]}", size, 128},
		"bytes that become longer":        {`{"a":"` + strings.Repeat("\xff", document.MaxBytes/3) + `"}`, size, 256},
		"one long text":                   {`{"a":"` + strings.Repeat("x", document.MaxBytes) + `"}`, size, 8},
		"a long text that may be":         {`{"a":"` + strings.Repeat("x", document.MaxBytes-8) + `"}`, "", 512},
		"two bytes a letter":              {"\xff\xfe" + strings.Repeat("-\x00 \x00a\x00\n\x00", document.MaxValues/8+1), values, 8},
		"no number":                       {"[.nan]", "no JSON can say this", 1},
		"a key that is too large":         {"18446744073709551615: b", "broken YAML: a key is no text", 1},
	}
	for what, test := range tests {
		for kind, read := range map[string]func([]byte) ([]byte, error){"YAML": document.FromYAML, "JSON": document.FromJSON} {
			if kind == "JSON" && !strings.ContainsRune("[{", rune(test.text[0])) {
				continue
			}
			t.Run(what+" in "+kind, func(t *testing.T) {
				text := []byte(test.text)
				peak.Heap(t, test.limit<<20, func() {
					_, err := read(text)
					flaw, ok := errors.AsType[*document.Flaw](err)
					switch {
					case test.want == "":
						if err != nil {
							t.Errorf("error %v", err)
						}
					case !ok || flaw.Hint == "":
						t.Errorf("error %v, want a flaw with a hint", err)
					case kind == "JSON" && strings.HasPrefix(flaw.Message, "broken JSON"): // it knows no aliases
					case kind == "YAML" && strings.HasPrefix(flaw.Message, "broken YAML: invalid"): // it knows no such bytes
					case !strings.Contains(flaw.Message, test.want):
						t.Errorf("error %s, want one that says %q", flaw.Message, test.want)
					}
				})
			})
		}
	}
}

func TestRead(t *testing.T) {
	fsys := fstest.MapFS{
		"good":  {Data: []byte("a: 1")},
		"large": {Data: make([]byte, document.MaxBytes+1)},
	}
	if text, err := document.Read(fsys, "good"); err != nil || string(text) != "a: 1" {
		t.Errorf("Read() = %q, %v", text, err)
	}
	_, err := document.Read(fsys, "large")
	if flaw, ok := errors.AsType[*document.Flaw](err); !ok || !strings.Contains(flaw.Message, "larger than 64 MiB") {
		t.Errorf("error %v, want that it is larger than 64 MiB", err)
	}
	if _, err := document.Read(fsys, "nowhere"); err == nil {
		t.Error("a file was read that is not there")
	}
}

func TestKeys(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"whole numbers":              {"1: a\n-2: b\n0x10: c", `{"-2":"b","1":"a","16":"c"}`},
		"fractions":                  {"1.5: a\n.inf: c\n-.inf: d\n.nan: e", `{"-.inf":"d",".inf":"c",".nan":"e","1.5":"a"}`},
		"truths":                     {"yes: a\noff: b", `{"false":"b","true":"a"}`},
		"a text before a number":     {"1: a\n'1': b", `{"1":"b"}`},
		"a whole one before a float": {"1.0: a\n1: b", `{"1":"b"}`},
		"in lists":                   {"[{1: {2: 3}}]", `[{"1":{"2":3}}]`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for range 10 { // the order of a map is another one each time
				got, err := document.FromYAML([]byte(test.text))
				if err != nil || string(got) != test.want {
					t.Fatalf("FromYAML() = %s, %v, want %s", got, err, test.want)
				}
			}
		})
	}
}

// FuzzYAML compares with the library that reads YAML everywhere in Kubernetes.
func FuzzYAML(f *testing.F) {
	for _, seed := range []string{
		"a: 1\nb: [x, 1.5, 0x10, 1_000, 2001-01-01, ~, yes]", "? 1\n: 2", "a: &a {b: 1}\nc: {<<: *a, d: 2}", "!!binary aGk=: x", "- !!str 1\n- !!float 1", "\"\\u2028<&>\"", "{.inf: 1, 1e400: 2}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := document.FromYAML(text)
		want, wantErr := yaml.YAMLToJSON(text)
		if err != nil {
			flaw, ok := errors.AsType[*document.Flaw](err)
			if limit := ok && (strings.Contains(flaw.Message, "more than") || strings.Contains(flaw.Message, "larger than")); wantErr == nil && !limit {
				t.Fatalf("%q is not read: %v", text, err)
			}
			return
		}
		if wantErr != nil {
			t.Fatalf("%q is read as %s, but should not: %v", text, got, wantErr)
		}
		var a, b any
		if err := errors.Join(json.Unmarshal(got, &a), json.Unmarshal(want, &b)); err != nil {
			t.Fatal(err)
		}
		x, errX := json.Marshal(a)
		y, errY := json.Marshal(b)
		if errX != nil || errY != nil || !bytes.Equal(x, y) && !ambiguous(text) {
			t.Fatalf("%q is read as %s, want %s", text, got, want)
		}
	})
}

// ambiguous reports whether a text has keys that are spelled alike: which of
// them the library takes is chance.
func ambiguous(text []byte) bool {
	first, err := yaml.YAMLToJSON(text)
	for range 20 {
		again, againErr := yaml.YAMLToJSON(text)
		if err != nil || againErr != nil || !bytes.Equal(first, again) {
			return true
		}
	}
	return false
}
