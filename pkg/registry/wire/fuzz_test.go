package wire_test

import (
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/wire"
	api "chandler.dev/olm/proto"
)

// FuzzDependency reads what any server may send as a dependency.
func FuzzDependency(f *testing.F) {
	f.Add("olm.gvk", `{"group":"g","kind":"K","version":"v1"}`)
	f.Add("olm.package", `{"packageName":"p","version":">1.0.0"}`)
	f.Add("olm.constraint", `{"cel":{"rule":"\u003e"}}`)
	f.Fuzz(func(t *testing.T, kind, value string) {
		msg := &api.Bundle{CsvName: "b", PackageName: "p", Version: "1.0.0", Dependencies: []*api.Dependency{{Type: kind, Value: value}}}
		again := wire.Common(wire.BundleOf(msg))
		if _, err := proto.Marshal(again); err != nil {
			t.Fatalf("it cannot be sent again: %v", err)
		}
	})
}

// FuzzSummary makes a ClusterServiceVersion of any metadata.
func FuzzSummary(f *testing.F) {
	f.Add(`{"displayName":"x","crdDescriptions":{"owned":[]}}`, "text", []byte{1})
	f.Add(`{"description":"<b>"}`, "", []byte(nil))
	f.Fuzz(func(t *testing.T, metadata, description string, icon []byte) {
		b := registry.Bundle{Name: "b", Version: "1.0.0", Content: registry.Content{Metadata: []byte(metadata)}}
		p := registry.Package{Name: "p", Description: description}
		if len(icon) > 0 {
			p.Icon = &registry.Icon{Data: icon, MediaType: "image/png"}
		}
		csv, err := wire.Summary(p, b)
		if err == nil && utf8.ValidString(metadata) && !utf8.Valid(csv) {
			t.Fatalf("the summary is no text: %q", csv)
		}
	})
}
