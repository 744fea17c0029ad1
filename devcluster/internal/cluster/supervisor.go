package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"chandler.dev/olm/devcluster/internal/clock"
	"chandler.dev/olm/devcluster/internal/lock"
	"chandler.dev/olm/devcluster/internal/proc"
)

const (
	lockCheckEvery = 2 * time.Second
	firstRestart   = 200 * time.Millisecond
	slowestRestart = 5 * time.Second
)

// supervisor keeps the processes of one cluster running, as children that die with it.
type supervisor struct {
	folder  Folder
	options Options
	lock    *lock.Lock
	log     io.Writer
	spawner *proc.Spawner
	// failed takes the first error that ends the cluster.
	failed chan error
	// end ends the watching of the children.
	end func()

	mu       sync.Mutex
	state    State
	children map[string]*proc.Child
	watchers sync.WaitGroup
}

// newSupervisor returns the supervisor of a cluster that does not run. It owns the lock of the folder.
func newSupervisor(f Folder, o Options, l *lock.Lock, log io.Writer) (*supervisor, error) {
	self, err := proc.Of(os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("identify this process: %w", err)
	}
	return &supervisor{
		folder: f, options: o, lock: l, log: log,
		spawner:  proc.NewSpawner(),
		failed:   make(chan error, 1),
		children: map[string]*proc.Child{},
		state: State{
			Name: f.Name(), Phase: Starting, Nodes: o.Nodes, NodeCount: o.NodeCount, Supervisor: self,
		},
	}, nil
}

// supervise runs a cluster in this process until ctx ends or the cluster cannot go on, and then takes it down. The function ready is called once everything is ready.
func supervise(ctx context.Context, s *supervisor, ready func()) error {
	err := s.start(ctx)
	if err != nil {
		s.stop()
		if ctx.Err() != nil {
			return s.folder.remove()
		}
		return err // the logs stay for whoever wants to know why
	}
	ready()
	err = s.wait(ctx)
	s.stop()
	return errors.Join(err, s.folder.remove())
}

// wait returns when the cluster has to end.
func (s *supervisor) wait(ctx context.Context) error {
	ticker := time.NewTicker(lockCheckEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.failed:
			return err
		case <-ticker.C:
			if !s.lock.Valid() {
				return fmt.Errorf("%s was removed", s.folder)
			}
		}
	}
}

// launch starts a component and keeps it running until ctx ends.
func (s *supervisor) launch(ctx context.Context, c spec) error {
	if err := s.startOnce(c); err != nil {
		return err
	}
	s.watchers.Go(func() { s.keep(ctx, c) })
	return nil
}

func (s *supervisor) startOnce(c spec) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	child, err := s.spawner.Start(proc.Command{
		Path: c.path, Args: c.args, Env: c.env, Dir: string(s.folder), Log: s.folder.Log(c.name), Cloneflags: c.cloneflags,
	})
	if err != nil {
		return err
	}
	s.children[c.name] = child
	if err := s.record(c.name, child.Identity); err != nil || c.started == nil {
		return err
	}
	return c.started(child.PID)
}

// record writes the state with the new process of a component. The caller holds mu.
func (s *supervisor) record(name string, id proc.Identity) error {
	for i, c := range s.state.Components {
		if c.Name == name {
			s.state.Components[i].Identity = id
			s.state.Components[i].Restarts++
			return s.folder.writeState(s.state)
		}
	}
	s.state.Components = append(s.state.Components, Component{Name: name, Identity: id})
	return s.folder.writeState(s.state)
}

// keep starts the component again whenever it has ended. While the cluster starts, that is an error instead.
func (s *supervisor) keep(ctx context.Context, c spec) {
	pause := firstRestart
	for {
		s.mu.Lock()
		child, phase := s.children[c.name], s.state.Phase
		s.mu.Unlock()
		begin := clock.Now()
		select {
		case <-ctx.Done():
			return
		case <-child.Exited:
		}
		if phase := s.phase(); phase == Starting {
			s.fail(&exitError{component: c.name, log: s.folder.Log(c.name), err: child.Err})
			return
		}
		_, _ = fmt.Fprintf(s.log, "%s ended (%v), starting it again\n", c.name, child.Err)
		if clock.Now().Sub(begin) > time.Minute || phase == Starting {
			pause = firstRestart
		}
		if clock.Wait(ctx, pause) != nil {
			return
		}
		pause = min(2*pause, slowestRestart)
		if err := s.startOnce(c); err != nil {
			s.fail(err)
			return
		}
	}
}

func (s *supervisor) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

func (s *supervisor) phase() Phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Phase
}

func (s *supervisor) setPhase(p Phase) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Phase = p
	return s.folder.writeState(s.state)
}

// halt kills all children and waits for them and for those who watch them. The context of launch must have ended.
func (s *supervisor) halt() {
	s.watchers.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, child := range s.children {
		_ = child.Signal(killSignal) // an ended process is what is wanted
	}
	for _, child := range s.children {
		<-child.Exited
	}
	clear(s.children)
	s.state.Components = nil
}

// exitError says that a component ended while the cluster started.
type exitError struct {
	component string
	log       string
	err       error
}

func (e *exitError) Error() string {
	text := "it exited with status 0"
	if e.err != nil {
		text = e.err.Error()
	}
	return fmt.Sprintf("%s ended while the cluster started: %s; see %s%s", e.component, text, e.log, tail(e.log))
}

func (e *exitError) Unwrap() error { return e.err }
