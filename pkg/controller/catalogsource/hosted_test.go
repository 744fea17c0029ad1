package catalogsource

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"google.golang.org/grpc/connectivity"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestLifeOfAHostedCatalog walks a catalog whose image a shared server serves
// through what happens to it. After each event everything settles.
func TestLifeOfAHostedCatalog(t *testing.T) {
	type moment struct {
		what    string
		do      func(f *fixture, server *fakeServer)
		state   string
		message string
		content string
		service string // its type; empty if there is none
		writes  int    // that this event caused
	}
	const missing = `there is no image "example.com/c:1"; check the repository and the tag`
	ready := moment{
		what: "the image is served", do: func(_ *fixture, server *fakeServer) { server.turn(connectivity.Ready) },
		state: stateReady, content: "sha256:one", service: "ClusterIP", writes: 1,
	}
	tests := map[string][]moment{
		"an image that cannot be read at first": {
			{
				what: "the server is up", do: func(_ *fixture, server *fakeServer) {
					server.text, server.problem = "", missing
					server.turn(connectivity.Ready)
				},
				state: stateUnreachable, content: "NotFound", service: "ClusterIP", writes: 1,
				message: missing + "; nothing can be installed from it until then",
			},
			{
				what: "the server goes", do: func(_ *fixture, server *fakeServer) { server.turn(connectivity.TransientFailure) },
				state: stateUnreachable, content: "NotFound", service: "ClusterIP", writes: 1,
				message: `the catalog server at "a:1" does not answer (dial tcp 127.0.0.1:1: connect: connection refused); nothing can be installed from it until then; ` +
					`check that "catalog serve --kubernetes" runs and that --catalog-server of the controller names it`,
			},
			{
				what: "it comes back and has read the image", do: func(_ *fixture, server *fakeServer) {
					server.text, server.problem = "one", ""
					server.turn(connectivity.Ready)
				},
				state: stateReady, content: "sha256:one", service: "ClusterIP", writes: 1,
			},
		},
		"an image that breaks": {
			ready,
			{
				what: "the tag moves to nothing good", do: func(_ *fixture, server *fakeServer) { server.explain(missing) },
				state: stateReady, content: "sha256:one", service: "ClusterIP", writes: 1,
				message: missing + "; its last good content stays in use",
			},
			{what: "to something good", do: func(_ *fixture, server *fakeServer) { server.serve("two") }, state: stateReady, content: "sha256:two", service: "ClusterIP", writes: 1},
			{what: "to something better", do: func(_ *fixture, server *fakeServer) { server.serve("three") }, state: stateReady, content: "sha256:three", service: "ClusterIP"},
		},
		"a service that somebody changes": {
			ready,
			{what: "it is deleted", do: func(f *fixture, _ *fakeServer) {
				f.editService(func(s *corev1.Service) error { return f.client.Delete(f.t.Context(), s) })
			}, state: stateReady, content: "sha256:one", service: "ClusterIP", writes: 1},
			{what: "it selects other pods", do: func(f *fixture, _ *fakeServer) {
				f.editService(func(s *corev1.Service) error {
					s.Spec.Selector = map[string]string{"mine": "true"}
					return f.client.Update(f.t.Context(), s)
				})
			}, state: stateReady, content: "sha256:one", service: "ClusterIP", writes: 1},
		},
		"an address takes the place of the image": {
			ready,
			{what: "the spec changes", do: func(f *fixture, _ *fakeServer) {
				f.edit(func(cs *v1alpha1.CatalogSource) { cs.Spec.Image, cs.Spec.Address = "", "a:1" })
			}, state: stateReady, content: "sha256:one", writes: 2},
		},
		"the server is shared with catalogs of other namespaces": {
			{what: "the image is served", do: func(f *fixture, server *fakeServer) {
				f.r.options.Hosting.Namespace, f.r.options.Hosting.Address = "servers", "catalogs.servers.svc:50051"
				f.servers["catalogs.servers.svc:50051"] = server
				server.turn(connectivity.Ready)
				f.queue <- key
			}, state: stateReady, content: "sha256:one", service: "ExternalName", writes: 2},
		},
		"a template follows the cluster": {
			ready,
			{what: "an annotation", do: func(f *fixture, _ *fakeServer) {
				f.edit(func(cs *v1alpha1.CatalogSource) {
					cs.Annotations = map[string]string{annotationTemplate: "example.com/c:{kube_major_version}.{kube_minor_version}"}
				})
				f.settle(synctest.Wait)
				var cs v1alpha1.CatalogSource
				if err := f.client.Get(f.t.Context(), key, &cs); err != nil || cs.Spec.Image != "example.com/c:1.36" {
					f.t.Errorf("the image is %q, %v", cs.Spec.Image, err)
				}
				f.queue <- key // the event of that change
			}, state: stateReady, content: "sha256:one", service: "ClusterIP", writes: 1},
		},
	}
	for name, moments := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newFakeServer("one")
				spec := v1alpha1.CatalogSourceSpec{SourceType: v1alpha1.SourceTypeGrpc, Image: "example.com/c:1"}
				f := newFixture(t, spec, map[string]*fakeServer{"a:1": server})
				f.settle(synctest.Wait)
				for _, m := range moments {
					time.Sleep(2 * time.Second) // times in a status have seconds
					f.writes = 0
					m.do(f, server)
					status := f.settle(synctest.Wait)
					state, address := "", "operators.olm.svc:50051"
					if status.GRPCConnectionState != nil {
						state, address = status.GRPCConnectionState.LastObservedState, status.GRPCConnectionState.Address
					}
					service := f.service()
					if state != m.state || status.Message != m.message || f.content() != m.content || string(service.Spec.Type) != m.service || f.writes != m.writes {
						t.Errorf("%s:\n got %s, content %s, service %q, %d writes, message %q\nwant %s, content %s, service %q, %d writes, message %q",
							m.what, state, f.content(), service.Spec.Type, f.writes, status.Message, m.state, m.content, m.service, m.writes, m.message)
					}
					if m.service != "" && (address != "operators.olm.svc:50051" || f.authority != address) {
						t.Errorf("%s: the status says %q, dialled was %q", m.what, address, f.authority)
					}
				}
				f.r.Stop()
			})
		})
	}
}

