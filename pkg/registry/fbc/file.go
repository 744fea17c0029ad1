package fbc

import (
	"io/fs"
	"os"
	"path/filepath"

	"chandler.dev/olm/pkg/registry"
)

// File returns the catalog in one file as a source.
func File(path string) registry.Source {
	return FS(oneFile{os.DirFS(filepath.Dir(path)), filepath.Base(path)}, filepath.Dir(path))
}

// oneFile is a file system of which only one file can be seen.
type oneFile struct {
	fs.FS

	name string
}

func (f oneFile) ReadDir(dir string) ([]fs.DirEntry, error) {
	info, err := fs.Stat(f.FS, f.name)
	if err != nil {
		return nil, err
	}
	return []fs.DirEntry{fs.FileInfoToDirEntry(info)}, nil
}
