package fbc

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

// Edit puts a blob into a catalog, in the place of the one of the same schema,
// package and name, or removes it.
type Edit struct {
	schema, pkg, name string
	blob              any // nil removes it
}

// EditChannel sets a channel.
func EditChannel(pkg string, ch registry.Channel) Edit {
	return Edit{schemaChannel, pkg, ch.Name, channelBlobOf(pkg, ch)}
}

// EditPackage sets a package, without its channels.
func EditPackage(p registry.Package) Edit {
	return Edit{schemaPackage, p.Name, p.Name, packageBlobOf(p)}
}

// EditBundle sets a bundle.
func EditBundle(b registry.Bundle) Edit {
	return Edit{schemaBundle, b.Package, b.Name, bundleBlobOf(b)}
}

// RemoveBundle removes a bundle.
func RemoveBundle(pkg, name string) Edit { return Edit{schema: schemaBundle, pkg: pkg, name: name} }

// EditDeprecations sets everything that is deprecated in a package. Messages
// of bundles are by name.
func EditDeprecations(p registry.Package, bundles map[string]string) Edit {
	d := deprecationsBlob{Schema: schemaDeprecations, Package: p.Name}
	d.add(schemaPackage, "", p.Deprecation)
	for _, ch := range p.Channels {
		d.add(schemaChannel, ch.Name, ch.Deprecation)
	}
	for _, name := range slices.Sorted(maps.Keys(bundles)) {
		d.add(schemaBundle, name, bundles[name])
	}
	if len(d.Entries) == 0 {
		return Edit{schema: schemaDeprecations, pkg: p.Name}
	}
	return Edit{schemaDeprecations, p.Name, "", d}
}

// matches reports whether a blob is the one that the edit is about.
func (e Edit) matches(m meta) bool {
	pkg := m.pkg
	if m.schema == schemaPackage {
		pkg = m.name
	}
	return m.schema == e.schema && pkg == e.pkg && (m.name == e.name || e.schema == schemaDeprecations)
}

// Rewrite edits the catalog in a directory and returns the files that it has
// changed. Of several edits of a blob the last one counts. Documents that no edit
// is about stay as they are, byte for byte. New ones go behind those of their
// package, or into a directory of its name. A file without a document is removed.
func Rewrite(dir string, edits []Edit) (changed []string, err error) {
	names, err := files(os.DirFS(dir))
	if err != nil && failure.KindOf(err) != failure.NotFound {
		return nil, err
	}
	r := rewriter{dir: dir, edits: lastOfEach(edits), texts: map[string][]byte{}, home: map[string]string{}}
	r.done = make([]bool, len(r.edits))
	for _, name := range names {
		if err := r.file(name); err != nil {
			return nil, err
		}
	}
	if err := r.appendNew(); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(r.texts)) {
		path := filepath.Join(dir, name)
		if len(r.texts[name]) == 0 {
			err = os.Remove(path)
		} else {
			err = replaceFile(path, r.texts[name])
		}
		if err != nil {
			return nil, err
		}
		changed = append(changed, path)
	}
	return changed, nil
}

// rewriter is a catalog while it is edited.
type rewriter struct {
	dir   string
	edits []Edit
	done  []bool
	texts map[string][]byte // of changed files
	home  map[string]string // file of each package
}

// file applies the edits to the documents of a file.
func (r *rewriter) file(name string) error {
	docs, err := read(filepath.Join(r.dir, name))
	if err != nil {
		return err
	}
	touched := false
	var kept []document
	for _, doc := range docs {
		m, err := parseMeta(doc)
		if err != nil {
			return failure.New(failure.Invalid, "%s: %v", where(filepath.Join(r.dir, name), doc.line), err).WithHint("`catalog validate` says more")
		}
		if m.schema == schemaPackage {
			r.home[m.name] = name
		}
		j := slices.IndexFunc(r.edits, func(e Edit) bool { return e.matches(m) })
		if j >= 0 {
			touched, r.done[j] = true, true
			if r.edits[j].blob == nil {
				continue
			}
			if doc.text, err = blobText(r.edits[j].blob, doc.json); err != nil {
				return err
			}
		}
		kept = append(kept, doc)
	}
	if touched {
		r.texts[name] = join(kept)
	}
	return nil
}

// lastOfEach keeps one edit of every blob.
func lastOfEach(edits []Edit) []Edit {
	last := map[[3]string]int{}
	for i, e := range edits {
		last[[3]string{e.schema, e.pkg, e.name}] = i
	}
	var kept []Edit
	for i, e := range edits {
		if last[[3]string{e.schema, e.pkg, e.name}] == i {
			kept = append(kept, e)
		}
	}
	return kept
}

// appendNew adds the blobs that are not in the catalog yet.
func (r *rewriter) appendNew() error {
	for j, e := range r.edits {
		if r.done[j] || e.blob == nil {
			continue
		}
		name, ok := r.home[e.pkg]
		if !ok {
			name = filepath.Join(e.pkg, "catalog.yaml")
			r.home[e.pkg] = name
		}
		text, ok := r.texts[name]
		if !ok {
			var err error
			if text, err = os.ReadFile(filepath.Join(r.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		isJSON := bytes.HasPrefix(bytes.TrimSpace(text), []byte("{"))
		added, err := blobText(e.blob, isJSON)
		if err != nil {
			return err
		}
		if len(text) > 0 && text[len(text)-1] != '\n' {
			text = append(text, '\n')
		}
		if !isJSON {
			text = append(text, "---\n"...)
		}
		r.texts[name] = append(text, added...)
	}
	return nil
}

// blobText writes a blob without a separator.
func blobText(blob any, isJSON bool) ([]byte, error) { //nolint:revive // not a mode: what the file is
	format := YAML
	if isJSON {
		format = JSON
	}
	var buf bytes.Buffer
	err := encoders[format](&buf, blob)
	return bytes.TrimPrefix(buf.Bytes(), []byte("---\n")), err
}

// read returns the documents of a file.
func read(path string) ([]document, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	var docs []document
	for doc, err := range documents(f) {
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

// join puts the documents of a file together again.
func join(docs []document) []byte {
	var buf bytes.Buffer
	for i, doc := range docs {
		if !doc.json && (i > 0 || doc.line > 1) {
			buf.WriteString("---\n")
		}
		text := doc.text
		if doc.json {
			text = bytes.TrimLeft(text, "\n")
		}
		buf.Write(text)
		if !bytes.HasSuffix(text, []byte("\n")) {
			buf.WriteByte('\n')
		}
	}
	return buf.Bytes()
}

func replaceFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+strings.TrimPrefix(filepath.Base(path), ".")+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(text)
	if err := errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
