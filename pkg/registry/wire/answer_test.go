package wire

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"chandler.dev/olm/pkg/registry"
	api "chandler.dev/olm/proto"
)

func TestTemplateIsMovedToWhereItHasToBe(t *testing.T) {
	f := FieldsOf(registry.Package{Description: strings.Repeat("text ", 100), Icon: &registry.Icon{Data: make([]byte, 999), MediaType: "image/png"}})
	tests := map[string]struct {
		metadata string
		fields   Fields
	}{
		"with a description of its own": {`{"apiServiceDefinitions":{},"crdDescriptions":{},"description":"own"}`, f},
		"with that of its package":      {`{"apiServiceDefinitions":{},"crdDescriptions":{},"displayName":"n"}`, f},
		"without a description":         {`{"apiServiceDefinitions":{},"crdDescriptions":{}}`, Fields{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tmpl, _, err := NewTemplate(bundleWith(tt.metadata, "1.0.0"))
			if err != nil {
				t.Fatal(err)
			}
			common, err := proto.Marshal(&api.Bundle{CsvName: "a"})
			if err != nil {
				t.Fatal(err)
			}
			memory := make([]byte, 10_000)
			dst := append(memory[:0], common...)
			behind := memory[len(dst)+tt.fields.Room():]
			moved := Template{CSV: behind[:copy(behind, tmpl.CSV)], DescriptionAt: tmpl.DescriptionAt, IconAt: tmpl.IconAt}
			got := &api.Bundle{}
			if err := proto.Unmarshal(moved.AppendTo(dst, tt.fields).Whole(), got); err != nil {
				t.Fatal(err)
			}
			csv := string(tmpl.Fill(tt.fields))
			want := &api.Bundle{CsvName: "a", CsvJson: csv, Object: []string{csv}}
			if diff := cmp.Diff(want.String(), got.String()); diff != "" {
				t.Errorf("AppendTo() (-want +got):\n%s", diff)
			}
		})
	}
}
