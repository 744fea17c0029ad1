package fbc

import (
	"errors"
	"io/fs"
	"strings"

	"chandler.dev/olm/pkg/failure"
)

// files returns the names of the files of a catalog below the root of fsys, in
// lexical order. Names that begin with two dots are the inner workings of a
// volume that Kubernetes has mounted.
func files(fsys fs.FS) ([]string, error) {
	var (
		names  []string
		ignore []pattern
	)
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if strings.HasPrefix(entry.Name(), "..") {
				return fs.SkipDir
			}
			more, err := readPatterns(fsys, name)
			if ignore = append(ignore, more...); len(ignore) > maxPatterns {
				return tooMuch("the ignore files have more than %d lines", maxPatterns)
			}
			return err
		case strings.HasPrefix(entry.Name(), ".."), entry.Name() == ignoreFile:
			return nil
		}
		names = append(names, name)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failure.New(failure.NotFound, "the catalog directory does not exist").WithHint("check the path")
	}
	var kept []string
	for _, name := range names {
		if !ignored(ignore, name) {
			kept = append(kept, name)
		}
	}
	return kept, err
}
