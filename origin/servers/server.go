package servers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Server is one Cassandra node, one memcached or one edge. Its methods are safe for concurrent use.
type Server struct {
	Name    string // cassandra-1, memcached-2, …
	Addr    string // host:port, the same after a Restart
	Version string // as the server itself says

	run    runner
	answer func(context.Context) (version string, err error)
	death  func(*Server, error)
	life   context.Context // ends with the Cluster
	watch  *sync.WaitGroup

	mu  sync.Mutex // guards now, and makes Kill, Stop, Continue and Restart exclude one another
	now *lifetime  // nil before the first start
}

// lifetime is one start of a server up to its end.
type lifetime struct {
	ended <-chan struct{}
	asked bool // the end was asked for; guarded by Server.mu
}

// runner is what a Server runs in: a process or a container.
type runner interface {
	// start starts it and returns a channel that closes when it has ended.
	start(context.Context) (ended <-chan struct{}, err error)
	kill() error
	stop() error
	resume() error
	// group is the process group it is in, 0 where that is none of this machine's.
	group() int
	// pin confines what runs, and what is started again, to processors; none: wherever this process may run.
	pin(processors []int) error
	// discard removes what is left of it; it must have ended.
	discard() error
	// tail returns the last lines it wrote.
	tail() string
}

// errPortTaken says that a server could not start because another program took its port between choice and use.
var errPortTaken = errors.New("port taken by another program")

// up starts the server and waits until it answers, for no longer than patience. After an error nothing is left of it.
func (s *Server) up(ctx context.Context, patience time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.upLocked(ctx, patience); err != nil {
		return errors.Join(err, s.run.discard())
	}
	return nil
}

// discard kills the server and removes what is left of it.
func (s *Server) discard() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == nil {
		return nil
	}
	if err := s.killLocked(); err != nil {
		return err
	}
	return s.run.discard()
}

func (s *Server) upLocked(ctx context.Context, patience time.Duration) error {
	if s.life.Err() != nil {
		return fmt.Errorf("servers: start %s: its cluster is closed", s.Name)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %v", patience))
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	ended, err := s.run.start(ctx)
	if err != nil {
		return fmt.Errorf("servers: start %s: %w", s.Name, err)
	}
	now := &lifetime{ended: ended}
	s.now = now
	version, err := s.wait(ctx, ended)
	if err != nil {
		err = fmt.Errorf("servers: start %s at %s: %w\n%s", s.Name, s.Addr, err, s.run.tail())
		return errors.Join(err, s.killLocked())
	}
	s.Version = version
	s.watch.Go(func() {
		<-ended
		s.mu.Lock()
		asked := now.asked
		s.mu.Unlock()
		if !asked && s.death != nil {
			s.death(s, fmt.Errorf("servers: %s at %s ended unasked\n%s", s.Name, s.Addr, s.run.tail()))
		}
	})
	return nil
}

// wait asks until the server answers.
func (s *Server) wait(ctx context.Context, ended <-chan struct{}) (version string, err error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		version, err := s.answer(once)
		cancel()
		if err == nil {
			select {
			case <-ended: // somebody else answers there
			default:
				return version, nil
			}
		}
		select {
		case <-ended:
			return "", endOf(s.run.tail())
		case <-ctx.Done():
			return "", fmt.Errorf("%w (last: %v)", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// endOf explains why a server ended at its start by what it wrote last.
func endOf(tail string) error {
	for _, sign := range []string{"ddress already in use", "is in use by another process", "port is already allocated"} {
		if strings.Contains(tail, sign) {
			return errPortTaken
		}
	}
	return errors.New("it ended at once")
}

// Kill ends the server the hard way (SIGKILL) and returns when it has ended.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.killLocked()
}

func (s *Server) killLocked() error {
	if !s.aliveLocked() {
		return nil
	}
	s.now.asked = true
	if err := s.run.kill(); err != nil && s.aliveLocked() {
		return fmt.Errorf("servers: kill %s: %w", s.Name, err)
	}
	select {
	case <-s.now.ended:
		return nil
	case <-time.After(engineTimeout):
		return fmt.Errorf("servers: kill %s: it has not ended %v later", s.Name, engineTimeout)
	}
}

// engineTimeout bounds what the system or a container engine takes for one request.
const engineTimeout = 30 * time.Second

// Stop halts the server where it stands (SIGSTOP): connections stay open and nothing answers, until Continue.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.run.stop(); err != nil {
		return fmt.Errorf("servers: stop %s: %w", s.Name, err)
	}
	return nil
}

// Continue lets a stopped server go on.
func (s *Server) Continue() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.run.resume(); err != nil {
		return fmt.Errorf("servers: continue %s: %w", s.Name, err)
	}
	return nil
}

// Pin confines the server to the processors of these numbers, also after a Restart; without numbers it may run wherever this
// process may. It fails for a container.
func (s *Server) Pin(processors ...int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.run.pin(processors); err != nil {
		return fmt.Errorf("servers: pin %s to processors %v: %w", s.Name, processors, err)
	}
	return nil
}

// Group is the number of the process group in which the server runs, see GroupTimes; 0 for a container.
func (s *Server) Group() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run.group()
}

// Restart ends the server if it runs, starts it again at the same address and with the data it had on disk, and waits until it
// answers.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.killLocked(); err != nil {
		return err
	}
	return s.upLocked(ctx, 2*time.Minute)
}

// Alive reports whether the server runs; a stopped one does.
func (s *Server) Alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.aliveLocked()
}

func (s *Server) aliveLocked() bool {
	if s.now == nil {
		return false
	}
	select {
	case <-s.now.ended:
		return false
	default:
		return true
	}
}
