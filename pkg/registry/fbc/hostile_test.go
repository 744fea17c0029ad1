package fbc_test

import (
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"chandler.dev/olm/internal/testkit/peak"
	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/fbc"
)

// generated is a file system with one file, which is made while it is read.
type generated struct {
	fstest.MapFS

	next func(i int) string // a part of the file, none if it ends
}

func fileOf(next func(i int) string) generated {
	return generated{fstest.MapFS{"catalog": {Data: []byte("x")}}, next}
}

func (g generated) Open(name string) (fs.File, error) {
	f, err := g.MapFS.Open(name)
	if name != "catalog" {
		return f, err
	}
	return &generatedFile{File: f, next: g.next}, err
}

type generatedFile struct {
	fs.File

	next func(i int) string
	i    int
	rest string
}

func (f *generatedFile) Read(p []byte) (int, error) {
	if f.rest == "" {
		f.rest = f.next(f.i)
		f.i++
	}
	if f.rest == "" {
		return 0, io.EOF
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// repeated is a start and then a text again and again, up to a GB.
func repeated(start, text string) func(int) string {
	chunk := strings.Repeat(text, 1+(1<<20)/len(text))
	return func(i int) string {
		switch {
		case i == 0:
			return start
		case i*len(chunk) > 1<<30:
			return ""
		}
		return chunk
	}
}

// numbered is n parts with a number in them, with something before and after.
func numbered(n int, before, part, after string) func(int) string {
	return func(i int) string {
		switch {
		case i == 0:
			return before
		case i <= n:
			return strings.ReplaceAll(part, "#", fmt.Sprint(i))
		case i == n+1:
			return after
		}
		return ""
	}
}

// TestHostileCatalogs reads catalogs that would fill the memory.
func TestHostileCatalogs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const (
		million = 1_000_001
		large   = "the document is larger than 64 MiB"
		blobs   = "more than 200000 blobs"
	)
	page := strings.Repeat("x", 1<<20)
	tests := map[string]struct {
		next  func(int) string
		want  string
		limit uint64 // MiB
	}{
		"a GB in one document of YAML":     {repeated("schema: x\ntext: |\n", "  a line\n"), large, 384},
		"a GB in one line of YAML":         {repeated("schema: ", "x"), large, 384},
		"a GB in one text of JSON":         {repeated(`{"schema":"`, "x"), large, 384},
		"a GB of spaces before JSON":       {repeated("  ", "          "), large, 384},
		"a GB in brackets":                 {repeated(`{"schema":`, "["), large, 384},
		"a million bundles":                {numbered(million, " ", `{"schema":"olm.bundle","package":"p","name":"#"}`, ""), blobs, 256},
		"a million channels":               {numbered(million, " ", `{"schema":"olm.channel","package":"p","name":"#","entries":[]}`, ""), blobs, 384},
		"a million entries in a channel":   {numbered(million, `{"schema":"olm.channel","entries":[{"name":"0"}`, `,{"name":"#","replaces":"0"}`, "]}"), "more than 500000 values", 192},
		"a million entries in channels":    {numbered(1000, " ", `{"schema":"olm.channel","package":"p","name":"#","entries":[`+strings.Repeat(`{"name":"a#"},`, 2000)+`{"name":"b"}]}`, ""), "more than 500000 entries and skips", 384},
		"a million skips in channels":      {numbered(1000, " ", `{"schema":"olm.channel","package":"p","name":"#","entries":[{"name":"a","skips":[`+strings.Repeat(`"a#",`, 2000)+`"b"]}]}`, ""), "more than 500000 entries and skips", 256},
		"a million properties of a bundle": {numbered(million, `{"schema":"olm.bundle","package":"p","name":"b","properties":[{"type":"a","value":1}`, `,{"type":"a#","value":1}`, "]}"), "more than 500000 values", 192},
		"a GB of icons":                    {numbered(1024, " ", `{"schema":"olm.package","name":"p#","defaultChannel":"`+page+`"}`, ""), "more than 256 MiB", 768},
		"names of a MB each":               {numbered(40, " ", `{"schema":"olm.bundle","package":"p","name":"#`+page+`"}`, ""), "more than 1024 letters", 256},
		"a GB of APIs":                     {numbered(64, " ", `{"schema":"olm.bundle","package":"p","name":"#","properties":[`+strings.Repeat(`{"type":"olm.gvk","value":{"group":"g","kind":"`+page[:2000]+`","version":"v"}},`, 8000)+`{"type":"olm.gvk"}]}`, ""), "more than 256 MiB", 512},
		"problems of much text":            {numbered(6, " ", `{"schema":{"a":"`+strings.Repeat(page, 16)+`"}}`, ""), "to be a string, got {", 512},
		"many problems":                    {numbered(20_000, " ", `{"schema":1}`, ""), "more than 10000 problems", 96},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			peak.Heap(t, test.limit<<20, func() {
				err := read(t, registry.Validated(fbc.FS(fileOf(test.next), "dir")))
				if failure.KindOf(err) != failure.Invalid || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %.300v, want one of kind Invalid that says %q", err, test.want)
				}
			})
		})
	}
}

