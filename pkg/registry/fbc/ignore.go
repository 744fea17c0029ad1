package fbc

import (
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

func matchSegments(pattern, names []string) bool {
	if len(pattern) == 0 {
		return len(names) == 0
	}
	if pattern[0] == "**" {
		for n := range len(names) + 1 {
			if matchSegments(pattern[1:], names[n:]) {
				return true
			}
		}
		return false
	}
	if len(names) == 0 {
		return false
	}
	ok, err := path.Match(pattern[0], names[0])
	return err == nil && ok && matchSegments(pattern[1:], names[1:])
}
