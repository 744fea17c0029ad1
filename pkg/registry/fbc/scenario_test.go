package fbc_test

import (
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/fbc"
)

const (
	pkgFoo     = "---\nschema: olm.package\nname: foo\ndefaultChannel: alpha\n"
	channelFoo = "---\nschema: olm.channel\npackage: foo\nname: alpha\nentries: [{name: foo.v1}]\n"
	bundleFoo  = "---\nschema: olm.bundle\npackage: foo\nname: foo.v1\nimage: example.com/foo:v1\nproperties: [{type: olm.package, value: {packageName: foo, version: 1.0.0}}]\n"
	good       = pkgFoo + channelFoo + bundleFoo
)

// edited replaces parts of the good catalog: old, new, old, new …
func edited(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(good) }

// TestValidation runs the scenarios va-01 … va-34: a catalog, and what the
// report says of it; nothing if it is valid.
func TestValidation(t *testing.T) {
	object := base64.StdEncoding.EncodeToString([]byte("kind: ClusterServiceVersion\n"))
	image := "image: example.com/foo:v1"
	tests := map[string]struct {
		text string
		want []string
	}{
		"a valid catalog":                         {text: good},
		"va-01 a package without a name":          {text: good + "---\nschema: olm.package\n", want: []string{"config contains package with no name"}},
		"va-02 a bundle without a package":        {text: edited("schema: olm.bundle\npackage: foo\n", "schema: olm.bundle\n"), want: []string{`package name must be set for bundle "foo.v1"`}},
		"va-02 a bundle of an unknown package":    {text: edited("schema: olm.bundle\npackage: foo\n", "schema: olm.bundle\npackage: bar\n"), want: []string{`unknown package "bar" for bundle "foo.v1"`}},
		"va-03 a bundle in no channel":            {text: good + strings.ReplaceAll(strings.ReplaceAll(bundleFoo, "foo.v1", "foo.v2"), "1.0.0", "2.0.0"), want: []string{`package "foo", bundle "foo.v2" not found in any channel entries`}},
		"va-04 an entry without a bundle":         {text: edited("[{name: foo.v1}]", "[{name: foo.v1}, {name: foo.v2, replaces: foo.v1}]"), want: []string{`no olm.bundle blobs found in package "foo" for olm.channel entries [foo.v2]`}},
		"va-06 the property of another package":   {text: edited("packageName: foo", "packageName: bar"), want: []string{`package "foo" does not match "olm.package" property "bar"`}},
		"va-07 no version":                        {text: edited(", version: 1.0.0", ""), want: []string{`error parsing bundle "foo.v1" version ""`}},
		"va-07 four numbers":                      {text: edited("version: 1.0.0", "version: 1.0.0.1"), want: []string{`version "1.0.0.1"`}},
		"va-08 no identity":                       {text: edited("[{type: olm.package, value: {packageName: foo, version: 1.0.0}}]", "[]"), want: []string{`must have exactly 1 "olm.package" property, found 0`}},
		"va-08 two identities":                    {text: edited("properties: [", "properties: [{type: olm.package, value: {packageName: foo, version: 1.0.1}}, "), want: []string{`must have exactly 1 "olm.package" property, found 2`}},
		"va-09 no default channel":                {text: edited("defaultChannel: alpha\n", ""), want: []string{"default channel must be set"}},
		"va-10 an unknown default channel":        {text: edited("defaultChannel: alpha", "defaultChannel: beta"), want: []string{`default channel "beta" not found in channels list`}},
		"va-11 objects instead of an image":       {text: edited(image, `image: ""`, "properties: [", "properties: [{type: olm.bundle.object, value: {data: "+object+"}}, ")},
		"va-12 neither objects nor image":         {text: edited(image, `image: ""`), want: []string{"bundle image must be set"}},
		"va-13 a channel without a name":          {text: good + "---\nschema: olm.channel\npackage: foo\n", want: []string{`package "foo" contains channel with no name`}},
		"va-13 a channel without a package":       {text: good + "---\nschema: olm.channel\nname: c\n", want: []string{`unknown package "" for channel "c"`}},
		"va-14 a package twice":                   {text: good + pkgFoo, want: []string{`duplicate package "foo"`}},
		"va-14 a channel twice":                   {text: good + channelFoo, want: []string{`package "foo" has duplicate channel "alpha"`}},
		"va-14 a bundle twice":                    {text: good + bundleFoo, want: []string{`package "foo" has duplicate bundle "foo.v1"`}},
		"va-14 an entry twice":                    {text: edited("[{name: foo.v1}]", "[{name: foo.v1}, {name: foo.v1}]"), want: []string{`duplicate entry "foo.v1"`}},
		"va-15 a name with dots":                  {text: strings.ReplaceAll(good, "foo", "foo.bar"), want: []string{"must not contain dots"}},
		"va-16 properties of package and channel": {text: edited("defaultChannel: alpha", "defaultChannel: alpha\nproperties: [{type: x, value: 1}]", "entries:", "properties: [{type: z, value: 2}]\nentries:")},
		"va-17 a version twice": {
			text: edited("[{name: foo.v1}]", "[{name: foo.v1}, {name: foo.v2, replaces: foo.v1}]") + strings.ReplaceAll(bundleFoo, "foo.v1", "foo.v2"),
			want: []string{"duplicate versions found in bundles: [{1.0.0: [foo.v1, foo.v2]}]"},
		},
		"va-18 two bundles of a version and a release": {
			text: edited("[{name: foo.v1}]", "[{name: foo-v1.0.0-1}, {name: foo-v1.0.0-2, replaces: foo-v1.0.0-1}, {name: foo.v1, replaces: foo-v1.0.0-2}]") +
				released("foo-v1.0.0-1", "1") + released("foo-v1.0.0-2", "1"),
			want: []string{"duplicate versions found in bundles: [{1.0.0-1: [foo-v1.0.0-1, foo-v1.0.0-2]}]"},
		},
		"va-18 two releases of a version": {
			text: edited("[{name: foo.v1}]", "[{name: foo-v1.0.0-1}, {name: foo-v1.0.0-2, replaces: foo-v1.0.0-1}, {name: foo.v1, replaces: foo-v1.0.0-2}]") +
				released("foo-v1.0.0-1", "1") + released("foo-v1.0.0-2", "2"),
		},
		"va-19 the name does not say the release":       {text: edited("version: 1.0.0", `version: 1.0.0, release: "1"`), want: []string{`does not match normalized name "foo-v1.0.0-1"`}},
		"va-20 the name says the release":               {text: strings.ReplaceAll(edited("version: 1.0.0", `version: 1.0.0, release: "1"`), "foo.v1", "foo-v1.0.0-1")},
		"va-21 a release beside build metadata":         {text: edited("version: 1.0.0", `version: 1.0.0+a, release: "1"`), want: []string{"cannot use build metadata in version with a release version"}},
		"va-22 a release with a leading zero":           {text: edited("version: 1.0.0", `version: 1.0.0, release: "01"`), want: []string{`invalid release "01"`}},
		"va-22 a release with an underline":             {text: edited("version: 1.0.0", `version: 1.0.0, release: alpha_beta`), want: []string{`invalid release "alpha_beta"`}},
		"va-22 a long release":                          {text: edited("version: 1.0.0", `version: 1.0.0, release: "`+strings.Repeat("1", 21)+`"`), want: []string{"exceeds maximum length of 20"}},
		"va-23 an unknown algorithm":                    {text: edited("example.com/foo:v1", "example.com/foo@md5:"+strings.Repeat("a", 32)), want: []string{"invalid image pull spec"}},
		"va-23 a misspelt algorithm":                    {text: edited("example.com/foo:v1", "example.com/foo@ssha256:"+strings.Repeat("a", 64)), want: []string{"invalid image pull spec"}},
		"va-23 a related image":                         {text: edited(image, image+"\nrelatedImages: [{name: x, image: 'a b'}]"), want: []string{`relatedImages[0].image: invalid image pull spec "a b"`}},
		"va-24 a digest":                                {text: edited("example.com/foo:v1", "example.com/foo:v1@sha256:"+strings.Repeat("a", 64))},
		"va-25 an empty skip":                           {text: edited("{name: foo.v1}", `{name: foo.v1, skips: [""]}`), want: []string{"skip[0] is empty"}},
		"va-26 a range":                                 {text: edited("{name: foo.v1}", `{name: foo.v1, skipRange: <0.2.0}`)},
		"va-27 a range with v":                          {text: edited("{name: foo.v1}", `{name: foo.v1, skipRange: <v0.2.0}`), want: []string{`invalid skipRange "<v0.2.0"`}},
		"va-28 a related image without image":           {text: edited(image, image+"\nrelatedImages: [{name: x, image: ''}]")},
		"va-29 an icon that is none":                    {text: edited("defaultChannel: alpha", "defaultChannel: alpha\nicon: {base64data: eA==, mediatype: text/plain}")},
		"va-30 deprecations without a package":          {text: good + "---\nschema: olm.deprecations\n", want: []string{"package name must be set for deprecation item 0"}},
		"va-31 the deprecation of an unknown bundle":    {text: good + deprecation("olm.bundle", "nope", "x"), want: []string{`cannot deprecate bundle "nope" for package "foo": bundle not found`}},
		"va-31 the deprecation of an unknown channel":   {text: good + deprecation("olm.channel", "nope", "x"), want: []string{`cannot deprecate channel "nope" for package "foo": channel not found`}},
		"va-31 deprecations of an unknown package":      {text: good + "---\nschema: olm.deprecations\npackage: bar\n", want: []string{`cannot apply deprecations to an unknown package "bar"`}},
		"va-32 two deprecations":                        {text: good + deprecation("olm.package", "", "x") + deprecation("olm.package", "", "x"), want: []string{"expected a maximum of one deprecation per package"}},
		"va-32 the deprecation of something else":       {text: good + deprecation("olm.other", "x", "x"), want: []string{"object schema unknown"}},
		"va-32 the deprecation of a package by name":    {text: good + deprecation("olm.package", "foo", "x"), want: []string{`package name must be empty for deprecated package "foo" (specified "foo")`}},
		"va-33 a deprecation without a message":         {text: good + deprecation("olm.bundle", "foo.v1", ""), want: []string{"invalid deprecation: message must be set"}},
		"va-34 the same bundle name in two packages":    {text: good + strings.NewReplacer("package: foo", "package: bar", "name: foo\n", "name: bar\n", "packageName: foo", "packageName: bar").Replace(good)},
		"va-35 two olm.csv.metadata":                    {text: edited("properties: [", "properties: [{type: olm.csv.metadata, value: {}}, {type: olm.csv.metadata, value: {}}, "), want: []string{"expected at most 1 property"}},
		"pr-01 a property without a type":               {text: edited("properties: [", "properties: [{value: 1}, "), want: []string{"type must be set"}},
		"pr-01 a property without a value":              {text: edited("properties: [", "properties: [{type: x}, "), want: []string{"value must be set"}},
		"pr-02 a property that is not what it promises": {text: edited("properties: [", "properties: [{type: olm.gvk, value: []}, "), want: []string{`parse property[0] of type "olm.gvk"`}},
		"pr-02 an object that is none":                  {text: edited("properties: [", "properties: [{type: olm.bundle.object, value: {data: '!'}}, "), want: []string{"parse property at index 0 as bundle object"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { expect(t, fstest.MapFS{"catalog.yaml": {Data: []byte(test.text)}}, test.want) })
	}
}

// released is a bundle of version 1.0.0 with a release.
func released(name, release string) string {
	return "---\nschema: olm.bundle\npackage: foo\nname: " + name + "\nimage: example.com/foo:" + name +
		"\nproperties: [{type: olm.package, value: {packageName: foo, version: 1.0.0, release: '" + release + "'}}]\n"
}

func deprecation(schema, name, message string) string {
	return "---\nschema: olm.deprecations\npackage: foo\nentries: [{reference: {schema: " + schema + ", name: '" + name + "'}, message: '" + message + "'}]\n"
}

func expect(t *testing.T, fsys fs.FS, want []string) {
	t.Helper()
	var err error
	for _, err = range registry.Validated(fbc.FS(fsys, "dir")).Items(t.Context()) {
		if err != nil {
			break
		}
	}
	if len(want) == 0 && err != nil {
		t.Errorf("error %v, want none", err)
	}
	for _, text := range want {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v does not say %q", err, text)
		}
	}
}

