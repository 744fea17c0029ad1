package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/internal/testkit"
	"chandler.dev/olm/pkg/registry/oci"
	api "chandler.dev/olm/proto"
)

// hosted is a cluster whose catalogs one server hosts.
type hosted struct {
	*stack

	registry *imageRegistry
	address  string // of the catalog server
	server   *testkit.Process
	cache    string

	kubeconfig string // of the server, with no more rights than it has in a cluster
}

func startHosted(t *testing.T) *hosted {
	t.Helper()
	h := &hosted{stack: &stack{Env: testkit.Own(t)}, registry: startRegistry(t), address: testkit.FreeAddress(t), cache: t.TempDir()}
	h.kubeconfig = h.kubeconfigOf(t, "olm", "chandler-catalog")
	h.startServer(t)
	h.controller = testkit.Start(t, "olm", "controller", "--kubeconfig", h.Kubeconfig, "--data-dir", t.TempDir(),
		"--health-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0", "--catalog-server", h.address)
	return h
}

func (h *hosted) startServer(t *testing.T) {
	t.Helper()
	h.server = testkit.Start(t, "catalog", "serve", "--kubernetes", "--kubeconfig", h.kubeconfig,
		"--address", h.address, "--http-address", "", "--cache-dir", h.cache)
}

// source creates a CatalogSource with a spec.
func (h *hosted) source(t *testing.T, ns, name string, spec operatorsv1alpha1.CatalogSourceSpec) client.ObjectKey {
	t.Helper()
	source := &operatorsv1alpha1.CatalogSource{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: spec}
	h.create(t, source)
	return client.ObjectKeyFromObject(source)
}

func polled(image string) operatorsv1alpha1.CatalogSourceSpec {
	interval := metav1.Duration{Duration: 5 * time.Second}
	return operatorsv1alpha1.CatalogSourceSpec{
		SourceType: operatorsv1alpha1.SourceTypeGrpc, Image: image,
		UpdateStrategy: &operatorsv1alpha1.UpdateStrategy{RegistryPoll: &operatorsv1alpha1.RegistryPoll{RawInterval: "5s", Interval: &interval}},
	}
}

// waitState waits for a connection state and a text in the message, and
// returns the status.
func (h *hosted) waitState(t *testing.T, key client.ObjectKey, state, message string) operatorsv1alpha1.CatalogSourceStatus {
	t.Helper()
	var cs operatorsv1alpha1.CatalogSource
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		cs = operatorsv1alpha1.CatalogSource{}
		if err := h.Client.Get(ctx, key, &cs); err != nil {
			return err
		}
		got := cs.Status.GRPCConnectionState
		if got == nil || got.LastObservedState != state || !strings.Contains(cs.Status.Message, message) || message == "" && cs.Status.Message != "" {
			return fmt.Errorf("catalog %s is %v, %q; want %s, %q", key, got, cs.Status.Message, state, message)
		}
		return nil
	})
	return cs.Status
}