// service is that of the catalog; empty if there is none.
func (f *fixture) service() *corev1.Service {
	f.t.Helper()
	var s corev1.Service
	if err := client.IgnoreNotFound(f.client.Get(f.t.Context(), key, &s)); err != nil {
		f.t.Fatal(err)
	}
	return &s
}

// editService changes the Service of the catalog as a person would.
func (f *fixture) editService(change func(*corev1.Service) error) {
	f.t.Helper()
	if err := change(f.service()); err != nil {
		f.t.Fatal(err)
	}
	f.writes = 0
	f.queue <- key
}

func TestServiceOf(t *testing.T) {
	no := false
	cs := &v1alpha1.CatalogSource{ObjectMeta: metav1.ObjectMeta{Name: "my.catalog", Namespace: "olm", UID: "u"}}
	want := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: "my-catalog", Namespace: "olm", Labels: map[string]string{"olm.managed": "true", "olm.catalogSource": "my.catalog"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "operators.coreos.com/v1alpha1", Kind: "CatalogSource", Name: "my.catalog", UID: "u", Controller: &no, BlockOwnerDeletion: &no,
			}},
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, Selector: map[string]string{"chandler.dev/catalog-server": "true"},
			Ports: []corev1.ServicePort{{Name: "grpc", Port: 50051, TargetPort: intstr.FromInt32(50051), Protocol: corev1.ProtocolTCP}},
		},
	}
	if diff := cmp.Diff(want, serviceOf(cs, Hosting{Address: "catalog.olm.svc:50051", Namespace: "olm", ClusterDomain: "cluster.local"})); diff != "" {
		t.Errorf("in the namespace of the server (-want +got):\n%s", diff)
	}
	names := map[string]string{
		"catalogs.servers.svc:50051": "catalogs.servers.svc.example.org",
		"127.0.0.1:50051":            "catalog.servers.svc.example.org",
	}
	for address, name := range names {
		got := serviceOf(cs, Hosting{Address: address, Namespace: "servers", ClusterDomain: "example.org"})
		if got.Spec.Type != corev1.ServiceTypeExternalName || got.Spec.ExternalName != name || got.Spec.Selector != nil {
			t.Errorf("elsewhere, with a server at %s: %v, want another name of %s", address, got.Spec, name)
		}
	}
}

