package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"k8s.io/apimachinery/pkg/util/wait"

	"chandler.dev/olm/pkg/registry/oci"
)

// settleTime is how long files must rest before they are read again: an editor
// or a copy writes more than once.
const settleTime = 200 * time.Millisecond

// watch serves the content of a file or a directory again whenever it changes.
// Content that is invalid is not served; the one before stays.
func (s *server) watch(ctx context.Context, one served) error {
	at, err := placeOf(one.arg)
	if err != nil || at == remoteAddress {
		return err
	}
	if at == imageReference {
		return s.poll(ctx, one)
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close() //nolint:errcheck // nothing can be done
	isDir := at == fbcDirectory || at == bundleTree || at == legacyTree
	if err := observe(watcher, one.arg, isDir); err != nil {
		return err
	}
	timer := s.clock.NewTimer(settleTime)
	timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-watcher.Events:
			if !isDir && filepath.Clean(event.Name) != filepath.Clean(one.arg) {
				continue
			}
			if event.Has(fsnotify.Create) && isDir {
				_ = observe(watcher, event.Name, true) // a file, or gone again
			}
			timer.Reset(settleTime)
		case err := <-watcher.Errors:
			s.log.Warn("watching files", "catalog", one.arg, "error", err)
			timer.Reset(settleTime)
		case <-timer.C():
			s.reload(ctx, one)
		}
	}
}

// pollInterval is how often the digest of an image is compared. Servers of the
// same image do not ask at the same time.
const (
	pollInterval = 5 * time.Minute
	pollJitter   = 0.2
)

// poll serves an image again whenever its digest changes.
func (s *server) poll(ctx context.Context, one served) error {
	digest := ""
	for {
		image, err := oci.Open(ctx, one.arg, s.options.images)
		switch {
		case err != nil:
			s.log.Warn("asking for the digest of the image", "catalog", one.arg, "error", err)
		case digest != "" && digest != image.Digest:
			s.reload(ctx, one)
			fallthrough
		default:
			digest = image.Digest
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.clock.After(wait.Jitter(pollInterval, pollJitter)):
		}
	}
}

// observe adds a directory with all below it, or the directory of a file.
func observe(watcher *fsnotify.Watcher, arg string, isDir bool) error { //nolint:revive // not a mode: what the path is
	if !isDir {
		return watcher.Add(filepath.Dir(arg))
	}
	err := filepath.WalkDir(arg, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return watcher.Add(path)
	})
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// reload serves new content, or says why not.
func (s *server) reload(ctx context.Context, one served) {
	if err := s.load(ctx, one); err != nil {
		s.metrics.reloads.WithLabelValues("failed").Inc()
		s.log.Error("the new content is not served, the old one stays", "catalog", one.arg, "error", err)
		return
	}
	s.metrics.reloads.WithLabelValues("done").Inc()
	s.log.Info("serving new content", "catalog", one.arg)
}