// ask lists the packages of a catalog as any client does that dials the server
// under a name.
func (h *hosted) ask(t *testing.T, authority string) (string, error) {
	t.Helper()
	conn, err := grpc.NewClient(h.address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(authority))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	stream, err := api.NewRegistryClient(conn).ListPackages(t.Context(), &api.ListPackageRequest{})
	var names []string
	for err == nil {
		var p *api.PackageName
		if p, err = stream.Recv(); err == nil {
			names = append(names, p.GetName())
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return strings.Join(names, " "), err
}

// TestHostedImage walks an operator through the life of the catalog image that
// it comes from.
func TestHostedImage(t *testing.T) {
	h := startHosted(t)
	const image = "team/catalog:latest"
	h.registry.pushCatalog(image, databases(t, "1.0.0"))
	key := h.source(t, "olm", "databases", polled(h.registry.ref(image)))
	ready := h.waitState(t, key, "READY", "")
	const authority = "databases.olm.svc:50051"
	service := ready.RegistryServiceStatus
	if ready.GRPCConnectionState.Address != authority || service == nil || service.Address() != authority || ready.LatestImageRegistryPoll == nil {
		t.Errorf("the status is %+v, service %+v", ready, service)
	}
	var found corev1.Service
	if err := h.Client.Get(t.Context(), key, &found); err != nil || found.Spec.Selector["chandler.dev/catalog-server"] != "true" {
		t.Errorf("service %s selects %v: %v", key, found.Spec.Selector, err)
	}
	for _, name := range []string{authority, "databases.olm.svc", "databases.olm.svc.cluster.local:50051", "databases.olm:443"} {
		if got, err := h.ask(t, name); got != "database" || err != nil {
			t.Errorf("the packages at %s are %q, %v", name, got, err)
		}
	}
	if _, err := h.ask(t, h.address); status.Code(err) != codes.NotFound {
		t.Errorf("a call without a name of a catalog: %v", err)
	}

	ns := h.Namespace(t, "hosted")
	h.group(t, ns, ns)
	sub := h.subscribe(t, wish{ns: ns, pkg: "database", channel: "stable", catalog: "databases"})
	h.waitInstalled(t, sub, "database.v1.0.0")

	h.registry.pushCatalog(image, databases(t, "1.0.0", "1.1.0"))
	h.waitInstalled(t, sub, "database.v1.1.0")

	h.registry.push(image, map[string]string{oci.LabelConfigs: "/configs"}, map[string][]byte{"configs/broken.yaml": []byte("schema: olm.channel\npackage: database\nname: stable\n")})
	h.waitState(t, key, "READY", "its last good content stays in use")
	h.server.Kill()
	h.waitState(t, key, "TRANSIENT_FAILURE", "does not answer")
	h.startServer(t)
	broken := h.waitState(t, key, "READY", "its last good content stays in use")
	if !strings.Contains(broken.Message, "is invalid") || strings.Contains(broken.Message, h.cache) {
		t.Errorf("the message is %q", broken.Message)
	}
	if got, err := h.ask(t, authority); got != "database" || err != nil {
		t.Errorf("after a restart with a broken image the packages are %q, %v", got, err)
	}

	h.registry.pushCatalog(image, databases(t, "1.0.0", "1.1.0", "2.0.0"))
	h.waitState(t, key, "READY", "")
	h.waitInstalled(t, sub, "database.v2.0.0")

	if err := h.Client.Delete(t.Context(), &operatorsv1alpha1.CatalogSource{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		if err := h.Client.Get(ctx, key, &corev1.Service{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("service %s is there: %w", key, err)
		}
		if _, err := h.ask(t, authority); status.Code(err) != codes.NotFound {
			return fmt.Errorf("the deleted catalog answers %w", err)
		}
		return nil
	})
}

// TestHostedSources serves what else a CatalogSource can name, and keeps what
// belongs to one namespace from others.
func TestHostedSources(t *testing.T) {
	h := startHosted(t)
	pinned := operatorsv1alpha1.CatalogSourceSpec{SourceType: operatorsv1alpha1.SourceTypeGrpc}

	t.Run("an index of the tools before", func(t *testing.T) {
		ns := h.Namespace(t, "index")
		h.registry.pushIndex("old/index:v1", databaseBundle(t, "1.0.0"))
		spec := pinned
		spec.Image = h.registry.ref("old/index:v1")
		key := h.source(t, ns, "old.index", spec)
		h.waitState(t, key, "READY", "")
		var service corev1.Service
		if err := h.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "old-index"}, &service); err != nil || service.Spec.ExternalName != "catalog.olm.svc.cluster.local" {
			t.Errorf("the service outside of the server's namespace leads to %q, %v", service.Spec.ExternalName, err)
		}
		h.group(t, ns, ns)
		sub := h.subscribe(t, wish{ns: ns, pkg: "database", channel: "stable", catalog: "old.index", catalogNS: ns})
		h.waitInstalled(t, sub, "database.v1.0.0")
	})

	t.Run("a ConfigMap", func(t *testing.T) {
		ns := h.Namespace(t, "configmap")
		spec := operatorsv1alpha1.CatalogSourceSpec{SourceType: operatorsv1alpha1.SourceTypeInternal, ConfigMap: "catalog"}
		key := h.source(t, ns, "in-configmap", spec)
		absent := h.waitState(t, key, "TRANSIENT_FAILURE", "failed to get catalog config map catalog")
		if absent.Reason != operatorsv1alpha1.CatalogSourceConfigMapError {
			t.Errorf("the reason is %q", absent.Reason)
		}
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "catalog"}, Data: configMapData(t, "1.0.0")}
		h.create(t, cm)
		first := h.waitState(t, key, "READY", "")
		if ref := first.ConfigMapResource; ref == nil || ref.UID != cm.UID || ref.ResourceVersion != cm.ResourceVersion {
			t.Errorf("the status refers to %+v, want %s %s", ref, cm.UID, cm.ResourceVersion)
		}
		h.group(t, ns, ns)
		sub := h.subscribe(t, wish{ns: ns, pkg: "database", channel: "stable", catalog: "in-configmap", catalogNS: ns})
		h.waitInstalled(t, sub, "database.v1.0.0")
		before := cm.DeepCopy()
		cm.Data = configMapData(t, "1.0.0", "1.1.0")
		if err := h.Client.Patch(t.Context(), cm, mergeFrom(before)); err != nil {
			t.Fatal(err)
		}
		h.waitInstalled(t, sub, "database.v1.1.0")
		if ref := h.waitState(t, key, "READY", "").ConfigMapResource; ref == nil || ref.ResourceVersion != cm.ResourceVersion {
			t.Errorf("the status refers to %+v, want resource version %s", ref, cm.ResourceVersion)
		}
		before = cm.DeepCopy()
		cm.Data["packages"] = "- nonsense"
		if err := h.Client.Patch(t.Context(), cm, mergeFrom(before)); err != nil {
			t.Fatal(err)
		}
		h.waitState(t, key, "READY", "its last good content stays in use")
	})

	t.Run("an image that wants credentials", func(t *testing.T) {
		h.registry.pushCatalog("private/catalog:v1", databases(t, "1.0.0"))
		theirs, ns := h.Namespace(t, "theirs"), h.Namespace(t, "private")
		secret := pullSecret(ns, h.registry.host)
		spec := pinned
		spec.Image, spec.Secrets = h.registry.ref("private/catalog:v1"), []string{secret.Name}
		key := h.source(t, ns, "private", spec)
		h.waitState(t, key, "TRANSIENT_FAILURE", `of the pull secrets, "pull" cannot be read`)
		h.create(t, secret)
		h.waitState(t, key, "READY", "")

		// Neither the secret nor what was read with it is for others.
		other := h.source(t, theirs, "private", spec)
		refused := h.waitState(t, other, "TRANSIENT_FAILURE", "does not let you read")
		if got, err := h.ask(t, "private."+theirs+".svc:50051"); got != "" || status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "does not let you read") {
			t.Errorf("the catalog that may not be read answers %q, %v", got, err)
		}
		for what, text := range map[string]string{"the status": fmt.Sprint(refused), "the log of the server": h.server.Log(), "the log of the controller": h.controller.Log()} {
			if strings.Contains(text, registryPassword) {
				t.Errorf("%s tells the password", what)
			}
		}
	})

	t.Run("an image that is a path on the server's disk", func(t *testing.T) {
		spec := pinned
		spec.Image = oci.LayoutPrefix + h.cache
		key := h.source(t, h.Namespace(t, "disk"), "disk", spec)
		h.waitState(t, key, "TRANSIENT_FAILURE", "names no image in a registry")
	})

	t.Run("an address takes over from an image", func(t *testing.T) {
		ns := h.Namespace(t, "address")
		h.registry.pushCatalog("team/other:v1", databases(t, "1.0.0"))
		spec := pinned
		spec.Image = h.registry.ref("team/other:v1")
		key := h.source(t, ns, "moves", spec)
		h.waitState(t, key, "READY", "")
		patch, _ := json.Marshal(map[string]any{"spec": map[string]any{"image": nil, "address": serve(t, databases(t, "1.0.0"))}})
		if err := h.Client.Patch(t.Context(), &operatorsv1alpha1.CatalogSource{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "moves"}}, client.RawPatch("application/merge-patch+json", patch)); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, patience, func(ctx context.Context) error {
			if err := h.Client.Get(ctx, key, &corev1.Service{}); !apierrors.IsNotFound(err) {
				return fmt.Errorf("service %s is there: %w", key, err)
			}
			var cs operatorsv1alpha1.CatalogSource
			if err := h.Client.Get(ctx, key, &cs); err != nil || cs.Status.RegistryServiceStatus == nil || cs.Status.RegistryServiceStatus.ServiceName != "" {
				return fmt.Errorf("the status is %+v, %w", cs.Status.RegistryServiceStatus, err)
			}
			return nil
		})
		h.waitState(t, key, "READY", "")
	})
}

// configMapData is a catalog of some versions of the demo operator, the last
// being the head of its channel.
func configMapData(t *testing.T, versions ...string) map[string]string {
	t.Helper()
	var csvs, crds []json.RawMessage
	for _, version := range versions {
		b := databaseBundle(t, version)
		csvs = append(csvs, json.RawMessage(b.csv))
		crds = nil // a ConfigMap has one definition of a name
		for _, crd := range b.crds {
			crds = append(crds, json.RawMessage(crd))
		}
	}
	text := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	return map[string]string{
		"clusterServiceVersions": text(csvs), "customResourceDefinitions": text(crds),
		"packages": fmt.Sprintf("- packageName: database\n  channels:\n  - name: stable\n    currentCSV: database.v%s\n", versions[len(versions)-1]),
	}
}

func pullSecret(ns, host string) *corev1.Secret {
	text := fmt.Sprintf(`{"auths": {%q: {"username": %q, "password": %q}}}`, host, registryUser, registryPassword)
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "pull"}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(text)},
	}
}
