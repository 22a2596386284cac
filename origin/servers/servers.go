// Package servers brings up the real servers that a run or a test needs, Cassandra nodes and memcached zones, as containers or as
// native processes, and edge caches (nginx, Varnish) as native processes, hurts them on request, and always takes them down again:
// after success, after failure, after Ctrl-C, and after a kill -9 of the program that started them. It listens on loopback only. It
// is not a supervisor: a server that dies stays dead, and its death is reported.
package servers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// Mode is how servers are brought up.
type Mode string

// The modes. Auto takes Docker if an engine answers and the images are there or arrive within 20 seconds, else native processes if
// the programs are there, else Embedded.
const (
	Auto     Mode = "auto"
	Docker   Mode = "docker"
	Native   Mode = "native"
	Embedded Mode = "embedded" // no servers: the caller hosts stores of its own
)

// ErrMissing is wrapped by errors that say that a program, an engine or an image is not there, and how to get it.
var ErrMissing = errors.New("not installed")

// Config says what to bring up. The zero value brings up nothing.
type Config struct {
	Mode      Mode // empty: Embedded
	Cassandra int  // nodes of one cluster: 0, 1 or 3
	Memcached int  // zones, of one memcached each
	// Edge is an HTTP cache in front of Origins, the addresses (host:port) of serve nodes: Nginx, Varnish or empty for none. Mode Native alone
	// has edges.
	Edge    string
	Origins []string

	// MemcachedMB is how much each zone may hold, in MiB; 0 means 256.
	MemcachedMB int
	// HeapMB is the Java heap of each Cassandra node, in MiB; 0 means 512. A node takes about twice that of memory.
	HeapMB int
	// Images name the containers' images.
	Images Images
	// Nice is the scheduling priority of native servers: 0, or more to let others go first.
	Nice int
	// Dir is where the servers' data goes, in a directory of their own that is removed; empty means the system's place for
	// temporary files.
	Dir string

	// Reaper cleans up if this process dies. Needed by every mode but Embedded.
	Reaper *Reaper
	// OnDeath is called, from a goroutine of the Cluster's, when a server ends that nobody ended. It may be nil.
	OnDeath func(*Server, error)
	// Progress is told in a few words what is being done, one call at a time. It may be nil.
	Progress func(string)
	Log      *slog.Logger // nil discards
}

// Images are names of container images. Where no registry can be reached, deploy/images/build makes LocalImages.
type Images struct {
	Cassandra string // empty: cassandra:5.0, or the local image
	Memcached string // empty: memcached:1.6, or the local image
}

// Cluster is what Up brought up.
type Cluster struct {
	Mode Mode   // Docker, Native or Embedded, also where Auto was asked for
	Why  string // of Auto: why the modes before this one were passed over; else empty

	Cassandra []*Server
	Memcached []*Server
	Edge      *Server // nil without one

	cleanup []func() error // done in reverse order by Close
	watch   sync.WaitGroup // goroutines that wait for servers to end
	once    sync.Once
	err     error
}

