package servers

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
	"golang.org/x/sync/errgroup"
)

// engine is a container engine that answers.
type engine struct {
	*testcontainers.DockerProvider
	api client.APIClient
}

// tcLog passes on what testcontainers reports of its progress.
type tcLog struct{ to *slog.Logger }

// Printf implements testcontainers' log.Logger.
func (l tcLog) Printf(format string, v ...any) {
	l.to.Debug("testcontainers: " + fmt.Sprintf(format, v...))
}

// findEngine connects to the container engine.
func findEngine(ctx context.Context, log *slog.Logger) (*engine, error) {
	// Testcontainers' own reaper is a container whose image has to be pulled; ours needs nothing.
	if os.Getenv("TESTCONTAINERS_RYUK_DISABLED") == "" {
		os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
	}
	tclog.SetDefault(tcLog{log}) // it would greet on stderr
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	provider, err := testcontainers.NewDockerProvider(testcontainers.Generic2DockerOptions(testcontainers.WithLogger(tcLog{log}))...)
	if err == nil {
		err = provider.Health(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("servers: no container engine answers: %w: start Docker, or install it (Debian: apt-get install docker.io): %w", err, ErrMissing)
	}
	return &engine{provider, provider.Client()}, nil
}

// images returns the names of the images that cfg needs.
func (cfg Config) images() []string {
	var names []string
	if cfg.Memcached > 0 {
		names = append(names, cfg.Images.Memcached)
	}
	if cfg.Cassandra > 0 {
		names = append(names, cfg.Images.Cassandra)
	}
	return names
}

// LocalImages are what deploy/images/build calls the images that it makes. Where Config names none, they are used in place of the
// usual ones if they are there.
func LocalImages() Images {
	return Images{Cassandra: "origin-storm/cassandra:5.0", Memcached: "origin-storm/memcached:1.6"}
}

// choose returns the images to use: those that cfg names, those made locally, or the usual ones.
func (e *engine) choose(ctx context.Context, named Images) (Images, error) {
	local := LocalImages()
	for _, image := range []struct {
		name         *string
		local, usual string
	}{{&named.Cassandra, local.Cassandra, "cassandra:5.0"}, {&named.Memcached, local.Memcached, "memcached:1.6"}} {
		if *image.name != "" {
			continue
		}
		*image.name = image.usual
		for _, name := range []string{image.usual, image.local} {
			there, err := e.there(ctx, name)
			if err != nil {
				return Images{}, err
			}
			if there {
				*image.name = name
				break
			}
		}
	}
	return named, nil
}

func (e *engine) there(ctx context.Context, image string) (bool, error) {
	_, err := e.api.ImageInspect(ctx, image)
	if err != nil && !errdefs.IsNotFound(err) {
		return false, fmt.Errorf("servers: look for image %s: %w", image, err)
	}
	return err == nil, nil
}

// pull sees to it that the images that cfg needs are there, and asks a registry for those that are not.
func (e *engine) pull(ctx context.Context, cfg *Config) (err error) {
	if cfg.Images, err = e.choose(ctx, cfg.Images); err != nil {
		return err
	}
	for _, name := range cfg.images() {
		there, err := e.there(ctx, name)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		cfg.Progress("pulling image " + name)
		if err := e.PullImage(ctx, name); err != nil {
			return fmt.Errorf("servers: image %s is not there and cannot be pulled: %w: deploy/images/build makes it locally: %w", name, err, ErrMissing)
		}
	}
	return nil
}

// dockerReady reports why servers cannot be brought up as containers, or nil. Images that are missing are pulled.
func dockerReady(ctx context.Context, cfg Config) error {
	e, err := findEngine(ctx, cfg.Log)
	if err != nil {
		return err
	}
	return errors.Join(e.pull(ctx, &cfg), e.Close())
}

// upDocker brings up what cfg asks for as containers.
func (c *Cluster) upDocker(ctx context.Context, cfg Config) error {
	if cfg.Cassandra == 0 && cfg.Memcached == 0 {
		return nil
	}
	e, err := findEngine(ctx, cfg.Log)
	if err != nil {
		return err
	}
	c.defers(e.Close)
	if err := e.pull(ctx, &cfg); err != nil {
		return err
	}
	run := "origin-storm-" + strings.ToLower(rand.Text()[:8])
	if cfg.Cassandra > 0 {
		if err := cfg.Reaper.Network(run); err != nil {
			return err
		}
		if _, err := e.api.NetworkCreate(ctx, run, client.NetworkCreateOptions{Driver: "bridge"}); err != nil {
			return fmt.Errorf("servers: make network %s: %w", run, err)
		}
		c.defers(func() error { return e.remove(context.Background(), nil, []string{run}) })
	}
	life := c.open()

	start, ctx := errgroup.WithContext(ctx)
	for i := range cfg.Memcached {
		s := c.server(fmt.Sprintf("memcached-%d", i+1), cfg, life)
		c.Memcached = append(c.Memcached, s)
		start.Go(func() error { return s.containMemcached(ctx, cfg, e, run) })
	}
	if cfg.Cassandra > 0 {
		for i := range cfg.Cassandra {
			c.Cassandra = append(c.Cassandra, c.server(fmt.Sprintf("cassandra-%d", i+1), cfg, life))
		}
		start.Go(func() error { return containCassandra(ctx, cfg, e, run, c.Cassandra) })
	}
	return start.Wait()
}

// containMemcached starts one memcached, with other ports as long as the chosen one turns out to be taken.
func (s *Server) containMemcached(ctx context.Context, cfg Config, e *engine, run string) error {
	var err error
	for try := range attempts {
		var port int
		if port, err = freePort("127.0.0.1"); err != nil {
			return err
		}
		s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		s.run = &contained{engine: e, reaper: cfg.Reaper, request: testcontainers.ContainerRequest{
			Name:  fmt.Sprintf("%s-%s-%d", run, s.Name, try),
			Image: cfg.Images.Memcached,
			Cmd:   append([]string{"memcached"}, memcachedArgs("0.0.0.0", 11211, cfg.MemcachedMB)...),
		}, publish: published{"127.0.0.1", port, 11211}}
		s.answer = func(ctx context.Context) (string, error) { return memcachedVersion(ctx, s.Addr) }
		if err = s.up(ctx, time.Minute); !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err == nil {
		cfg.Progress(s.Name + " answers at " + s.Addr)
	}
	return err
}

// containCassandra starts the nodes of one cluster at once. Each is published at a loopback address of its own, 127.0.0.1 and those
// after it, because the driver tells nodes apart by address and not by port.
func containCassandra(ctx context.Context, cfg Config, e *engine, run string, nodes []*Server) error {
	cfg.Progress(fmt.Sprintf("starting %s x%d", cfg.Images.Cassandra, len(nodes)))
	var err error
	for try := range attempts {
		if err = startContainedCassandra(ctx, cfg, e, fmt.Sprintf("%s-%d", run, try), run, nodes); !errors.Is(err, errPortTaken) {
			break
		}
	}
	return err
}

func startContainedCassandra(ctx context.Context, cfg Config, e *engine, prefix, network string, nodes []*Server) error {
	const (
		conf        = "/etc/origin-storm"
		data        = "/var/lib/cassandra"
		storagePort = 7000
	)
	hosts := make([]string, len(nodes))
	names := make([]string, len(nodes))
	seeds := make([]string, len(nodes))
	for i, s := range nodes {
		hosts[i] = fmt.Sprintf("127.0.0.%d", i+1)
		names[i] = prefix + "-" + s.Name
		seeds[i] = net.JoinHostPort(names[i], strconv.Itoa(storagePort))
	}
	port, err := freePort(hosts...)
	if err != nil {
		return err
	}
	token := tokens(len(nodes))
	for i, s := range nodes {
		texts, err := node{
			Index: i + 1, Data: data, RPC: "0.0.0.0", Advertise: hosts[i], Seeds: seeds,
			StoragePort: storagePort, NativePort: port, Token: token[i],
		}.configure()
		if err != nil {
			return err
		}
		req := testcontainers.ContainerRequest{
			Name:     names[i],
			Image:    cfg.Images.Cassandra,
			Cmd:      append([]string{"cassandra", "-f"}, properties(conf, data)...),
			Networks: []string{network},
			Env: map[string]string{
				"MAX_HEAP_SIZE": fmt.Sprintf("%dM", cfg.HeapMB),
				"HEAP_NEWSIZE":  fmt.Sprintf("%dM", max(1, cfg.HeapMB/4)), // has to be set with the other; without effect under G1
			},
		}
		for name, text := range texts {
			req.Files = append(req.Files, testcontainers.ContainerFile{
				Reader: bytes.NewReader(text), ContainerFilePath: conf + "/" + name, FileMode: 0o644,
			})
		}
		s.Addr = net.JoinHostPort(hosts[i], strconv.Itoa(port))
		s.run = &contained{engine: e, reaper: cfg.Reaper, request: req, publish: published{hosts[i], port, port}}
		s.answerCassandra(len(nodes))
	}
	return startNodes(ctx, cfg, nodes)
}

// published is a container's port and where on this machine it is reached.
type published struct {
	host     string
	port, of int
}

// contained is a runner.
type contained struct {
	engine  *engine
	reaper  *Reaper
	request testcontainers.ContainerRequest
	publish published

	made testcontainers.Container // nil before the first start
}

var _ runner = (*contained)(nil)

func (c *contained) start(ctx context.Context) (<-chan struct{}, error) {
	if c.made == nil {
		if err := c.create(ctx); err != nil {
			return nil, err
		}
	}
	if err := c.made.Start(ctx); err != nil {
		if e := endOf(err.Error()); errors.Is(e, errPortTaken) {
			err = fmt.Errorf("%w: %w", e, err)
		}
		return nil, err
	}
	ended := make(chan struct{})
	// The call returns when the engine has taken note of it, so that no end is missed.
	wait := c.engine.api.ContainerWait(context.Background(), c.made.GetContainerID(), client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	go func() { // ends with the container, which Close waits for, or with the engine
		select {
		case <-wait.Result:
		case <-wait.Error:
		}
		close(ended)
	}()
	return ended, nil
}

func (c *contained) create(ctx context.Context) error {
	of, err := network.ParsePort(fmt.Sprintf("%d/tcp", c.publish.of))
	if err != nil {
		return err
	}
	host, err := netip.ParseAddr(c.publish.host)
	if err != nil {
		return err
	}
	req := c.request
	req.ExposedPorts = []string{of.String()}
	req.HostConfigModifier = func(h *container.HostConfig) {
		h.PortBindings = network.PortMap{of: {{HostIP: host, HostPort: strconv.Itoa(c.publish.port)}}}
	}
	if err := c.reaper.Container(req.Name); err != nil {
		return err
	}
	made, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{
		ContainerRequest: req, ProviderType: testcontainers.ProviderDocker, Logger: c.engine.Logger,
	})
	if err != nil {
		return err
	}
	c.made = made
	return nil
}

func (c *contained) kill() error {
	c.resume() // a container that is paused cannot be killed; where it is not, this fails without harm
	return c.ask(func(ctx context.Context, id string) error {
		_, err := c.engine.api.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "KILL"})
		return err
	})
}

