package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

// Kept is an index that is kept in a directory, so that it need not be made
// again while its source is the same. Beside the file NAME.db there is
// NAME.json, which says what it was made of. Other files there are left alone;
// both may be copied, and read by others than who wrote them.
type Kept struct {
	Dir, Name string
	Source    string // fingerprint of the source; empty if nobody knows it now
	From      string // what the source is called; says whose index it is as long as nobody knows the fingerprint
}

// origin is what is written beside an index.
type origin struct {
	Source string `json:"source"` // fingerprint
	Digest string `json:"digest"` // of the content
	From   string `json:"from"`
}

func (k Kept) path() string   { return filepath.Join(k.Dir, k.Name+".db") }
func (k Kept) beside() string { return filepath.Join(k.Dir, k.Name+".json") }

// Open returns the index if it is whole and was made of the source. NotFound if
// there is none; Invalid if it has to be made again, and why.
func (k Kept) Open(ctx context.Context) (*Store, error) {
	text, err := os.ReadFile(k.beside())
	if errors.Is(err, os.ErrNotExist) {
		return nil, failure.New(failure.NotFound, "no index is kept in %q", k.Dir)
	}
	if err != nil {
		return nil, err
	}
	var made origin
	if err := json.Unmarshal(text, &made); err != nil {
		return nil, failure.New(failure.Invalid, "%q does not say what the index was made of", k.beside())
	}
	switch {
	case k.Source == "" && made.From != k.From:
		return nil, failure.New(failure.Invalid, "the index was made of %q", made.From)
	case k.Source != "" && made.Source != k.Source:
		return nil, failure.New(failure.Invalid, "the source has changed since the index was made")
	}
	store, err := Open(ctx, k.path())
	if err != nil {
		return nil, err
	}
	if store.digest != made.Digest {
		return nil, errors.Join(failure.New(failure.Invalid, "index %q was not made of its source", k.path()), store.Close())
	}
	return store, nil
}

// Create makes the index of a source, keeps it and opens it.
func (k Kept) Create(ctx context.Context, src registry.Source) (*Store, error) {
	if err := Create(ctx, k.path(), src); err != nil {
		return nil, err
	}
	store, err := Open(ctx, k.path())
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(origin{Source: k.Source, Digest: store.digest, From: k.From})
	if err == nil {
		err = replace(k.beside(), append(text, '\n'))
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// replace writes a file that appears when it is complete.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
