package drawing_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/drawing"
)

func example() []drawing.Package {
	return []drawing.Package{{
		Package: registry.Package{Name: "p", Channels: []registry.Channel{{Name: "c", Head: "p.v3", Entries: []registry.Entry{
			{Name: "p.v1"}, {Name: "p.v2", Replaces: "p.v1"}, {Name: "p.v3", Replaces: "p.v1", Skips: []string{"p.v2"}, SkipRange: "<2.0.0"},
		}}}},
		Bundles: []registry.Bundle{
			{Name: "p.v1", Version: "1.0.0", Deprecation: "old"}, {Name: "p.v2", Version: "2.0.0"}, {Name: "p.v3", Version: "3.0.0"},
		},
		Installed: "p.v2",
	}}
}

func TestMermaid(t *testing.T) {
	want := `graph LR
  classDef deprecated fill:#E8960F
  classDef skipped stroke:#FF0000,stroke-width:4px
  classDef deprecatedskipped fill:#E8960F,stroke:#FF0000,stroke-width:4px
  classDef path fill:#9FD8A0,stroke-width:3px
  %% package "p"
  subgraph "p"
    %% channel "c"
    subgraph p-c["c"]
      p-c-p.v3["p.v3"]
      p-c-p.v2["p.v2"]-- skip --> p-c-p.v3["p.v3"]
      p-c-p.v1["p.v1"]-- "skipRange(<2.0.0)" --> p-c-p.v3["p.v3"]
      p-c-p.v1["p.v1"]-- replace --> p-c-p.v3["p.v3"]
      p-c-p.v2["p.v2"]
      p-c-p.v1["p.v1"]-- replace --> p-c-p.v2["p.v2"]
      p-c-p.v1["p.v1"]
    end
  end
class p-c-p.v1 deprecated
class p-c-p.v2,p-c-p.v3 path
linkStyle 0 stroke:#2E7D32,stroke-width:3px
`
	if diff := cmp.Diff(want, drawing.Mermaid(example())); diff != "" {
		t.Errorf("Mermaid() (-want +got):\n%s", diff)
	}
}

func TestDot(t *testing.T) {
	got := drawing.Dot(example())
	for _, want := range []string{
		`"p/c/p.v2" -> "p/c/p.v3" [label="skip", color="#2E7D32", penwidth=3];`,
		`"p/c/p.v1" -> "p/c/p.v2" [label="replace"];`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("Dot() lacks %s:\n%s", want, got)
		}
	}
}

func TestSVG(t *testing.T) {
	got := drawing.SVG(example())
	rects := 0
	for dec := xml.NewDecoder(strings.NewReader(got)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("SVG() is no XML: %v\n%s", err, got)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			rects++
		}
	}
	if rects != 3 {
		t.Errorf("SVG() draws %d boxes, want 3", rects)
	}
}
