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

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry/oci"
)

// settleTime is how long files must rest before they are read again: an editor
// or a copy writes more than once.
const settleTime = 200 * time.Millisecond

// watch serves the content of a file or a directory again whenever it changes.
// Content that is invalid is not served; the one before stays.
func (s *server) watch(ctx context.Context, one served, digest string) error {
	at, err := placeOf(one.arg)
	if err != nil || at == remoteAddress {
		return err
	}
	if at == imageReference {
		return s.poll(ctx, one, digest)
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
			_ = s.reload(ctx, one) // it says why; the next change is another chance
		}
	}
}

// Servers of the same image do not ask for its digest at the same time.
const (
	defaultPollInterval = 5 * time.Minute
	pollJitter          = 0.2
)

// digestOf returns the digest of an image that will be watched, before it is
// loaded: what moves in between is noticed. It is empty if it is not known.
func (s *server) digestOf(ctx context.Context, one served) string {
	at, err := placeOf(one.arg)
	if err != nil || at != imageReference || !s.options.watch {
		return ""
	}
	image, err := oci.Open(ctx, one.arg, s.options.images)
	if err != nil {
		return "" // loading says why
	}
	return image.Digest
}

// poll serves an image again whenever its digest changes from the one given.
// Content that is invalid is looked at once, anything else that fails again
// and again.
func (s *server) poll(ctx context.Context, one served, digest string) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.clock.After(wait.Jitter(s.options.pollInterval, pollJitter)):
		}
		image, err := oci.Open(ctx, one.arg, s.options.images)
		if err != nil {
			s.log.Warn("asking for the digest of the image", "catalog", one.arg, "error", err)
			continue
		}
		if image.Digest == digest {
			continue
		}
		if err := s.reload(ctx, one); err == nil || failure.KindOf(err) == failure.Invalid {
			digest = image.Digest
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
func (s *server) reload(ctx context.Context, one served) error {
	if err := s.load(ctx, one); err != nil {
		s.metrics.reloads.WithLabelValues("failed").Inc()
		s.log.Error("the new content is not served, the old one stays", "catalog", one.arg, "error", err)
		return err
	}
	s.metrics.reloads.WithLabelValues("done").Inc()
	s.log.Info("serving new content", "catalog", one.arg)
	return nil
}