// TestLoading runs the scenarios ld-01 … ld-23.
func TestLoading(t *testing.T) {
	json := `{"schema":"olm.package","name":"foo","defaultChannel":"alpha"}`
	file := func(text string) map[string]string { return map[string]string{"catalog.yaml": text} }
	tests := map[string]struct {
		files map[string]string
		want  []string
	}{
		"ld-01 text that is no object":     {files: file(good + "---\nhello world\n"), want: []string{"must be an object"}},
		"ld-02 an array":                   {files: file("[1, 2]\n"), want: []string{"must be an object"}},
		"ld-03 no schema":                  {files: file(good + "---\nname: x\n"), want: []string{"is missing root schema field"}},
		"ld-04 a field of another type":    {files: file(edited("defaultChannel: alpha", "defaultChannel: [1]")), want: []string{"parse package"}},
		"ld-04 a bundle of another type":   {files: file(edited("image: example.com/foo:v1", "image: {}")), want: []string{"parse bundle"}},
		"ld-05 an unknown schema":          {files: file(good + "---\nschema: custom\nanything: 1\n")},
		"ld-06 several files":              {files: map[string]string{"a/p.yaml": pkgFoo, "b/c/c.yaml": channelFoo, "b.json": `{"schema":"olm.bundle","package":"foo","name":"foo.v1","image":"x","properties":[{"type":"olm.package","value":{"packageName":"foo","version":"1.0.0"}}]}`}},
		"ld-08 an empty file":              {files: map[string]string{"catalog.yaml": good, "empty.yaml": ""}},
		"ld-09 only comments":              {files: map[string]string{"catalog.yaml": good, "c.yaml": "# nothing\n"}, want: []string{"object '' is missing root schema field"}},
		"ld-09 null":                       {files: file(good + "---\nnull\n"), want: []string{"object '' is missing root schema field"}},
		"ld-09 nothing between separators": {files: file(good + "---\n---\nschema: custom\n"), want: []string{"object '' is missing root schema field"}},
		"ld-10 a separator at the end":     {files: file(good + "---\n")},
		"ld-11 a README":                   {files: map[string]string{"catalog.yaml": good, "README.md": "# Hello\n\nthis: is: text\n"}, want: []string{"dir/README.md", ".indexignore"}},
		"ld-12 files that are ignored": {files: map[string]string{
			"catalog.yaml": good, ".indexignore": "docs\n*.md\n/top.txt\n", "docs/a.txt": "x", "README.md": "x", "a/b.md": "x", "top.txt": "x",
		}},
		"ld-12 a directory that is ignored":  {files: map[string]string{"catalog.yaml": good, ".indexignore": "# c\ndocs/\n", "a/docs/b/c.txt": "x"}},
		"ld-12 a file that is not ignored":   {files: map[string]string{"catalog.yaml": good, ".indexignore": "*.md\n", "a/.indexignore": "!keep.md\n", "a/keep.md": "hello"}, want: []string{"dir/a/keep.md"}},
		"ld-12 only what is anchored":        {files: map[string]string{"catalog.yaml": good, ".indexignore": "/x.txt\n", "a/x.txt": "hello"}, want: []string{"dir/a/x.txt"}},
		"ld-13 a hidden file":                {files: map[string]string{".hidden.yaml": good}},
		"ld-15 keys in other letters":        {files: file(strings.NewReplacer("schema:", "Schema:", "name: foo\n", "NAME: foo\n").Replace(good))},
		"ld-16 keys that are the same":       {files: file(edited("name: foo\n", "name: foo\nName: foo\n")), want: []string{`duplicate keys for key "name": [Name name]`}},
		"ld-17 a key twice":                  {files: file(edited("defaultChannel: alpha", "defaultChannel: beta\ndefaultChannel: alpha"))},
		"ld-18 a schema that is a number":    {files: file("schema: 5\n"), want: []string{`expected value for key "schema" to be a string, got 5`}},
		"ld-18 a name that is a boolean":     {files: file(good + "---\nschema: custom\nname: yes\n"), want: []string{`expected value for key "name" to be a string, got true`}},
		"ld-19 objects without a line break": {files: map[string]string{"a.json": json + `{"schema":"custom"}` + "\n" + `{"schema":"custom","a":"}{\"["}`, "b.yaml": channelFoo + bundleFoo}},
		"ld-20 YAML behind JSON":             {files: map[string]string{"a.json": json + "\n---\nschema: custom\n", "b.yaml": channelFoo + bundleFoo}, want: []string{"dir/a.json"}},
		"ld-21 a letter that is a boolean":   {files: file(edited("properties: [", "properties: [{type: olm.gvk.required, value: {group: g, kind: Y, version: v1}}, ")), want: []string{`parse property[0] of type "olm.gvk.required": json: cannot unmarshal bool`}},
		"ld-22 a schema with a slash":        {files: file(good + "---\nschema: foo/bar\n"), want: []string{"invalid custom schema meta"}},
		"ld-23 broken JSON":                  {files: map[string]string{"a.json": json + "\n{\n \"schema\": \"x\",\n \"a\" 1}"}, want: []string{"dir/a.json:4", `after`, "commas"}},
		"a line of three dashes in a text":   {files: file(good + "---\nschema: custom\ntext: |\n  a\n  ---\n  b\n")},
		"a document on the separator's line": {files: file("--- {schema: custom}\n" + good)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for name, text := range test.files {
				fsys[name] = &fstest.MapFile{Data: []byte(text)}
			}
			expect(t, fsys, test.want)
		})
	}
}