func (c *contained) stop() error {
	return c.ask(func(ctx context.Context, id string) error {
		_, err := c.engine.api.ContainerPause(ctx, id, client.ContainerPauseOptions{})
		return err
	})
}

func (c *contained) group() int { return 0 }

func (c *contained) pin(processors []int) error {
	if len(processors) == 0 {
		return nil
	}
	return errors.New("a container is not ours to pin: use native servers")
}

func (c *contained) resume() error {
	return c.ask(func(ctx context.Context, id string) error {
		_, err := c.engine.api.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
		return err
	})
}

// ask makes a request about the container.
func (c *contained) ask(request func(ctx context.Context, id string) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	return request(ctx, c.made.GetContainerID())
}

func (c *contained) discard() error {
	c.made = nil
	return c.engine.remove(context.Background(), []string{c.request.Name}, nil)
}

func (c *contained) tail() string {
	if c.made == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	logs, err := c.made.Logs(ctx)
	if err != nil {
		return ""
	}
	defer logs.Close()
	text, _ := io.ReadAll(io.LimitReader(logs, 1<<20))
	return lastLines(text)
}

// remove removes containers with their volumes, then networks. What is not there is passed over.
func (e *engine) remove(ctx context.Context, containers, networks []string) error {
	return remove(ctx, e.api, containers, networks)
}

func remove(ctx context.Context, api client.APIClient, containers, networks []string) error {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	var errs []error
	for _, name := range containers {
		_, err := api.ContainerRemove(ctx, name, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		if err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("servers: remove container %s: %w", name, err))
		}
	}
	for _, name := range networks {
		if _, err := api.NetworkRemove(ctx, name, client.NetworkRemoveOptions{}); err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("servers: remove network %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// removeContainers is the reaper's part of remove; it looks for an engine only if there is something to remove.
func removeContainers(ctx context.Context, todo []errand) error {
	var containers, networks []string
	for _, e := range todo {
		if e.Container != "" {
			containers = append(containers, e.Container)
		}
		if e.Network != "" {
			networks = append(networks, e.Network)
		}
	}
	if len(slices.Concat(containers, networks)) == 0 {
		return nil
	}
	e, err := findEngine(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return errors.Join(e.remove(ctx, containers, networks), e.Close())
}
