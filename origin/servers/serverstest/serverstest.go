// Package serverstest gives the tests of one package the real servers they share: brought up when the first test asks, taken down
// when the last has ended or the test process has died. A test whose servers cannot be had says so through kvtest.Need.
package serverstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/servers"
)

// role is the variable that makes a test binary the reaper of another one.
const role = "ORIGIN_STORM_TEST_REAPER"

// Servers are the servers of one package's tests. A package has one, as a variable of its tests:
//
//	var real = serverstest.Servers{Config: servers.Config{Memcached: 1}}
//
//	func TestMain(m *testing.M) { real.Main(m) }
type Servers struct {
	Config servers.Config // empty Mode: Native; Reaper is set here

	once    sync.Once
	reaper  *servers.Reaper
	cluster *servers.Cluster
	err     error
}

// Main runs the package's tests, takes down what they used, and exits.
func (s *Servers) Main(m *testing.M) {
	if os.Getenv(role) != "" {
		if err := servers.Reap(os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	var errs []error
	if s.cluster != nil {
		errs = append(errs, s.cluster.Close())
	}
	if s.reaper != nil {
		errs = append(errs, s.reaper.Close())
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Up returns the servers, and brings them up if no test asked for them before.
func (s *Servers) Up(t testing.TB) *servers.Cluster {
	t.Helper()
	s.once.Do(func() {
		if s.reaper, s.err = newReaper(); s.err != nil {
			return
		}
		cfg := s.Config
		cfg.Reaper = s.reaper
		if cfg.Mode == "" {
			cfg.Mode = servers.Native
		}
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
		defer cancel()
		s.cluster, s.err = servers.Up(ctx, cfg)
	})
	if errors.Is(s.err, servers.ErrMissing) {
		kvtest.Need(t, fmt.Sprintf("servers (%d Cassandra nodes, %d memcached zones)", s.Config.Cassandra, s.Config.Memcached), s.err)
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.cluster
}

// Reaper starts a reaper that ends with the test, in a package whose TestMain is Servers.Main.
func Reaper(t testing.TB) *servers.Reaper {
	t.Helper()
	r, err := newReaper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func newReaper() (*servers.Reaper, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("serverstest: which program is this: %w", err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), role+"=1")
	cmd.Stderr = os.Stderr
	return servers.StartReaper(cmd)
}
