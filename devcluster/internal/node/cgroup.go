package node

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"chandler.dev/olm/devcluster/internal/clock"
)

const (
	cgroups      = "/sys/fs/cgroup"
	cgroupParent = "chandler-devcluster"
	// cgroupPatience bounds how long killed processes may stay in their cgroups.
	cgroupPatience = 5 * time.Second
)

// Cgroup returns the name of the cgroup of the cluster in this folder, relative to the root of each hierarchy.
func Cgroup(folder string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(folder))
	return fmt.Sprintf("/%s/%016x", cgroupParent, h.Sum64())
}

// hierarchies returns the folders of the hierarchies: one with cgroup v2, one per controller with v1.
func hierarchies() ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroups, "cgroup.controllers")); err == nil {
		return []string{cgroups}, nil
	}
	found, err := filepath.Glob(filepath.Join(cgroups, "*", "cgroup.procs"))
	if err != nil || len(found) == 0 {
		return nil, fmt.Errorf("no cgroups below %s", cgroups)
	}
	var dirs []string
	for _, f := range found {
		dirs = append(dirs, filepath.Dir(f))
	}
	return dirs, nil
}

// makeCgroup creates the cgroup in every hierarchy.
func makeCgroup(name string) error {
	dirs, err := hierarchies()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		path := dir
		for _, element := range []string{cgroupParent, filepath.Base(name)} {
			path = filepath.Join(path, element)
			if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
				return fmt.Errorf("create cgroup: %w", err)
			}
			inherit(path)
		}
	}
	return nil
}

// inherit gives a new cgroup what its parent has, where the kernel does not do it by itself. Hierarchies differ in the
// files that they have, so a missing one is no error.
func inherit(path string) {
	parent := filepath.Dir(path)
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		if value, err := os.ReadFile(filepath.Join(parent, file)); err == nil && len(value) > 1 {
			_ = os.WriteFile(filepath.Join(path, file), value, 0o644)
		}
	}
	const delegated = "+cpuset +cpu +io +memory +hugetlb +pids"
	_ = os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte(delegated), 0o644)
}

// RemoveCgroup deletes what a dead node has left in the hierarchies.
func RemoveCgroup(name string) {
	dirs, err := hierarchies()
	if err != nil {
		return
	}
	deadline := clock.Now().Add(cgroupPatience)
	for _, dir := range dirs {
		for !removeTree(filepath.Join(dir, name)) && clock.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond) //nolint:forbidigo // processes that were killed take a moment to end
		}
		_ = syscall.Rmdir(filepath.Join(dir, cgroupParent)) // stays while another node has one
	}
}

// removeTree deletes a cgroup and those below it, and says whether they are gone.
func removeTree(path string) bool {
	entries, err := os.ReadDir(path)
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	for _, e := range entries {
		if e.IsDir() && !removeTree(filepath.Join(path, e.Name())) {
			return false
		}
	}
	err = syscall.Rmdir(path)
	return err == nil || errors.Is(err, syscall.ENOENT)
}
