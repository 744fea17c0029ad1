package oci

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/failure"
)

// Limits of what is unpacked.
const (
	defaultMaxBytes = 8 << 30 // of the layers, decompressed; most of it may be a program that is not wanted
	maxWritten      = 2 << 30 // of the files that are wanted
	maxFiles        = 100_000 // with their directories
	maxPath         = 1024    // letters of a name
	maxDepth        = 64      // directories in a name
	maxLinks        = 16      // in a chain
)

const (
	whiteout = ".wh."         // before the name of what a layer removes
	opaque   = ".wh..wh..opq" // in a directory of which nothing below shall be seen
	reserved = ".wh..wh."     // before what is of no interest to readers
)

func (i *Image) limit() int64 { return cmp.Or(i.options.MaxBytes, defaultMaxBytes) }

// Unpack writes the files of an image below any of some directories (all if
// there are none) into dir. Devices are left out; links to files become those
// files. failure.Invalid if the image has a name that leads out of it, a link
// to what is not unpacked, or is larger than it may be.
func (i *Image) Unpack(ctx context.Context, dir string, below ...string) error {
	cache := i.options.CacheDir
	if cache == "" {
		var err error
		if cache, err = os.MkdirTemp("", "catalog-layers-"); err != nil {
			return err
		}
		defer os.RemoveAll(cache) //nolint:errcheck // it is temporary
	}
	layers, err := i.layers()
	if err != nil {
		return err
	}
	files := make([]string, len(layers))
	for n, layer := range layers {
		if files[n], err = i.fetch(ctx, layer, cache); err != nil {
			return err
		}
	}
	root, err := os.OpenRoot(dir) // no name leads out of it
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // only a handle
	u := newUnpacker(root, i.limit(), below)
	for _, file := range slices.Backward(files) { // what is higher hides what is lower
		if err := u.layer(ctx, file); err != nil {
			return i.invalid(err)
		}
	}
	return i.invalid(u.link())
}

var (
	errTooLarge = errors.New("too large")
	errFiles    = failure.New(failure.Invalid, "it has more than %d files", maxFiles)
)

// invalid says which image is to blame.
func (i *Image) invalid(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, errTooLarge) {
		return i.tooLarge()
	}
	if found, ok := errors.AsType[*failure.Error](err); ok {
		return failure.New(found.Kind, "image %q cannot be unpacked: %s", i.Ref, found.Message).WithHint("%s", cmp.Or(found.Hint, "it is no catalog, or it is broken"))
	}
	e := failure.New(failure.Invalid, "image %q cannot be unpacked", i.Ref).WithHint("pull it with another tool to see whether it is broken")
	e.Err = err
	return e
}

// unpacker unpacks layers from the highest to the lowest.
type unpacker struct {
	root  *os.Root
	below []string
	// left are the bytes that layers may still have, space those that files may
	// still have, of so many.
	left, space, limit int64
	entries            int
	links              map[string]string // targets of links by name
	made               map[string]bool   // directories

	// What the layers above, and the one that is read, say of a name.
	above, here names
}

// names are what layers say of names.
type names struct {
	files map[string]bool // there is something that is no directory, or nothing
	dirs  map[string]bool
	bare  map[string]bool // directories of which nothing below shall be seen
}

func newNames() names {
	return names{files: map[string]bool{}, dirs: map[string]bool{}, bare: map[string]bool{}}
}

func newUnpacker(root *os.Root, limit int64, below []string) *unpacker {
	space := min(limit, maxWritten)
	u := &unpacker{root: root, left: limit, space: space, limit: space, links: map[string]string{}, made: map[string]bool{}, above: newNames()}
	for _, dir := range below {
		u.below = append(u.below, clean(dir))
	}
	return u
}

func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// layer unpacks the file of a layer.
func (u *unpacker) layer(ctx context.Context, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	stream, err := decompressed(f)
	if err != nil {
		return err
	}
	defer stream.Close() //nolint:errcheck // only read
	u.here = newNames()
	in := tar.NewReader(&limited{Reader: stream, ctx: ctx, left: &u.left})
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			u.above.add(u.here)
			return nil
		}
		if err != nil {
			return err
		}
		if err := u.entry(header, in); err != nil {
			return err
		}
	}
}

func (n *names) add(other names) {
	for all, some := range map[*map[string]bool]map[string]bool{&n.files: other.files, &n.dirs: other.dirs, &n.bare: other.bare} {
		for name := range some {
			(*all)[name] = true
		}
	}
}

