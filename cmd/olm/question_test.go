package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/blang/semver/v4"
	"github.com/google/go-cmp/cmp"
	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/rogpeppe/go-internal/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/memory"
)

// shopCatalog has a database in two channels, whose second major version needs
// a vault, and a queue that needs what nobody offers.
type shopCatalog struct{}

func (shopCatalog) Items(context.Context) iter.Seq2[registry.Item, error] {
	bundle := func(pkg, version string, properties ...registry.Property) registry.Item {
		return registry.Item{Bundle: &registry.Bundle{Package: pkg, Name: pkg + ".v" + version, Version: version, Properties: append(properties, registry.Property{
			Type: registry.PropertyPackage, Value: []byte(`{"packageName":"` + pkg + `","version":"` + version + `"}`),
		})}}
	}
	api := func(kind, name string) registry.Property {
		return registry.Property{Type: kind, Value: []byte(`{"group":"example.com","kind":"` + name + `","version":"v1"}`)}
	}
	return func(yield func(registry.Item, error) bool) {
		for _, item := range []registry.Item{
			bundle("database", "1.0.0"), bundle("database", "1.1.0"), bundle("database", "2.0.0", api(registry.PropertyGVKRequired, "Vault")),
			bundle("vault", "1.0.0", api(registry.PropertyGVK, "Vault")),
			bundle("queue", "1.0.0", api(registry.PropertyGVKRequired, "Broker")),
			{Package: &registry.Package{Name: "database", DefaultChannel: "stable", Channels: []registry.Channel{
				{Name: "fast", Head: "database.v2.0.0", Entries: []registry.Entry{
					{Name: "database.v1.0.0"}, {Name: "database.v1.1.0", Replaces: "database.v1.0.0"}, {Name: "database.v2.0.0", Replaces: "database.v1.1.0"},
				}},
				{Name: "stable", Head: "database.v1.1.0", Entries: []registry.Entry{{Name: "database.v1.0.0"}, {Name: "database.v1.1.0", Replaces: "database.v1.0.0"}}},
			}}},
			{Package: &registry.Package{Name: "vault", DefaultChannel: "stable", Channels: []registry.Channel{{Name: "stable", Head: "vault.v1.0.0", Entries: []registry.Entry{{Name: "vault.v1.0.0"}}}}}},
			{Package: &registry.Package{Name: "queue", DefaultChannel: "stable", Channels: []registry.Channel{{Name: "stable", Head: "queue.v1.0.0", Entries: []registry.Entry{{Name: "queue.v1.0.0"}}}}}},
		} {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// questionerOf asks a cluster whose only catalog, olm/main, is shopCatalog, or
// cannot be reached if its address is "gone".
func questionerOf(t *testing.T, talk *bytes.Buffer, address string, objects ...client.Object) *questioner {
	t.Helper()
	store, err := memory.New(t.Context(), shopCatalog{})
	if err != nil {
		t.Fatal(err)
	}
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	objects = append(objects, &operatorsv1alpha1.CatalogSource{
		ObjectMeta: metav1.ObjectMeta{Namespace: "olm", Name: "main"},
		Spec:       operatorsv1alpha1.CatalogSourceSpec{SourceType: operatorsv1alpha1.SourceTypeGrpc, Address: address},
	})
	return &questioner{
		client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build(), namespace: "shop", global: "olm", talk: talk,
		version: func() string { return "1.36.3" },
		open: func(_ context.Context, address, _ string) (registry.Store, func() error, error) {
			if address == "gone" {
				return nil, nil, errors.New("refused")
			}
			return store, func() error { return nil }, nil
		},
	}
}

func shopGroup() client.Object {
	return &operatorsv1.OperatorGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop"}}
}

// subscribed is a Subscription to a channel of a package; installed may be empty.
func subscribed(pkg, channel, installed string) *operatorsv1alpha1.Subscription {
	sub := &operatorsv1alpha1.Subscription{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: pkg},
		Spec:       &operatorsv1alpha1.SubscriptionSpec{Package: pkg, Channel: channel, CatalogSource: "main", CatalogSourceNamespace: "olm"},
		Status:     operatorsv1alpha1.SubscriptionStatus{CurrentCSV: installed, InstalledCSV: installed},
	}
	if installed != "" {
		sub.Status.State = operatorsv1alpha1.SubscriptionStateAtLatest
	}
	return sub
}

func pinned(sub *operatorsv1alpha1.Subscription, text string) client.Object {
	sub.Annotations = map[string]string{"chandler.dev/version-range": text}
	return sub
}

// running is a version that runs, with what its bundle requires.
func running(name, properties string) *operatorsv1alpha1.ClusterServiceVersion {
	csv := &operatorsv1alpha1.ClusterServiceVersion{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Annotations: map[string]string{"operatorframework.io/properties": `{"properties":[` + properties + `]}`}},
		Status:     operatorsv1alpha1.ClusterServiceVersionStatus{Phase: operatorsv1alpha1.CSVPhaseSucceeded},
	}
	_, number, _ := strings.Cut(name, ".v")
	csv.Spec.Version.Version = semver.MustParse(number)
	return csv
}

func inPhase(phase operatorsv1alpha1.ClusterServiceVersionPhase, csv *operatorsv1alpha1.ClusterServiceVersion) client.Object {
	csv.Status.Phase, csv.Status.Message = phase, "it crashed"
	return csv
}

const (
	isDatabase1  = `{"type":"olm.package","value":{"packageName":"database","version":"1.0.0"}}`
	isDatabase11 = `{"type":"olm.package","value":{"packageName":"database","version":"1.1.0"}}`
	isDatabase2  = `{"type":"olm.package","value":{"packageName":"database","version":"2.0.0"}},{"type":"olm.gvk.required","value":{"group":"example.com","kind":"Vault","version":"v1"}}`
	isVault      = `{"type":"olm.package","value":{"packageName":"vault","version":"1.0.0"}},{"type":"olm.gvk","value":{"group":"example.com","kind":"Vault","version":"v1"}}`
)

var update = flag.Bool("update", false, "write what the commands answer to testdata/answers")

// answers are what commands print to both outputs, by the name of the case.
type answers struct{ file *txtar.Archive }

// answersIn reads a file of testdata/answers, and writes it again at the end if
// it is to be updated.
func answersIn(t *testing.T, name string) *answers {
	t.Helper()
	path := filepath.Join("testdata", "answers", name)
	if !*update {
		file, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return &answers{file}
	}
	a := &answers{&txtar.Archive{}}
	t.Cleanup(func() {
		slices.SortFunc(a.file.Files, func(x, y txtar.File) int { return strings.Compare(x.Name, y.Name) })
		if err := os.WriteFile(path, txtar.Format(a.file), 0o600); err != nil {
			t.Error(err)
		}
	})
	return a
}

// of returns the answer of a case; it becomes got if it is to be updated.
func (a *answers) of(name, got string) string {
	if *update {
		a.file.Files = append(a.file.Files, txtar.File{Name: name, Data: []byte(got)})
	}
	for _, f := range a.file.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return "no answer " + name + " in the file"
}

// asked is a case of a command that asks.
type asked struct {
	objects  []client.Object
	address  string
	wantKind failure.Kind
	wantHint string
}

func (a asked) check(t *testing.T, want *answers, run func(q *questioner, out *bytes.Buffer) error) {
	t.Helper()
	var out, talk bytes.Buffer
	err := run(questionerOf(t, &talk, a.address, a.objects...), &out)
	if f, ok := asFailure(err); ok {
		if f.Kind != a.wantKind || !strings.Contains(f.Hint, a.wantHint) || a.wantHint == "" {
			t.Errorf("failure %v %q with hint %q, want %v with hint %q", f.Kind, err, f.Hint, a.wantKind, a.wantHint)
		}
	} else if err != nil || a.wantHint != "" {
		t.Errorf("failure %v, want one with hint %q", err, a.wantHint)
	}
	if a.wantHint != "" {
		return
	}
	_, name, _ := strings.Cut(t.Name(), "/")
	got := out.String()
	if talk.Len() > 0 {
		got += "stderr: " + talk.String()
	}
	if diff := cmp.Diff(want.of(name, got), got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}
