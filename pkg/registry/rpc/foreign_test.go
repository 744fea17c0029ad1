package rpc_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/rpc"
	api "chandler.dev/olm/proto"
)

// foreign is a server of somebody else: it knows no codes, only texts.
type foreign struct {
	api.UnimplementedRegistryServer

	bundles  []*api.Bundle
	listErr  error
	packages map[string]*api.Package
	names    []string
	getErr   error
}

func (s *foreign) ListPackages(_ *api.ListPackageRequest, stream grpc.ServerStreamingServer[api.PackageName]) error {
	for _, name := range s.names {
		if err := stream.Send(&api.PackageName{Name: name}); err != nil {
			return err
		}
	}
	return nil
}

func (s *foreign) GetPackage(_ context.Context, req *api.GetPackageRequest) (*api.Package, error) {
	if p := s.packages[req.GetName()]; p != nil {
		return p, nil
	}
	return nil, errors.New("package " + req.GetName() + " not found")
}

func (s *foreign) GetBundle(context.Context, *api.GetBundleRequest) (*api.Bundle, error) {
	return nil, s.getErr
}

func (s *foreign) ListBundles(_ *api.ListBundlesRequest, stream grpc.ServerStreamingServer[api.Bundle]) error {
	for _, b := range s.bundles {
		if err := stream.Send(b); err != nil {
			return err
		}
	}
	return s.listErr
}

// clientOf connects to a server in this process.
func clientOf(t *testing.T, s api.RegistryServer) *rpc.Client {
	t.Helper()
	srv := grpc.NewServer()
	api.RegisterRegistryServer(srv, s)
	return rpc.NewClient(connect(t, srv))
}

// oldServer answers as servers of SQLite indexes did: plurals, escapes, and
// requirements beside the properties.
func oldServer() *foreign {
	return &foreign{
		names:    []string{"etcd"},
		packages: map[string]*api.Package{"etcd": {Name: "etcd", DefaultChannelName: "alpha", Channels: []*api.Channel{{Name: "alpha", CsvName: "etcd.v2"}}}},
		bundles: []*api.Bundle{
			{
				CsvName: "etcd.v2", PackageName: "etcd", ChannelName: "alpha", Version: "2.0.0", BundlePath: "example.com/etcd:v2", Replaces: "etcd.v1",
				ProvidedApis: []*api.GroupVersionKind{{Group: "g", Version: "v1", Kind: "K", Plural: "ks"}},
				RequiredApis: []*api.GroupVersionKind{{Group: "g", Version: "v1", Kind: "L", Plural: "ls"}},
				Dependencies: []*api.Dependency{
					{Type: "olm.gvk", Value: `{"group":"g","kind":"L","version":"v1"}`},
					{Type: "olm.package", Value: `{"packageName":"q","version":"\u003e1.0.0"}`},
					{Type: "olm.label", Value: `{"label":"x"}`},
					{Type: "olm.constraint", Value: `{"cel":{"rule":"true"}}`},
				},
				Properties: []*api.Property{{Type: "olm.deprecated", Value: "{}"}},
			},
			{CsvName: "etcd.v1", PackageName: "etcd", ChannelName: "alpha", Version: "1.0.0"},
			{CsvName: "gone.v1", PackageName: "gone", ChannelName: "alpha", Version: "1.0.0"},
		},
	}
}

func TestOldServer(t *testing.T) {
	client := clientOf(t, oldServer())
	names, err := client.Packages(t.Context())
	if err != nil || !slices.Equal(names, []string{"etcd"}) {
		t.Errorf("Packages() = %v, %v", names, err)
	}
	var got []registry.Bundle
	for b, err := range client.Bundles(t.Context(), "etcd") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b)
	}
	property := func(kind, value string) registry.Property {
		return registry.Property{Type: kind, Value: []byte(value)}
	}
	want := []registry.Bundle{
		{Package: "etcd", Name: "etcd.v1", Version: "1.0.0", Properties: []registry.Property{property("olm.package", `{"packageName":"etcd","version":"1.0.0"}`)}},
		{Package: "etcd", Name: "etcd.v2", Version: "2.0.0", Image: "example.com/etcd:v2", Properties: []registry.Property{
			property("olm.package", `{"packageName":"etcd","version":"2.0.0"}`),
			property("olm.deprecated", `{}`),
			property("olm.gvk", `{"group":"g","kind":"K","version":"v1"}`),
			property("olm.gvk.required", `{"group":"g","kind":"L","version":"v1"}`),
			property("olm.package.required", `{"packageName":"q","versionRange":">1.0.0"}`),
			property("olm.label.required", `{"label":"x"}`),
			property("olm.constraint", `{"cel":{"rule":"true"}}`),
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Bundles() (-want +got):\n%s", diff)
	}
	if _, err := client.Package(t.Context(), "gone"); failure.KindOf(err) != failure.NotFound {
		t.Errorf("Package() of what only ListBundles knows: %v, want kind NotFound", err)
	}
}

// TestStreamErrors breaks the list of bundles at its beginning, in its middle
// and at its end: cli-01.
func TestStreamErrors(t *testing.T) {
	broken := errors.New("disk is gone")
	for name, test := range map[string]struct {
		bundles int
		err     error
		want    int
	}{
		"cli-01 the call fails":    {0, broken, 0},
		"cli-01 the stream breaks": {2, broken, 2},
		"cli-01 the stream ends":   {2, nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := oldServer()
			s.bundles, s.listErr = s.bundles[:test.bundles], test.err
			client := clientOf(t, s)
			listed, failed := 0, 0
			for item, err := range client.Items(t.Context()) {
				if err != nil {
					failed++
				}
				if item.Bundle != nil {
					listed++
				}
			}
			if wantFailed := min(1, len(errorText(test.err))); listed != test.want || failed != wantFailed {
				t.Errorf("%d bundles, %d errors, want %d, %d", listed, failed, test.want, wantFailed)
			}
			if _, err := client.Package(t.Context(), "etcd"); (err != nil) != (test.err != nil) {
				t.Errorf("Package() error %v, want one: %t", err, test.err != nil)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestUnknownErrors reads the texts of servers that know no codes.
func TestUnknownErrors(t *testing.T) {
	for text, want := range map[string]failure.Kind{
		`package "etcd" not found`:                                             failure.NotFound,
		`package "etcd", channel "alpha" not found`:                            failure.NotFound,
		`package "etcd", channel "alpha", bundle "etcd.v2" not found`:          failure.NotFound,
		`package etcd not found`:                                               failure.NotFound,
		`no entry found for etcd alpha etcd.v2`:                                failure.NotFound,
		`no channel entries found that provide group:"g" version:"v" kind:"k"`: failure.NotFound,
		`database disk image is malformed`:                                     failure.Internal,
		`open /tmp/x: not found`:                                               failure.Internal,
	} {
		s := oldServer()
		s.getErr = errors.New(text)
		if _, err := clientOf(t, s).Bundle(t.Context(), "etcd", "etcd.v2"); err == nil || failure.KindOf(err) != want {
			t.Errorf("error %v, want kind %s", err, want)
		}
	}
}
