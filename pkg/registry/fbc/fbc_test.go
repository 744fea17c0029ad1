package fbc_test

import (
	"os"
	"testing"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/fbc"
)

// TestCommunity reads a real catalog: va-36.
func TestCommunity(t *testing.T) {
	dir := "../../../../shared/data/catalogs/community-v4.21"
	if d := os.Getenv("OLM_TESTDATA"); d != "" {
		dir = d + "/catalogs/community-v4.21"
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no test data; set OLM_TESTDATA")
	}
	bundles, packages := 0, 0
	for item, err := range registry.Validated(fbc.Dir(dir)).Items(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Bundle != nil {
			bundles++
		}
		if item.Package != nil {
			packages++
		}
	}
	if bundles != 745 || packages != 33 {
		t.Errorf("read %d bundles in %d packages, want 745 in 33", bundles, packages)
	}
}