// TestForeignService leaves alone what was made by somebody else, and takes
// over what was made for the catalog by another controller.
func TestForeignService(t *testing.T) {
	tests := map[string]struct {
		owners []metav1.OwnerReference
		want   string // selector
		told   bool
	}{
		"made by somebody else": {want: "app", told: true},
		"made for this catalog": {owners: []metav1.OwnerReference{{APIVersion: "v", Kind: "CatalogSource", Name: key.Name, UID: "catalog"}}, want: LabelServerPod},
		"made for a former one": {owners: []metav1.OwnerReference{{APIVersion: "v", Kind: "CatalogSource", Name: key.Name, UID: "former"}}, want: "app", told: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newFakeServer("one")
				f := newFixture(t, v1alpha1.CatalogSourceSpec{SourceType: v1alpha1.SourceTypeGrpc, Image: "example.com/c:1"}, map[string]*fakeServer{"a:1": server})
				old := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: key.Name, Namespace: key.Namespace, OwnerReferences: tt.owners}}
				old.Spec.Selector = map[string]string{"app": "x"}
				if err := f.client.Create(t.Context(), old); err != nil {
					t.Fatal(err)
				}
				server.turn(connectivity.Ready)
				status := f.settle(synctest.Wait)
				got := f.service().Spec.Selector
				if _, ok := got[tt.want]; !ok || len(got) != 1 || strings.Contains(status.Message, "in the way") != tt.told {
					t.Errorf("the service selects %v, the status says %q", got, status.Message)
				}
				f.r.Stop()
			})
		})
	}
}

func TestPodConfigCondition(t *testing.T) {
	memory := resource.MustParse("10Mi")
	tests := map[string]struct {
		config *v1alpha1.GrpcPodConfig
		want   string
	}{
		"none":                            {},
		"only the directory in the image": {config: &v1alpha1.GrpcPodConfig{ExtractContent: &v1alpha1.ExtractContentConfig{CatalogDir: "/configs"}}},
		"fields of a pod": {
			config: &v1alpha1.GrpcPodConfig{NodeSelector: map[string]string{}, MemoryTarget: &memory, ExtractContent: &v1alpha1.ExtractContentConfig{CacheDir: "/cache"}},
			want:   "not needed in spec.grpcPodConfig: nodeSelector, memoryTarget, extractContent.cacheDir; one server hosts all catalogs, so that this one has no pod of its own",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cs := &v1alpha1.CatalogSource{Spec: v1alpha1.CatalogSourceSpec{GrpcPodConfig: tt.config}}
			got := ""
			status := nextStatus(cs, view{observation: observation{hosted: true}}, time.Unix(1000, 0))
			if c := meta.FindStatusCondition(status.Conditions, conditionPodConfig); c != nil {
				got = c.Message
			}
			if got != tt.want {
				t.Errorf("the condition says %q, want %q", got, tt.want)
			}
		})
	}
}

func TestResolveTemplate(t *testing.T) {
	const pattern = "example.com/c:v{kube_major_version}.{kube_minor_version}"
	tests := map[string]struct {
		template, version, want string
		image                   string
	}{
		"a version":             {pattern, "v1.36.3", "catalog image reference was successfully resolved", "example.com/c:v1.36"},
		"a version of a vendor": {pattern + ".{kube_patch_version}", "v1.20.4-gke.1+abc", "catalog image reference was successfully resolved", "example.com/c:v1.20.4"},
		"no variable":           {"example.com/c:1", "v1.36.3", "catalog image reference was successfully resolved", "example.com/c:1"},
		"an unknown version": {
			pattern, "goose", `cannot construct catalog image reference, because variable(s) "kube_major_version", "kube_minor_version" could not be resolved`,
			"example.com/c:vmissing.missing",
		},
		"an unknown variable": {
			"example.com/c:{goose}", "v1.36.3", "cannot construct catalog image reference, because one or more template(s) has improper syntax", "example.com/c:{goose}",
		},
		"half a variable, and an unknown version": {
			"example.com/c:{kube_minor_version}{kube", "goose", `cannot construct catalog image reference, because variable(s) "kube_minor_version" could not be resolved ` +
				"and one or more template(s) has improper syntax", "example.com/c:missing{kube",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := resolveTemplate(tt.template, tt.version).conditions()
			if got[0].Message != tt.want || got[1].Message != tt.image {
				t.Errorf("resolveTemplate() says %q, %q; want %q, %q", got[0].Message, got[1].Message, tt.want, tt.image)
			}
		})
	}
}
