package memory_test

import (
	"testing"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/memory"
	"chandler.dev/olm/pkg/registry/storetest"
)

func open(t *testing.T, src registry.Source) registry.Store {
	t.Helper()
	store, err := memory.New(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestStore(t *testing.T) {
	storetest.Run(t, open)
	storetest.RunWhole(t, open)
}
