package resolver_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver"
	"chandler.dev/olm/pkg/resolver/explain"
)

var update = flag.Bool("update", false, "rewrite the want sections")

// TestScenarios resolves testdata/*.txtar and compares the answer with the
// want section. testdata/README.md describes the files.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := answerOf(t, archive)
			if *update {
				setSection(archive, "want", got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(section(archive, "want")), got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func section(a *txtar.Archive, name string) []byte {
	for _, f := range a.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func setSection(a *txtar.Archive, name, data string) {
	for i := range a.Files {
		if a.Files[i].Name == name {
			a.Files[i].Data = []byte(data)
			return
		}
	}
	a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(data)})
}

// The shapes of the sections, shorter than those of the resolver.
type (
	catalogYAML struct {
		Priority    int
		Unavailable string
		Names       []string
		Packages    map[string]packageYAML
	}
	packageYAML struct {
		Default    string
		Deprecated string
		Channels   map[string][]string // entries as "name -> replaces skips a b range <1.0.0"
		Bundles    map[string]bundleYAML
	}
	bundleYAML struct {
		Name, Package, Version, MinKube string
		Provides, Requires, Labels      []string
		Constraints                     []json.RawMessage
		Deprecated                      bool
		NoPackage                       bool
		Phase, Replaces                 string // of what is installed
	}
	wantedYAML struct {
		Name, Package, Catalog, Channel, StartingCSV, Range, Installed string
	}
	clusterYAML struct {
		KubeVersion string
		APIs        []string
		Taken       map[string]string
		FailForward bool
		Limits      resolver.Limits
	}
)

const namespace = "ns"

func problemOf(t *testing.T, a *txtar.Archive) resolver.Problem {
	t.Helper()
	p := resolver.Problem{Namespace: namespace}
	var catalogs map[string]catalogYAML
	decode(t, a, "catalogs.yaml", &catalogs)
	for _, name := range sortedKeys(catalogs) {
		p.Catalogs = append(p.Catalogs, catalogs[name].catalog(refOf(name)))
	}
	var installed []bundleYAML
	decode(t, a, "installed.yaml", &installed)
	for _, b := range installed {
		p.Installed = append(p.Installed, resolver.Installed{
			Bundle: b.bundle(b.Package, b.Name), Replaces: b.Replaces, Phase: resolver.Phase(b.Phase),
		})
	}
	var wanted []wantedYAML
	decode(t, a, "wanted.yaml", &wanted)
	for _, s := range wanted {
		p.Subscriptions = append(p.Subscriptions, s.subscription())
	}
	var cluster clusterYAML
	decode(t, a, "cluster.yaml", &cluster)
	p.Cluster.KubeVersion, p.FailForward, p.Limits = cluster.KubeVersion, cluster.FailForward, cluster.Limits
	for _, api := range cluster.APIs {
		p.Cluster.APIs = append(p.Cluster.APIs, gvkOf(api))
	}
	for _, api := range sortedKeys(cluster.Taken) {
		p.Cluster.Taken = append(p.Cluster.Taken, resolver.TakenAPI{API: gvkOf(api), Owner: cluster.Taken[api]})
	}
	return p
}

func decode(t *testing.T, a *txtar.Archive, name string, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(section(a, name), into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// refOf reads name or name/namespace.
func refOf(s string) resolver.CatalogRef {
	name, ns, ok := strings.Cut(s, "/")
	if !ok {
		ns = namespace
	}
	return resolver.CatalogRef{Namespace: ns, Name: name}
}

// gvkOf reads a kind, or kind.version.group.
func gvkOf(s string) registry.GVK {
	parts := strings.SplitN(s, ".", 3)
	if len(parts) < 3 {
		return registry.GVK{Group: "g", Version: "v", Kind: s}
	}
	return registry.GVK{Group: parts[2], Version: parts[1], Kind: parts[0]}
}

func (s wantedYAML) subscription() resolver.Subscription {
	sub := resolver.Subscription{
		Name: s.Name, Package: s.Package, Channel: s.Channel, StartingCSV: s.StartingCSV,
		VersionRange: s.Range, Installed: s.Installed, Catalog: refOf("main"),
	}
	if sub.Package == "" {
		sub.Package = s.Name
	}
	switch s.Catalog {
	case "":
	case "any":
		sub.Catalog = resolver.CatalogRef{}
	default:
		sub.Catalog = refOf(s.Catalog)
	}
	return sub
}

func (c catalogYAML) catalog(ref resolver.CatalogRef) resolver.Catalog {
	out := resolver.Catalog{Ref: ref, Priority: c.Priority, Unavailable: c.Unavailable, Names: c.Names}
	for _, name := range sortedKeys(c.Packages) {
		out.Packages = append(out.Packages, c.Packages[name].offer(name))
	}
	return out
}

func (p packageYAML) offer(name string) resolver.Offer {
	o := resolver.Offer{Package: registry.Package{Name: name, DefaultChannel: p.Default, Deprecation: p.Deprecated}}
	names := map[string]bool{}
	for _, ch := range sortedKeys(p.Channels) {
		channel := registry.Channel{Name: ch}
		for _, line := range p.Channels[ch] {
			e := entryOf(line)
			channel.Entries = append(channel.Entries, e)
			names[e.Name] = true
		}
		if heads := registry.Heads(channel); len(heads) == 1 {
			channel.Head = heads[0]
		}
		o.Package.Channels = append(o.Package.Channels, channel)
		if o.Package.DefaultChannel == "" {
			o.Package.DefaultChannel = ch
		}
	}
	for _, b := range sortedKeys(names) {
		o.Bundles = append(o.Bundles, p.Bundles[b].bundle(name, b))
	}
	return o
}

// entryOf reads "name -> replaces skips a b range <1.0.0".
func entryOf(line string) registry.Entry {
	line, skipRange, _ := strings.Cut(line, " range ")
	line, skips, _ := strings.Cut(line, " skips ")
	name, replaces, _ := strings.Cut(line, " -> ")
	return registry.Entry{Name: strings.TrimSpace(name), Replaces: replaces, Skips: strings.Fields(skips), SkipRange: skipRange}
}

// bundle makes a bundle; name.v1.2 has version 1.2.0 unless it says another.
func (b bundleYAML) bundle(pkg, name string) registry.Bundle {
	out := registry.Bundle{Package: pkg, Name: name, Version: b.Version}
	if _, v, ok := strings.Cut(name, ".v"); ok && out.Version == "" {
		out.Version = v + strings.Repeat(".0", max(0, 2-strings.Count(v, ".")))
	}
	add := func(kind string, value any) {
		raw, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		out.Properties = append(out.Properties, registry.Property{Type: kind, Value: raw})
	}
	if pkg != "" && !b.NoPackage {
		add("olm.package", map[string]string{"packageName": pkg, "version": out.Version})
	}
	for _, api := range b.Provides {
		add("olm.gvk", gvkValue(api))
	}
	for _, r := range b.Requires {
		kind, rest, _ := strings.Cut(r, " ")
		switch kind {
		case "package":
			dep, versions, _ := strings.Cut(rest, " ")
			add("olm.package.required", map[string]string{"packageName": dep, "versionRange": versions})
		case "label":
			add("olm.label.required", map[string]string{"label": rest})
		default:
			add("olm.gvk.required", gvkValue(r))
		}
	}
	for _, l := range b.Labels {
		add("olm.label", map[string]string{"label": l})
	}
	for _, c := range b.Constraints {
		add("olm.constraint", c)
	}
	if b.Deprecated {
		add("olm.deprecated", map[string]string{})
	}
	if b.MinKube != "" {
		add("olm.csv.metadata", map[string]string{"minKubeVersion": b.MinKube})
	}
	return out
}

func gvkValue(s string) map[string]string {
	api := gvkOf(s)
	return map[string]string{"group": api.Group, "kind": api.Kind, "version": api.Version}
}

// answerOf is the answer to a scenario as text.
func answerOf(t *testing.T, a *txtar.Archive) string {
	t.Helper()
	p := problemOf(t, a)
	s, err := resolver.Resolve(t.Context(), p)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	return textOf(s) + whyOf(t, a, p) + previewOf(t, a, p)
}

// whyOf answers the sections that ask about what is there.
func whyOf(t *testing.T, a *txtar.Archive, p resolver.Problem) string {
	t.Helper()
	var b strings.Builder
	for name := range strings.FieldsSeq(string(section(a, "why"))) {
		why, err := resolver.WhyVersion(t.Context(), p, name)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(explain.Version(why))
	}
	if section(a, "here") == nil {
		return b.String()
	}
	list, err := resolver.WhyHere(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range list {
		b.WriteString(explain.Presence(x))
	}
	return b.String()
}

type changeYAML struct {
	Subscribe              *wantedYAML
	Unsubscribe, Uninstall string
	Install                *bundleYAML
	Catalog                map[string]catalogYAML
	RemoveCatalog          string
	KubeVersion            string
	FailForward            bool
}

func (c changeYAML) change() resolver.Change {
	out := resolver.Change{Unsubscribe: c.Unsubscribe, Uninstall: c.Uninstall, KubeVersion: c.KubeVersion, FailForward: c.FailForward}
	if c.Subscribe != nil {
		s := c.Subscribe.subscription()
		out.Subscribe = &s
	}
	if c.Install != nil {
		out.Install = &resolver.Installed{Bundle: c.Install.bundle(c.Install.Package, c.Install.Name)}
	}
	for name, x := range c.Catalog {
		catalog := x.catalog(refOf(name))
		out.Catalog = &catalog
	}
	if c.RemoveCatalog != "" {
		ref := refOf(c.RemoveCatalog)
		out.RemoveCatalog = &ref
	}
	return out
}

func previewOf(t *testing.T, a *txtar.Archive, p resolver.Problem) string {
	t.Helper()
	var list []changeYAML
	decode(t, a, "changes.yaml", &list)
	if len(list) == 0 {
		return ""
	}
	var changes []resolver.Change
	for _, c := range list {
		changes = append(changes, c.change())
	}
	preview, err := resolver.PreviewChanges(t.Context(), p, changes...)
	if err != nil {
		t.Fatal(err)
	}
	return "with the changes\n" + explain.Preview(preview)
}

func textOf(s resolver.Solution) string {
	var b strings.Builder
	for _, c := range s.Components {
		fmt.Fprintf(&b, "component %s\n", strings.Join(c.Subscriptions, " "))
		for _, x := range c.Adopted {
			fmt.Fprintf(&b, "  adopt %s for %s\n", x.Bundle, x.Subscription)
		}
		for _, x := range c.Selections {
			fmt.Fprintf(&b, "  install %s from %s/%s%s\n", x.Bundle.Name, x.Catalog.String(), x.Channel, detailsOf(x))
		}
		if len(c.Selections) == 0 && c.Unsolvable == nil {
			b.WriteString("  nothing to do\n")
		}
		if c.Unsolvable != nil {
			for line := range strings.Lines(explain.Text(*c.Unsolvable)) {
				b.WriteString("  " + line)
			}
		}
	}
	return b.String()
}

func detailsOf(x resolver.Selection) string {
	var s string
	if len(x.Subscriptions) > 0 {
		s += " for " + strings.Join(x.Subscriptions, " ")
	}
	if x.Replaces != "" {
		s += ", replaces " + x.Replaces
	}
	if len(x.RequiredBy) > 0 {
		s += ", required by " + strings.Join(x.RequiredBy, " ")
	}
	if len(x.Path) > 1 {
		s += ", then " + strings.Join(x.Path[1:], " ")
	}
	return s
}