// TestIgnorePatterns matches patterns that could be tried in very many ways.
func TestIgnorePatterns(t *testing.T) {
	deep := strings.Repeat("a/", 60) + "catalog.yaml"
	fsys := fstest.MapFS{
		deep:             {Data: []byte(`{"schema":"x"}`)},
		"kept/b/c":       {Data: []byte(`{"schema":"x"}`)},
		".indexignore":   {Data: []byte(strings.Repeat("**/a/", 25) + "b\n" + strings.Repeat("**/", 60) + "nowhere\nx/**/c\n")},
		"x/1/2/c":        {Data: []byte("broken: broken: broken")},
		"x/c":            {Data: []byte("broken: broken: broken")},
		"y/.indexignore": {Data: []byte("**/z\n")},
		"y/1/z":          {Data: []byte("broken: broken: broken")},
		"y/z/1":          {Data: []byte("broken: broken: broken")},
	}
	n := 0
	for item, err := range fbc.FS(fsys, "dir").Items(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Blob != nil {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d blobs were read, want 2", n)
	}
	fsys["y/.indexignore"].Data = []byte(strings.Repeat("a\n", 10_000))
	if err := read(t, fbc.FS(fsys, "dir")); failure.KindOf(err) != failure.Invalid || !strings.Contains(err.Error(), "more than 10000 lines") {
		t.Errorf("error %v, want that there are too many lines", err)
	}
	fsys["y/.indexignore"].Data = make([]byte, 2<<20)
	if err := read(t, fbc.FS(fsys, "dir")); failure.KindOf(err) != failure.Invalid || !strings.Contains(err.Error(), "larger than 1048576 bytes") {
		t.Errorf("error %v, want that the file is too large", err)
	}
}

// TestManyEntries reads a channel of many entries: valid or not, but not
// for ever.
func TestManyEntries(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const n = 100_000
	var b strings.Builder
	b.WriteString(`{"schema":"olm.package","name":"foo","defaultChannel":"c"}{"schema":"olm.channel","package":"foo","name":"c","entries":[{"name":"0"}`)
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, `,{"name":"%d","replaces":"%d"}`, i, i-1)
	}
	b.WriteString("]}")
	fsys := fstest.MapFS{"catalog.json": {Data: []byte(b.String())}}
	start := time.Now()
	err := read(t, registry.Validated(fbc.FS(fsys, "dir")))
	if failure.KindOf(err) != failure.Invalid { // there are no bundles
		t.Errorf("error %.200v, want kind Invalid", err)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %s", took)
	}
}

func read(t *testing.T, src registry.Source) error {
	t.Helper()
	for _, err := range src.Items(t.Context()) {
		if err != nil {
			return err
		}
	}
	return nil
}
