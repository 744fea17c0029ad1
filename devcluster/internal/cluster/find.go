package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"chandler.dev/olm/devcluster/internal/lock"
	"chandler.dev/olm/devcluster/internal/node"
	"chandler.dev/olm/devcluster/internal/pki"
)

// List returns the state of every cluster below dir that runs.
func List(dir string) ([]State, error) {
	folders, err := Folders(dir)
	if err != nil {
		return nil, err
	}
	var states []State
	for _, f := range folders {
		if !f.locked() {
			continue
		}
		if s, err := f.State(); err == nil {
			states = append(states, s)
		}
	}
	return states, nil
}

// locked says whether a supervisor holds the folder.
func (f Folder) locked() bool {
	l, err := lock.Try(f.lock())
	if err == nil {
		l.Release()
	}
	return errors.Is(err, lock.ErrHeld)
}

// Signal sends a signal to one component: SIGSTOP and SIGCONT pause and resume it.
func Signal(f Folder, component string, sig syscall.Signal) error {
	c, err := f.component(component)
	if err != nil {
		return err
	}
	if err := c.Signal(sig); err != nil {
		return fmt.Errorf("component %q: %w", c.Name, err)
	}
	return nil
}

// Restart kills a component and waits until its supervisor has started it again and the API server is ready.
func Restart(ctx context.Context, f Folder, component string) error {
	before, err := f.component(component)
	if err != nil {
		return err
	}
	if err := before.Signal(killSignal); err != nil {
		return fmt.Errorf("component %q: %w", before.Name, err)
	}
	err = await(ctx, "component "+before.Name, func(context.Context) error {
		after, err := f.component(before.Name)
		if err != nil {
			return err // a process of the node is unknown until it is back
		}
		if after.Identity == before.Identity {
			return errors.New("it was not started again")
		}
		return nil
	})
	if err != nil {
		return err
	}
	client, err := f.client()
	if err != nil {
		return err
	}
	return await(ctx, "the API server", client.ready)
}

// component finds a component of a running cluster; "kube-" may be left out of its name.
func (f Folder) component(name string) (Component, error) {
	s, err := f.State()
	if err != nil {
		return Component{}, err
	}
	var names []string
	for _, c := range s.Components {
		if c.Name == name || c.Name == "kube-"+name {
			return c, nil
		}
		names = append(names, c.Name)
		if c.Name == nodeComponent {
			names = append(names, node.Processes...)
			// These are known to the init of the node only, by other process ids.
			if id, err := c.Child(name); err == nil && slices.Contains(node.Processes, name) {
				return Component{Name: name, Identity: id}, nil
			}
		}
	}
	slices.Sort(names)
	return Component{}, fmt.Errorf("cluster %q has no component %q, only %s", s.Name, name, strings.Join(names, ", "))
}

// client returns an administrator's client of a running cluster.
func (f Folder) client() (*api, error) {
	s, err := f.State()
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(f.Path("pki", "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	var admin pki.Pair
	if admin.Cert, err = os.ReadFile(f.Path("pki", "admin.crt")); err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	if admin.Key, err = os.ReadFile(f.Path("pki", "admin.key")); err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	return newAPI(s.Server, pki.Pair{Cert: authority}, admin)
}
