package e2e

import (
	"archive/tar"
	"bytes"
	"database/sql"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	fake "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	_ "github.com/mattn/go-sqlite3" // the driver of old indexes
	"sigs.k8s.io/yaml"

	"chandler.dev/olm/internal/testkit"
	"chandler.dev/olm/pkg/registry/oci"
)

const (
	registryUser     = "puller"
	registryPassword = "correct-horse-battery" //nolint:gosec // of a registry that lives as long as a test
)

// imageRegistry is one on loopback, in this process.
type imageRegistry struct {
	t    testing.TB
	host string
}

// startRegistry serves a registry. What is below private/ wants credentials to
// be read.
func startRegistry(t testing.TB) *imageRegistry {
	t.Helper()
	images := fake.New(fake.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/v2/private/") && (user != registryUser || password != registryPassword) {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return &imageRegistry{t, strings.TrimPrefix(server.URL, "http://")}
}

// ref is the name of an image in the registry.
func (r *imageRegistry) ref(image string) string { return r.host + "/" + image }

// pushCatalog publishes the file-based catalog of some sources under a name.
func (r *imageRegistry) pushCatalog(image, source string) {
	r.t.Helper()
	if _, err := testkit.Run(r.t.Context(), "catalog", "push", source, r.ref(image)); err != nil {
		r.t.Fatal(err)
	}
}

// push publishes an image of one layer.
func (r *imageRegistry) push(image string, labels map[string]string, files map[string][]byte) {
	r.t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for file, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			r.t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		r.t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, static.NewLayer(layer.Bytes(), types.DockerUncompressedLayer))
	if err != nil {
		r.t.Fatal(err)
	}
	img, err = mutate.Config(img, v1.Config{Labels: labels})
	if err != nil {
		r.t.Fatal(err)
	}
	ref, err := name.ParseReference(r.ref(image))
	if err != nil {
		r.t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithContext(r.t.Context())); err != nil {
		r.t.Fatal(err)
	}
}

// pushIndex publishes a SQLite index, as tools made them before file-based
// catalogs, with one bundle.
func (r *imageRegistry) pushIndex(image string, b bundleFiles) {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), "index.db")
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		r.t.Fatal(err)
	}
	exec := func(query string, args ...any) {
		r.t.Helper()
		if _, err := db.ExecContext(r.t.Context(), query, args...); err != nil {
			r.t.Fatal(err)
		}
	}
	exec(`CREATE TABLE package (name TEXT PRIMARY KEY, default_channel TEXT);
CREATE TABLE channel (name TEXT, package_name TEXT, head_operatorbundle_name TEXT);
CREATE TABLE channel_entry (entry_id INTEGER PRIMARY KEY, channel_name TEXT, package_name TEXT, operatorbundle_name TEXT, replaces INTEGER, depth INTEGER);
CREATE TABLE operatorbundle (name TEXT, csv TEXT, bundle TEXT, bundlepath TEXT, skiprange TEXT, version TEXT, replaces TEXT, skips TEXT, substitutesfor TEXT);
CREATE TABLE dependencies (type TEXT, value TEXT, operatorbundle_name TEXT, operatorbundle_version TEXT, operatorbundle_path TEXT);
CREATE TABLE properties (type TEXT, value TEXT, operatorbundle_name TEXT, operatorbundle_version TEXT, operatorbundle_path TEXT);
CREATE TABLE related_image (image TEXT, operatorbundle_name TEXT)`)
	exec("INSERT INTO package VALUES (?, 'stable')", b.pkg)
	exec("INSERT INTO channel VALUES ('stable', ?, ?)", b.pkg, b.name)
	exec("INSERT INTO channel_entry VALUES (1, 'stable', ?, ?, NULL, 0)", b.pkg, b.name)
	exec("INSERT INTO operatorbundle VALUES (?, ?, ?, NULL, '', ?, '', '', '')", b.name, b.csv, strings.Join(b.objects, "\n"), b.version)
	exec("INSERT INTO properties VALUES ('olm.package', ?, ?, ?, '')", `{"packageName":"`+b.pkg+`","version":"`+b.version+`"}`, b.name, b.version)
	if err := db.Close(); err != nil {
		r.t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	r.push(image, map[string]string{oci.LabelDatabase: "/database/index.db"}, map[string][]byte{"database/index.db": text})
}

// bundleFiles are the manifests of one bundle, in JSON.
type bundleFiles struct {
	pkg, name, version string
	csv                string
	crds, objects      []string // objects are all, the CSV too
}

// databaseBundles is the folder of the demo operator's bundles.
func databaseBundles() string {
	return filepath.Join(testkit.Root(), "catalogs", "database", "bundles")
}

func databaseBundle(t testing.TB, version string) bundleFiles {
	t.Helper()
	b := bundleFiles{pkg: "database", name: "database.v" + version, version: version}
	files, err := filepath.Glob(filepath.Join(databaseBundles(), version, "manifests", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests of database %s: %v", version, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := yaml.YAMLToJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		var head struct{ Kind string }
		if err := json.Unmarshal(raw, &head); err != nil {
			t.Fatal(err)
		}
		b.objects = append(b.objects, string(raw))
		switch head.Kind {
		case "ClusterServiceVersion":
			b.csv = string(raw)
		case "CustomResourceDefinition":
			b.crds = append(b.crds, string(raw))
		}
	}
	return b
}

// databases is a folder with some versions of the demo operator.
func databases(t testing.TB, versions ...string) string {
	t.Helper()
	return bundleSubset(t, databaseBundles(), versions...)
}
