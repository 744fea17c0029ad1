package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/blang/semver/v4"
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"

	"chandler.dev/olm/internal/testkit"
)

// release is a published bundle.
type release struct {
	pkg, name string
	version   semver.Version
	blob      map[string]any // as a catalog has it
	csv       *operatorsv1alpha1.ClusterServiceVersion
}

// edge says that a version is upgraded to another, and how its author says so.
type edge struct {
	from, to int            // index of the release, by version
	entry    map[string]any // of the newer one in a channel
}

// published are the releases of one package and the edges between them.
type published struct {
	pkg      string
	releases []release // by version
	edges    []edge
}

// readPublished reads the packages of a tree of bundles or package manifests.
func readPublished(t testing.TB, tree string) []published {
	t.Helper()
	out, err := testkit.Run(t.Context(), "catalog", "render", "--graph", "semver", tree, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	byPackage := map[string]*published{}
	for decoder := json.NewDecoder(strings.NewReader(out)); decoder.More(); {
		var blob map[string]any
		if err := decoder.Decode(&blob); err != nil {
			t.Fatal(err)
		}
		if blob["schema"] != "olm.bundle" {
			continue
		}
		r := readRelease(t, blob)
		if byPackage[r.pkg] == nil {
			byPackage[r.pkg] = &published{pkg: r.pkg}
		}
		byPackage[r.pkg].releases = append(byPackage[r.pkg].releases, r)
	}
	var packages []published
	for _, name := range slices.Sorted(maps.Keys(byPackage)) {
		p := byPackage[name]
		slices.SortFunc(p.releases, func(a, b release) int { return a.version.Compare(b.version) })
		p.connect()
		packages = append(packages, *p)
	}
	return packages
}

func readRelease(t testing.TB, blob map[string]any) release {
	t.Helper()
	raw, err := json.Marshal(blob)
	if err != nil {
		t.Fatal(err)
	}
	var bundle struct {
		Name, Package string
		Properties    []struct {
			Type  string
			Value struct {
				Version string
				Data    []byte
			}
		}
	}
	// Values of other types have other shapes, which do not matter.
	if err := json.Unmarshal(raw, &bundle); err != nil && !strings.Contains(err.Error(), "cannot unmarshal") {
		t.Fatal(err)
	}
	r := release{pkg: bundle.Package, name: bundle.Name, blob: blob}
	for _, p := range bundle.Properties {
		switch p.Type {
		case "olm.package":
			r.version, err = semver.Parse(p.Value.Version)
		case "olm.bundle.object":
			if bytes.Contains(p.Value.Data, []byte(`"ClusterServiceVersion"`)) && r.csv == nil {
				csv := &operatorsv1alpha1.ClusterServiceVersion{}
				if err = json.Unmarshal(p.Value.Data, csv); csv.Kind == operatorsv1alpha1.ClusterServiceVersionKind {
					r.csv = csv
				}
			}
		}
		if err != nil {
			t.Fatalf("bundle %s: %v", bundle.Name, err)
		}
	}
	if r.csv == nil || r.pkg == "" {
		t.Fatalf("bundle %s has no ClusterServiceVersion", bundle.Name)
	}
	return r
}

// connect finds the edges that the authors wrote down. Where they wrote none
// into a version, its channel was published in the order of the versions.
func (p *published) connect() {
	for to := range p.releases {
		csv, name := p.releases[to].csv, p.releases[to].name
		inRange, err := semver.ParseRange(csv.Annotations["olm.skipRange"])
		found := false
		for from := range to {
			entry := map[string]any{"name": name}
			switch older := p.releases[from]; {
			case csv.Spec.Replaces == older.name:
				entry["replaces"] = older.name
			case slices.Contains(csv.Spec.Skips, older.name):
				entry["skips"] = []string{older.name}
			case err == nil && csv.Annotations["olm.skipRange"] != "" && inRange(older.version):
				entry["skipRange"] = csv.Annotations["olm.skipRange"]
			default:
				continue
			}
			found = true
			p.edges = append(p.edges, edge{from: from, to: to, entry: entry})
		}
		if !found && to > 0 {
			p.edges = append(p.edges, edge{from: to - 1, to: to, entry: map[string]any{"name": name, "replaces": p.releases[to-1].name}})
		}
	}
}

// paths cover every edge once, and every release.
func (p *published) paths() [][]int {
	left, visited := slices.Clone(p.edges), map[int]bool{}
	var paths [][]int
	for len(left) > 0 {
		start := slices.MinFunc(left, func(a, b edge) int { return a.from - b.from }).from
		path := []int{start}
		for {
			next := -1
			for i, e := range left {
				if e.from == path[len(path)-1] && (next < 0 || e.to < left[next].to) {
					next = i
				}
			}
			if next < 0 {
				break
			}
			path = append(path, left[next].to)
			left = slices.Delete(left, next, next+1)
		}
		for _, i := range path {
			visited[i] = true
		}
		paths = append(paths, path)
	}
	for i := range p.releases {
		if !visited[i] {
			paths = append(paths, []int{i})
		}
	}
	return paths
}

func (p *published) edge(from, to int) edge {
	i := slices.IndexFunc(p.edges, func(e edge) bool { return e.from == from && e.to == to })
	return p.edges[i]
}

func only(r release) string { return "only-" + r.version.String() }

func hop(from, to release) string {
	return "from-" + from.version.String() + "-to-" + to.version.String()
}

// writeCatalog writes packages as a file-based catalog: a channel for each
// release alone, one for each edge, and one with all releases, by which other
// packages depend on it.
func writeCatalog(t testing.TB, packages []published) string {
	t.Helper()
	dir := t.TempDir()
	for _, p := range packages {
		blobs := []any{map[string]any{"schema": "olm.package", "name": p.pkg, "defaultChannel": "all"}}
		channel := func(name string, entries ...map[string]any) {
			blobs = append(blobs, map[string]any{"schema": "olm.channel", "package": p.pkg, "name": name, "entries": entries})
		}
		var all []map[string]any
		for i, r := range p.releases {
			entry := map[string]any{"name": r.name}
			if i > 0 {
				entry["replaces"] = p.releases[i-1].name
			}
			all = append(all, entry)
			channel(only(r), map[string]any{"name": r.name})
			blobs = append(blobs, r.blob)
		}
		channel("all", all...)
		for _, e := range p.edges {
			entries := []map[string]any{e.entry}
			if e.entry["skipRange"] == nil {
				entries = append(entries, map[string]any{"name": p.releases[e.from].name})
			}
			channel(hop(p.releases[e.from], p.releases[e.to]), entries...)
		}
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		for _, b := range blobs {
			if err := encoder.Encode(b); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, p.pkg+".json"), text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// related are packages that provide or need the same APIs in all namespaces,
// so that they are tried one after the other.
var related = map[string]string{
	"authorino-operator": "kuadrant-operator", "dns-operator": "kuadrant-operator", "limitador-operator": "kuadrant-operator",
	"cert-manager":                         "kuadrant-operator",
	"rabbitmq-messaging-topology-operator": "rabbitmq-cluster-operator",
}

// unfit are the published bundles that no current cluster can take, or that
// depend on versions which are not published here, with a part of the reason.
var unfit = []struct{ names, reason string }{
	{`^prometheusoperator\.0\.32\.0$`, "cannot be converted to v1"},
	{`^cockroachdb\.v(2\.0\.9|2\.1\.1|2\.1\.11|3\.0\.7)$`, "api-approved.kubernetes.io"},
	{`^(elastic-cloud-eck|postgresoperator|rook-ceph)\.v`, "cannot be converted to v1"},
	{`^kuadrant-operator\.v0\.([23]\.|4\.|5\.|6\.)`, "constraints not satisfiable"},
}

// table collects what became of each bundle and edge.
type table struct {
	mu   sync.Mutex
	rows []string
}

func (r *table) add(t testing.TB, format string, args ...any) {
	t.Helper()
	row := fmt.Sprintf(format, args...)
	t.Log(row)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, row)
}

// TestEveryBundle takes every version of every published package there is
// through the install and through every upgrade that its channels know. Each
// ends Succeeded, with the custom resources of before as they were, or is
// refused before anything is written, with the true reason. It runs if
// OLM_TEST_EVERY_BUNDLE is 1, or a regular expression for the names of the
// packages to try: 130 installs and upgrades take longer than other tests.
func TestEveryBundle(t *testing.T) {
	which := os.Getenv("OLM_TEST_EVERY_BUNDLE")
	switch which {
	case "":
		t.Skip("set OLM_TEST_EVERY_BUNDLE=1 to take all published bundles through installs and upgrades")
	case "1":
		which = "."
	}
	packages := slices.Concat(readPublished(t, testkit.Data(t, "bundles")), readManifests(t))
	filter := regexp.MustCompile(which)
	env := testkit.Own(t)
	s := &stack{Env: env, controller: startController(t, env, t.TempDir(), "--convert-definitions")}
	s.catalogSource(t, "every", serve(t, writeCatalog(t, packages)))
	s.waitCatalogNamed(t, "every")
	pods := &standIn{client: env.Client}
	pods.listen(t)
	results := &table{}
	lanes := map[string][]published{}
	for _, p := range packages {
		lane := p.pkg
		if related[lane] != "" {
			lane = related[lane]
		}
		if filter.MatchString(p.pkg) {
			lanes[lane] = append(lanes[lane], p)
		}
	}
	t.Run("packages", func(t *testing.T) {
		for _, lane := range slices.Sorted(maps.Keys(lanes)) {
			t.Run(lane, func(t *testing.T) {
				t.Parallel()
				for _, p := range lanes[lane] {
					for _, path := range p.paths() {
						s.walk(t, p, path, results)
					}
				}
			})
		}
	})
	slices.Sort(results.rows)
	t.Logf("what became of every bundle:\n%s", strings.Join(results.rows, "\n"))
}

// readManifests reads the package manifests, folder by folder.
func readManifests(t testing.TB) (packages []published) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(testkit.Data(t, "package-manifests"), "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		packages = append(packages, readPublished(t, dir)...)
	}
	return packages
}