// limited fails when more is read than allowed, as a layer may decompress
// without end.
type limited struct {
	io.Reader

	ctx  context.Context //nolint:containedctx // readers know no other way
	left *int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.ctx.Err() != nil {
		return 0, l.ctx.Err()
	}
	n, err := l.Reader.Read(p)
	if *l.left -= int64(n); *l.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// entry takes one entry of an archive.
func (u *unpacker) entry(header *tar.Header, content io.Reader) error {
	relative := path.Clean(strings.TrimLeft(header.Name, "/"))
	if relative == ".." || strings.HasPrefix(relative, "../") {
		return failure.New(failure.Invalid, "the name %.100q leads out of it", header.Name).WithHint("do not use it, it may be an attack")
	}
	file := clean(header.Name)
	if dir, base := path.Split(file); strings.HasPrefix(base, whiteout) {
		return u.remove(path.Clean(dir), base)
	}
	if !u.wanted(file) || u.hidden(file) {
		return nil
	}
	if len(file) > maxPath {
		return failure.New(failure.Invalid, "the name %.50q… has more than %d letters", file, maxPath)
	}
	if strings.Count(file, "/") > maxDepth {
		return failure.New(failure.Invalid, "the name %.50q… has more than %d directories", file, maxDepth)
	}
	switch header.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return u.write(file, content)
	case tar.TypeDir:
		return u.note(u.here.dirs, file)
	case tar.TypeSymlink:
		target := header.Linkname
		if !path.IsAbs(target) {
			target = path.Join("/", path.Dir(file), target)
		}
		u.links[file] = clean(target)
	case tar.TypeLink:
		u.links[file] = clean(header.Linkname)
	default:
		return nil
	}
	return u.note(u.here.files, file)
}

// remove takes a whiteout in, which hides what is in lower layers.
func (u *unpacker) remove(dir, base string) error {
	hides, name := u.here.files, path.Join(dir, strings.TrimPrefix(base, whiteout))
	switch {
	case base == opaque:
		hides, name = u.here.bare, dir
	case strings.HasPrefix(base, reserved):
		return nil
	}
	if name == "." || len(name) > maxPath || !u.wanted(name) && !u.aboveWanted(name) {
		return nil
	}
	return u.note(hides, name)
}

// wanted reports whether a file is below the directories that are unpacked.
func (u *unpacker) wanted(file string) bool {
	return len(u.below) == 0 || slices.ContainsFunc(u.below, func(dir string) bool { return inside(dir, file) })
}

// aboveWanted reports whether something wanted may be in a directory.
func (u *unpacker) aboveWanted(dir string) bool {
	return slices.ContainsFunc(u.below, func(wanted string) bool { return inside(dir, wanted) })
}

func inside(dir, file string) bool {
	return dir == "" || file == dir || len(file) > len(dir) && strings.HasPrefix(file, dir) && file[len(dir)] == '/'
}

// hidden reports whether a higher layer has something else in the place of a
// file, or removes it.
func (u *unpacker) hidden(file string) bool {
	if u.above.files[file] || u.above.dirs[file] {
		return true
	}
	for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
		if u.above.files[dir] || u.above.bare[dir] {
			return true
		}
	}
	return false
}

// note remembers a name, of which there may not be too many.
func (u *unpacker) note(names map[string]bool, name string) error {
	if names[name] {
		return nil
	}
	names[name] = true
	if u.entries++; u.entries > maxFiles {
		return errFiles
	}
	return nil
}

// parents makes the directories above a file.
func (u *unpacker) parents(file string) error {
	dir := path.Dir(file)
	for above := dir; above != "." && !u.here.dirs[above]; above = path.Dir(above) {
		if err := u.note(u.here.dirs, above); err != nil {
			return err
		}
	}
	if u.made[dir] {
		return nil
	}
	u.made[dir] = true
	return u.root.MkdirAll(dir, 0o755)
}

func (u *unpacker) write(file string, content io.Reader) error {
	if err := errors.Join(u.note(u.here.files, file), u.parents(file)); err != nil {
		return err
	}
	delete(u.links, file) // of the same layer
	out, err := u.root.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	// A sparse file is larger than the bytes that it has in the archive.
	n, err := io.Copy(out, io.LimitReader(content, u.space+1))
	if u.space -= n; u.space < 0 {
		err = failure.New(failure.Invalid, "its files have more than %d MB", u.limit/1e6)
	}
	return errors.Join(err, out.Close())
}

// link puts the files in place that links lead to.
func (u *unpacker) link() error {
	for _, name := range slices.Sorted(maps.Keys(u.links)) {
		target := u.links[name]
		for n := 0; u.links[target] != "" && n < maxLinks; n++ {
			target = u.links[target]
		}
		info, err := u.root.Lstat(target)
		if err != nil || !info.Mode().IsRegular() {
			return failure.New(failure.Invalid, "%q links to %q, which is no file of it that is read", name, "/"+u.links[name]).
				WithHint("put the file itself there")
		}
		if err := u.parents(name); err != nil {
			return err
		}
		if err := u.root.Link(target, name); err != nil {
			return err
		}
	}
	return nil
}
