package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"chandler.dev/olm/devcluster/internal/proc"
)

// Phase says how far a cluster is.
type Phase string

// The phases of a cluster, in order.
const (
	Starting Phase = "starting"
	Ready    Phase = "ready"
	Stopping Phase = "stopping"
)

// NodeKind says what plays the nodes.
type NodeKind string

// The kinds of nodes.
const (
	Simulated NodeKind = "simulated"
	Real      NodeKind = "real"
)

// State is what is known about a running cluster, as written to state.json by its supervisor and by nobody else.
type State struct {
	Name       string        `json:"name"`
	Phase      Phase         `json:"phase"`
	Nodes      NodeKind      `json:"nodes"`
	NodeCount  int           `json:"nodeCount"`
	Server     string        `json:"server,omitempty"`
	Supervisor proc.Identity `json:"supervisor"`
	// Components is sorted by name.
	Components []Component `json:"components,omitempty"`
}

// Component is one process of a cluster.
type Component struct {
	Name string `json:"name"`
	proc.Identity
	// Restarts counts how often the supervisor had to start it again.
	Restarts int `json:"restarts,omitempty"`
}

// ErrNotFound is returned for a cluster that is not there.
var ErrNotFound = errors.New("no such cluster")

// Folder is where everything about one cluster is kept. Only its lock outlives the processes.
type Folder string

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$`)

// NewFolder returns the folder of the cluster with this name.
func NewFolder(dir, name string) (Folder, error) {
	if !validName.MatchString(name) {
		return "", fmt.Errorf("invalid name %q: want up to 48 lower-case letters, digits and inner dashes", name)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", dir, err)
	}
	return Folder(filepath.Join(dir, name)), nil
}

// Folders returns the folders of all clusters below dir, sorted.
func Folders(dir string) ([]Folder, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*", "state.json"))
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	var folders []Folder
	for _, file := range found {
		f, err := NewFolder(dir, filepath.Base(filepath.Dir(file)))
		if err == nil {
			folders = append(folders, f)
		}
	}
	slices.Sort(folders)
	return folders, nil
}

// Name returns the name of the cluster.
func (f Folder) Name() string { return filepath.Base(string(f)) }

func (f Folder) dir() string { return filepath.Dir(string(f)) }

// Path returns the path of something in the folder.
func (f Folder) Path(elements ...string) string {
	return filepath.Join(append([]string{string(f)}, elements...)...)
}

// Kubeconfig returns the path of the administrator's kubeconfig.
func (f Folder) Kubeconfig() string { return f.Path("kubeconfig") }

// Log returns the path of the log of a component.
func (f Folder) Log(component string) string { return f.Path("logs", component+".log") }

func (f Folder) lock() string { return f.Path("lock") }

// State reads the state, and returns ErrNotFound if there is none.
func (f Folder) State() (State, error) {
	var s State
	content, err := os.ReadFile(f.Path("state.json"))
	if errors.Is(err, os.ErrNotExist) {
		return s, fmt.Errorf("%w: %q", ErrNotFound, f.Name())
	}
	if err != nil {
		return s, fmt.Errorf("read state: %w", err)
	}
	if err := json.Unmarshal(content, &s); err != nil {
		return s, fmt.Errorf("read state: %w", err)
	}
	return s, nil
}

func (f Folder) writeState(s State) error {
	slices.SortFunc(s.Components, func(a, b Component) int { return strings.Compare(a.Name, b.Name) })
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return writeFile(f.Path("state.json"), content, 0o644)
}

// remove deletes the folder with its lock last, so that who waits for the lock finds an empty place.
func (f Folder) remove() error {
	if err := f.clear(); err != nil {
		return err
	}
	if err := os.RemoveAll(string(f)); err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	return nil
}

// clear deletes what is in the folder, except for the lock and what is to be kept.
func (f Folder) clear(keep ...string) error {
	entries, err := os.ReadDir(string(f))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("clear: %w", err)
	}
	for _, e := range entries {
		if f.Path(e.Name()) == f.lock() || slices.Contains(keep, e.Name()) {
			continue
		}
		if err := os.RemoveAll(f.Path(e.Name())); err != nil {
			return fmt.Errorf("clear: %w", err)
		}
	}
	return nil
}

// writeFile writes a file so that readers see the old or the new content and nothing else.
func writeFile(path string, content []byte, mode os.FileMode) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, mode); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
