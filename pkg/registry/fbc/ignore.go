package fbc

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const ignoreFile = ".indexignore"

// pattern is a line of an ignore file, in the syntax of gitignore.
type pattern struct {
	dir      string // of the ignore file, relative to the root
	segments []string
	negated  bool
	dirsOnly bool
}

// readPatterns reads the ignore file of a directory, if there is one.
func readPatterns(fsys fs.FS, dir string) ([]pattern, error) {
	f, err := fsys.Open(path.Join(dir, ignoreFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, maxIgnore+1))
	if len(text) > maxIgnore {
		return nil, tooMuch("an ignore file is larger than %d bytes", maxIgnore)
	}
	return patterns(dir, string(text)), err
}

// patterns reads an ignore file in a directory.
func patterns(dir, text string) []pattern {
	var all []pattern
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n \t")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		p := pattern{dir: dir}
		line, p.negated = strings.CutPrefix(line, "!")
		line, p.dirsOnly = strings.CutSuffix(line, "/")
		line = strings.TrimPrefix(line, `\`)
		anchored := strings.Contains(line, "/")
		p.segments = strings.Split(strings.TrimPrefix(line, "/"), "/")
		if !anchored {
			p.segments = append([]string{"**"}, p.segments...)
		}
		all = append(all, p)
	}
	return all
}

// ignored reports whether the last pattern that matches a file, or a directory
// above it, excludes it.
func ignored(all []pattern, file string) bool {
	for _, p := range slices.Backward(all) {
		if p.matches(file) {
			return !p.negated
		}
	}
	return false
}

func (p pattern) matches(file string) bool {
	if p.dir != "." {
		rest, ok := strings.CutPrefix(file, p.dir+"/")
		if !ok {
			return false
		}
		file = rest
	}
	names := strings.Split(file, "/")
	for n := len(names); n > 0; n-- {
		isDir := n < len(names)
		if (isDir || !p.dirsOnly) && matchSegments(p.segments, names[:n]) {
			return true
		}
	}
	return false
}

// matchSegments tries a name at a time. After a mismatch it goes back to the
// last ** only, which takes one name more: enough, and it ends soon.
func matchSegments(pattern, names []string) bool {
	p, n := 0, 0
	back, backTo := -1, 0 // the last **, and the name from which it tries next
	for n < len(names) || p < len(pattern) {
		switch {
		case p < len(pattern) && pattern[p] == "**":
			back, backTo = p, n+1
			p++
		case p < len(pattern) && n < len(names) && matchName(pattern[p], names[n]):
			p, n = p+1, n+1
		case back >= 0 && backTo <= len(names):
			p, n = back+1, backTo
			backTo++
		default:
			return false
		}
	}
	return true
}

func matchName(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}
