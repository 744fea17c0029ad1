package fbc_test

import (
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/fbc"
)

// endless is a file system with one file, which repeats a text.
type endless struct {
	fstest.MapFS

	start, text string
	size        int
}

func (e endless) Open(name string) (fs.File, error) {
	f, err := e.MapFS.Open(name)
	if name == "." {
		return f, err
	}
	return &endlessFile{File: f, rest: e.start, text: e.text, left: e.size}, err
}

type endlessFile struct {
	fs.File

	rest, text string
	left       int
}

func (f *endlessFile) Read(p []byte) (int, error) {
	if f.left <= 0 {
		return 0, io.EOF
	}
	if f.rest == "" {
		f.rest = strings.Repeat(f.text, 1+4096/len(f.text))
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	f.left -= n
	return n, nil
}

// TestLargeDocument reads documents that seem to have no end: an error, and
// bounded memory.
func TestLargeDocument(t *testing.T) {
	for name, src := range map[string]endless{
		"YAML":           {start: "schema: x\ntext: |\n", text: "  a line\n"},
		"YAML in a line": {start: "schema: ", text: "x"},
		"JSON":           {start: `{"schema":"`, text: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			src.MapFS = fstest.MapFS{"catalog": {Data: []byte("x")}}
			src.size = 256 << 20
			peak := watchMemory()
			err := read(t, fbc.FS(src, "dir"))
			if failure.KindOf(err) != failure.Invalid || !strings.Contains(err.Error(), "larger than 64 MiB") {
				t.Errorf("error %v, want that the document is too large", err)
			}
			if used := peak(); used > 512<<20 {
				t.Errorf("%d MB of memory were used, want at most 512", used>>20)
			}
		})
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

// watchMemory returns a function that ends the watch and says how much more
// memory was in use at most.
func watchMemory() func() uint64 {
	stop, result := make(chan struct{}), make(chan uint64)
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	go func() {
		var peak uint64
		for tick := time.Tick(20 * time.Millisecond); ; {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapInuse)
			select {
			case <-stop:
				result <- peak - min(peak, before.HeapInuse)
				return
			case <-tick:
			}
		}
	}()
	return func() uint64 {
		close(stop)
		return <-result
	}
}
