package fbc_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/fbc"
	"chandler.dev/olm/pkg/registry/memory"
	"chandler.dev/olm/pkg/registry/storetest"
)

func storeOf(t *testing.T, src registry.Source) *memory.Store {
	t.Helper()
	store, err := memory.New(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// TestRoundTrip writes catalogs and reads them again: nothing may be lost. It
// runs the scenarios va-37 and wr-02.
func TestRoundTrip(t *testing.T) {
	for name, c := range map[string]registry.Catalog{
		"packages": storetest.F1(), "deprecations": storetest.F2(), "items of other schemas": storetest.F4(),
	} {
		for _, format := range []fbc.Format{fbc.YAML, fbc.JSON} {
			t.Run(name+" as "+string(format), func(t *testing.T) {
				want := storeOf(t, c)
				dir := filepath.Join(t.TempDir(), "out")
				if err := fbc.WriteDir(t.Context(), dir, want, format); err != nil {
					t.Fatal(err)
				}
				for _, item := range c {
					place := "." // an item of the whole catalog
					switch {
					case item.Package != nil:
						place = item.Package.Name
					case item.Blob == nil || item.Blob.Package != "":
						continue
					}
					if _, err := os.Stat(filepath.Join(dir, place, "catalog."+string(format))); err != nil {
						t.Error(err)
					}
				}
				got := storeOf(t, registry.Validated(fbc.Dir(dir)))
				wantDigest, _ := want.Digest(t.Context())
				gotDigest, _ := got.Digest(t.Context())
				if wantDigest != gotDigest {
					t.Errorf("the digest is %s after reading it again, want %s", gotDigest, wantDigest)
				}
				var first, second bytes.Buffer
				if err := fbc.Write(t.Context(), &first, want, format); err != nil {
					t.Fatal(err)
				}
				if err := fbc.Write(t.Context(), &second, got, format); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(first.Bytes(), second.Bytes()) {
					t.Errorf("writing it again gives other bytes:\n%s\nthan\n%s", second.Bytes(), first.Bytes())
				}
				if err := fbc.WriteDir(t.Context(), dir, want, format); failure.KindOf(err) != failure.Conflict {
					t.Errorf("writing into a directory that is not empty: %v, want kind Conflict", err)
				}
			})
		}
	}
}

const writtenJSON = `{
    "schema": "olm.package",
    "name": "p",
    "defaultChannel": "b",
    "icon": {
        "base64data": "eA==",
        "mediatype": "image/png"
    },
    "description": "a <b> & c",
    "properties": [
        {
            "type": "x",
            "value": 1
        }
    ]
}
{
    "schema": "olm.channel",
    "name": "a",
    "package": "p",
    "entries": [
        {
            "name": "p.v2",
            "replaces": "p.v1",
            "skips": [
                "p.v1.5"
            ],
            "skipRange": "<2.0.0"
        },
        {
            "name": "p.v1"
        }
    ]
}
{
    "schema": "olm.channel",
    "name": "b",
    "package": "p",
    "entries": [
        {
            "name": "p.v1"
        }
    ]
}
{
    "schema": "olm.bundle",
    "name": "p.v1",
    "package": "p",
    "image": "",
    "properties": [
        {
            "type": "olm.package",
            "value": {
                "packageName": "p",
                "version": "1.0.0"
            }
        },
        {
            "type": "olm.bundle.object",
            "value": {
                "data": "e30="
            }
        }
    ]
}
{
    "schema": "olm.bundle",
    "name": "p.v2",
    "package": "p",
    "image": "example.com/p:v2",
    "properties": [
        {
            "type": "olm.package",
            "value": {
                "packageName": "p",
                "version": "2.0.0"
            }
        },
        {
            "type": "olm.csv.metadata",
            "value": {
                "displayName": "P"
            }
        }
    ],
    "relatedImages": [
        {
            "name": "",
            "image": "example.com/p:v2"
        }
    ]
}
{
    "package": "p",
    "schema": "a"
}
{
    "package": "p",
    "schema": "b"
}
{
    "schema": "olm.deprecations",
    "package": "p",
    "entries": [
        {
            "reference": {
                "schema": "olm.package"
            },
            "message": "old"
        },
        {
            "reference": {
                "schema": "olm.bundle",
                "name": "p.v1"
            },
            "message": "older"
        }
    ]
}
{
    "schema": "c"
}
`

const writtenYAML = `---
defaultChannel: b
description: a <b> & c
icon:
  base64data: eA==
  mediatype: image/png
name: p
properties:
- type: x
  value: 1
schema: olm.package
---
entries:
- name: p.v2
  replaces: p.v1
  skipRange: <2.0.0
  skips:
  - p.v1.5
- name: p.v1
name: a
package: p
schema: olm.channel
---
entries:
- name: p.v1
name: b
package: p
schema: olm.channel
---
image: ""
name: p.v1
package: p
properties:
- type: olm.package
  value:
    packageName: p
    version: 1.0.0
- type: olm.bundle.object
  value:
    data: e30=
schema: olm.bundle
---
image: example.com/p:v2
name: p.v2
package: p
properties:
- type: olm.package
  value:
    packageName: p
    version: 2.0.0
- type: olm.csv.metadata
  value:
    displayName: P
relatedImages:
- image: example.com/p:v2
  name: ""
schema: olm.bundle
---
package: p
schema: a
---
package: p
schema: b
---
entries:
- message: old
  reference:
    schema: olm.package
- message: older
  reference:
    name: p.v1
    schema: olm.bundle
package: p
schema: olm.deprecations
---
schema: c
`

// TestWritten compares what is written, byte for byte: wr-01.
func TestWritten(t *testing.T) {
	v1, v2 := storetest.Image("p", "p.v1", "1.0.0"), storetest.Image("p", "p.v2", "2.0.0")
	v1.Image, v1.Content.Objects, v1.Deprecation = "", [][]byte{[]byte("{}")}, "older"
	v2.Image, v2.Content.Metadata = "example.com/p:v2", json.RawMessage(`{"displayName":"P"}`)
	v2.RelatedImages = []registry.RelatedImage{{Image: "example.com/p:v2"}}
	store := storeOf(t, registry.Catalog{
		{Blob: &registry.Blob{Schema: "c", JSON: json.RawMessage(`{"schema":"c"}`)}},
		{Blob: &registry.Blob{Schema: "b", Package: "p", JSON: json.RawMessage(`{"package":"p","schema":"b"}`)}},
		{Blob: &registry.Blob{Schema: "a", Package: "p", JSON: json.RawMessage(`{"package":"p","schema":"a"}`)}},
		{Bundle: &v2},
		{Bundle: &v1},
		{Package: &registry.Package{
			Name: "p", DefaultChannel: "b", Description: "a <b> & c", Icon: &registry.Icon{Data: []byte("x"), MediaType: "image/png"},
			Properties: []registry.Property{{Type: "x", Value: json.RawMessage("1")}}, Deprecation: "old",
			Channels: []registry.Channel{
				{Name: "a", Head: "p.v2", Entries: []registry.Entry{{Name: "p.v2", Replaces: "p.v1", Skips: []string{"p.v1.5"}, SkipRange: "<2.0.0"}, {Name: "p.v1"}}},
				{Name: "b", Head: "p.v1", Entries: []registry.Entry{{Name: "p.v1"}}},
			},
		}},
	})
	for format, want := range map[fbc.Format]string{fbc.JSON: writtenJSON, fbc.YAML: writtenYAML} {
		t.Run("wr-01 "+string(format), func(t *testing.T) {
			var got bytes.Buffer
			if err := fbc.Write(t.Context(), &got, store, format); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Errorf("Write() (-want +got):\n%s", diff)
			}
		})
	}
}