// TestDirectories covers what only a real directory has: ld-07, ld-14.
func TestDirectories(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(t.TempDir(), "catalog.yaml")
	if err := os.WriteFile(real, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, filepath.Join(dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "..data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "..data", "catalog.yaml"), []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, "..2026_01_01")); err != nil {
		t.Fatal(err)
	}
	packages := 0
	for item, err := range registry.Validated(fbc.Dir(dir)).Items(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Package != nil {
			packages++
		}
	}
	if packages != 1 {
		t.Errorf("read %d packages through a link, want 1", packages)
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, "linked")); err != nil {
		t.Fatal(err)
	}
	expect(t, os.DirFS(dir), []string{"linked", "is a directory"})
	for _, err := range fbc.Dir(filepath.Join(dir, "nowhere")).Items(t.Context()) {
		if failure.KindOf(err) != failure.NotFound {
			t.Errorf("a directory that is not there: %v, want kind NotFound", err)
		}
	}
}

// FuzzCatalog reads any text; what is valid must survive writing.
func FuzzCatalog(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"schema":"olm.package","name":"foo"}{"schema":"x"}`))
	f.Add([]byte("--- {schema: custom}\n---\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for item, err := range registry.Validated(fbc.FS(fstest.MapFS{"c": {Data: text}}, "dir")).Items(t.Context()) {
			if err != nil && err.Error() == "" {
				t.Fatal("an error without words")
			}
			if err == nil && item.Bundle == nil && item.Package == nil && item.Blob == nil {
				t.Fatal("an item of nothing")
			}
		}
	})
}