// Up brings up what cfg asks for and returns when every server answers. After an error nothing is left. The caller must Close the
// Cluster; cancelling ctx after Up returned has no effect on it.
func Up(ctx context.Context, cfg Config) (*Cluster, error) {
	cfg.Mode = cmp.Or(cfg.Mode, Embedded)
	cfg.MemcachedMB = cmp.Or(cfg.MemcachedMB, 256)
	cfg.HeapMB = cmp.Or(cfg.HeapMB, 512)
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	cfg.Progress = oneAtATime(cfg.Progress)
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if cfg.Reaper == nil && cfg.Mode != Embedded {
		return nil, errors.New("servers: Config.Reaper is nil: servers would outlive a crash of this program")
	}

	if cfg.Mode != Embedded {
		if err := cfg.checkMemory(meminfo); err != nil {
			return nil, err
		}
	}

	c := &Cluster{Mode: cfg.Mode}
	if cfg.Mode == Auto {
		c.Mode, c.Why = choose(ctx, cfg)
	}
	var err error
	switch c.Mode {
	case Docker:
		err = c.upDocker(ctx, cfg)
	case Native:
		err = c.upNative(ctx, cfg)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// oneAtATime returns tell with its calls made one after another; nil becomes a function that does nothing.
func oneAtATime(tell func(string)) func(string) {
	var mu sync.Mutex // guards tell
	return func(text string) {
		if tell != nil {
			mu.Lock()
			defer mu.Unlock()
			tell(text)
		}
	}
}

// Check returns why cfg asks for what no machine could bring up, or nil.
func (cfg Config) Check() error {
	switch cfg.Mode {
	case Auto, Docker, Native, Embedded:
	default:
		return fmt.Errorf("servers: unknown mode %q: use auto, docker, native or embedded", cfg.Mode)
	}
	if n := cfg.Cassandra; n != 0 && n != 1 && n != 3 {
		return fmt.Errorf("servers: %d Cassandra nodes: use 0, 1 or 3 (two are no safer than one at quorum)", n)
	}
	if n := cfg.Memcached; n < 0 || n > 16 {
		return fmt.Errorf("servers: %d memcached zones: use 0 to 16", n)
	}
	if err := cfg.checkEdge(); err != nil {
		return err
	}
	if cfg.MemcachedMB < 0 || cfg.HeapMB < 0 {
		return fmt.Errorf("servers: negative memory (memcached %d MiB, heap %d MiB)", cfg.MemcachedMB, cfg.HeapMB)
	}
	return nil
}

// checkMemory refuses what this machine has no memory for, before its kernel ends processes of its own choice. It says nothing
// where meminfo is not there.
func (cfg Config) checkMemory(meminfo string) error {
	free, ok := available(meminfo)
	// A Cassandra node was seen to take twice its heap, a memcached takes what it may.
	if need, there := int64(2*cfg.HeapMB*cfg.Cassandra+cfg.MemcachedMB*cfg.Memcached), free>>20; ok && need > there {
		return fmt.Errorf("servers: %d Cassandra nodes with a heap of %d MiB and %d memcached zones of %d MiB need about %d MiB, and %d MiB "+
			"of memory are free: ask for less", cfg.Cassandra, cfg.HeapMB, cfg.Memcached, cfg.MemcachedMB, need, there)
	}
	return nil
}

// meminfo is where Linux tells of the machine's memory.
const meminfo = "/proc/meminfo"

// AvailableMemory returns how many bytes of memory the machine has to spare; ok is false where that cannot be told.
func AvailableMemory() (bytes int64, ok bool) { return available(meminfo) }

func available(meminfo string) (bytes int64, ok bool) {
	text, err := os.ReadFile(meminfo)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); n == 1 {
			return kib << 10, true
		}
	}
	return 0, false
}

// choose is mode Auto: it returns the first mode that can be had, and why those before it cannot.
func choose(ctx context.Context, cfg Config) (Mode, string) {
	const patience = 20 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	docker := dockerReady(ctx, cfg)
	if docker == nil {
		return Docker, ""
	}
	native := nativeReady(cfg)
	if native == nil {
		return Native, fmt.Sprintf("docker: %v", docker)
	}
	return Embedded, fmt.Sprintf("docker: %v; native: %v", docker, native)
}

// Versions names what runs, such as "Cassandra 5.0.5 x3".
func (c *Cluster) Versions() []string {
	var names []string
	for _, group := range []struct {
		product string
		servers []*Server
	}{{"Cassandra", c.Cassandra}, {"memcached", c.Memcached}} {
		if n := len(group.servers); n > 0 {
			names = append(names, fmt.Sprintf("%s %s x%d", group.product, group.servers[0].Version, n))
		}
	}
	return names
}

// Close ends every server and removes all that Up made. It may be called again.
func (c *Cluster) Close() error {
	c.once.Do(func() {
		var errs []error
		for i := len(c.cleanup) - 1; i >= 0; i-- {
			errs = append(errs, c.cleanup[i]())
		}
		c.watch.Wait()
		c.err = errors.Join(errs...)
	})
	return c.err
}

// defers has f done by Close, before what was deferred earlier.
func (c *Cluster) defers(f func() error) { c.cleanup = append(c.cleanup, f) }
