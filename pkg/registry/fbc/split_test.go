package fbc

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestJSONDocumentsEndWhereTheirObjectsEnd(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"objects behind each other":         {`{"a":1}{"b":{"c":[{}]}}`, []string{`{"a":1}`, `{"b":{"c":[{}]}}`}},
		"spaces between objects":            {"{}\n \n{}\n", []string{"{}", "\n \n{}"}},
		"braces in strings":                 {`{"}":"{[]"}{}`, []string{`{"}":"{[]"}`, `{}`}},
		"quotes in strings":                 {`{"a":"\"}\"","b":"}"}{}`, []string{`{"a":"\"}\"","b":"}"}`, `{}`}},
		"backslashes at the end of strings": {`{"a":"\\","b":"\\\"}","c":"\\\\"}{}`, []string{`{"a":"\\","b":"\\\"}","c":"\\\\"}`, `{}`}},
		"an object without an end":          {`{}{"a":"`, []string{`{}`, `{"a":"`}},
	}
	readers := map[string]func(io.Reader) io.Reader{
		"all at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "in halves": iotest.HalfReader,
	}
	for name, tt := range tests {
		for how, reader := range readers {
			t.Run(name+", "+how, func(t *testing.T) {
				var got []string
				line := 1
				for doc, err := range documents(reader(strings.NewReader(tt.text))) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, string(doc.text))
					spaces := doc.text[:len(doc.text)-len(bytes.TrimLeft(doc.text, "\n "))]
					if line += bytes.Count(spaces, []byte("\n")); doc.line != line {
						t.Errorf("%q is in line %d, want %d", doc.text, doc.line, line)
					}
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("documents() (-want +got):\n%s", diff)
				}
			})
		}
	}
}
