// Package cli holds the commands that run the origin alone: `origin`, one process of it from flags, environment or a file,
// and `servers`, the real servers that it can store in. It is the one place that wires drivers to stores; storms are package
// storm/cli's business.
package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"origin-storm/origin/config"
	"origin-storm/origin/segment"
	"origin-storm/origin/servers"
)

// Commands returns the commands of this package.
func Commands() []*cobra.Command {
	return []*cobra.Command{originCommand(), serversCommand(), reaperCommand()}
}

// reaperCommand is what a run starts to clean up after it, however it ends.
func reaperCommand() *cobra.Command {
	return &cobra.Command{
		Use: servers.ReaperCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return servers.Reap(os.Stdin) },
	}
}

func originCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "origin",
		Short: "run the live origin alone: publish, serve, store or all",
		Long: `Runs one process of the live origin until it is told to stop (SIGTERM, Ctrl-C), and finishes what is in flight then.

It is set up by --config FILE, by environment variables (ORIGIN_STORM_ and the flag's name in capitals with _ for -), and by
flags; a flag wins over the environment, and that over the file. Once it answers it prints one line of JSON that says where.

  origin-storm origin all --event demo --renditions v1080,v720 --publish 127.0.0.1:8081 --serve 127.0.0.1:8080
  n=$(($(date +%s)/2-1))   # the segment of 2 s that has just ended
  curl -T seg.m4s http://127.0.0.1:8081/demo/a/v1080/$n.m4s
  curl -O http://127.0.0.1:8080/demo/v1080/$n.m4s

A segment can be read from when its predecessor is due, however early it was published; before that the answer is 404.`,
	}
	for role, short := range map[config.Role]string{
		config.Publish: "take segments from packagers",
		config.Serve:   "answer the CDN",
		config.Store:   "host embedded stores for publish and serve processes (needs --config)",
		config.All:     "publish and serve in one process, for trying things out",
	} {
		c.AddCommand(roleCommand(role, short))
	}
	return c
}

func roleCommand(role config.Role, short string) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use: string(role), Short: short, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			n, err := f.node(c.Flags(), role)
			if err != nil {
				return usage{err}
			}
			log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: f.logLevel()}))
			return run(c.Context(), n, c.OutOrStdout(), log)
		},
	}
	f.register(c.Flags())
	return c
}

// flags are the settings of a node that have a flag of their own; all others are in the file.
type flags struct {
	config                    string
	publish, serve, operator  string
	name, region              string
	event, pipelines, ladder  string
	segment, delay, dvr       time.Duration
	store, namespace, dir     string
	cache                     []string
	hot                       int64
	collapse, remote, verbose bool
}

func (f *flags) register(s *pflag.FlagSet) {
	s.StringVar(&f.config, "config", "", "file with the node's configuration (YAML)")
	s.StringVar(&f.publish, "publish", "127.0.0.1:0", "where packagers publish to")
	s.StringVar(&f.serve, "serve", "127.0.0.1:0", "where the CDN asks")
	s.StringVar(&f.operator, "operator", "127.0.0.1:0", "where /stats, /healthz and /readyz are")
	s.StringVar(&f.name, "name", "", "the node's name in answers")
	s.StringVar(&f.region, "region", "", "the node's region in answers")
	s.StringVar(&f.event, "event", "", "name of the event")
	s.StringVar(&f.pipelines, "pipelines", "a,b", "the event's pipelines, the preferred one first")
	s.StringVar(&f.ladder, "renditions", "", "the event's renditions, such as v1080,v720,a128")
	s.DurationVar(&f.segment, "segment", 2*time.Second, "how long a segment lasts; numbers count from the Unix epoch")
	s.DurationVar(&f.delay, "publish-delay", time.Second, "how long after its last frame a segment is due")
	s.DurationVar(&f.dvr, "dvr", 2*time.Hour, "how far behind the live edge segments are served")
	s.StringVar(&f.store, "store", "mem", "mem, pebble, or KIND:ADDRESS[,ADDRESS…] with KIND cassandra, s3 or remote")
	s.StringVar(&f.namespace, "namespace", "origin_storm", "keyspace, bucket or hosted store's name; nothing else is touched")
	s.StringVar(&f.dir, "dir", "", "where pebble keeps its files")
	s.StringSliceVar(&f.cache, "cache", nil, "address of a memcached zone, nearest first; may be repeated")
	s.Int64Var(&f.hot, "hot", 64<<20, "bytes of the newest segments that a serving node keeps in memory; 0 for none")
	s.BoolVar(&f.collapse, "collapse", true, "make concurrent reads of one segment one read of the store")
	s.BoolVar(&f.remote, "allow-remote", false, "permit stores that are not on loopback")
	s.BoolVar(&f.verbose, "verbose", false, "log more")
}

func (f *flags) logLevel() slog.Level {
	if f.verbose {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// node puts file, environment and flags together.
func (f *flags) node(set *pflag.FlagSet, role config.Role) (n config.Node, err error) {
	given, err := environment(set)
	if err != nil {
		return n, err
	}
	file := f.config != ""
	if file {
		if n, err = config.Read(f.config); err != nil {
			return n, err
		}
		if n.Role != role {
			return n, fmt.Errorf("%s describes a %s node, not a %s node", f.config, n.Role, role)
		}
	}
	n.Role = role
	text := func(flag string, to *string, v string) {
		if given[flag] || !file || *to == "" {
			*to = v
		}
	}
	if role != config.Store {
		text("publish", &n.Publish, f.publish)
		text("serve", &n.Serve, f.serve)
		text("operator", &n.Operator, f.operator)
	}
	text("name", &n.Name, f.name)
	text("region", &n.Region, f.region)
	if given["allow-remote"] {
		n.AllowRemote = f.remote
	}
	if given["hot"] || !file {
		n.Serving.Hot = f.hot
	}
	if given["collapse"] || !file {
		n.Serving.Collapse = f.collapse
	}
	if given["event"] || given["renditions"] {
		if f.event == "" || f.ladder == "" {
			return n, errors.New("--event and --renditions go together")
		}
		n.Events = []config.Event{f.oneEvent()}
	} else {
		for _, flag := range []string{"pipelines", "segment", "publish-delay", "dvr"} {
			if given[flag] {
				return n, fmt.Errorf("--%s is of the event that --event and --renditions name: give them, too, or set it in the file", flag)
			}
		}
	}
	if role != config.Store && (given["store"] || !file) {
		n.Backend.Store, n.Backend.ChunkSize = f.storeAt()
	}
	for _, address := range f.cache {
		n.Backend.Zones = append(n.Backend.Zones, config.StoreAt{Kind: "memcached", Addresses: []string{address}, Namespace: f.namespace})
	}
	return n, n.Validate()
}

// environment sets the flags of set that were not given from environment variables, and returns which were given either way.
func environment(set *pflag.FlagSet) (given map[string]bool, err error) {
	given = map[string]bool{}
	set.VisitAll(func(flag *pflag.Flag) {
		env := "ORIGIN_STORM_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		if v, ok := os.LookupEnv(env); ok && !flag.Changed {
			if e := set.Set(flag.Name, v); e != nil && err == nil {
				err = fmt.Errorf("environment variable %s: %w", env, e)
			}
		}
		given[flag.Name] = flag.Changed
	})
	return given, err
}

// oneEvent is the event that flags describe.
func (f *flags) oneEvent() config.Event {
	return config.Event{
		Name: f.event, Pipelines: strings.Split(f.pipelines, ","), Renditions: config.Renditions(strings.Split(f.ladder, ",")...), DVR: f.dvr,
		// Numbers count from the Unix epoch, as redundant packagers agree on without talking to each other (DASH-IF Live Media
		// Ingest 1.2).
		Template: segment.Template{Start: time.Unix(0, 0).UTC(), Ticks: f.segment.Milliseconds(), Timescale: 1000, PublishDelay: f.delay},
	}
}

// storeAt is the store that flags describe, and the chunk size that goes with it.
func (f *flags) storeAt() (at config.StoreAt, chunkSize int) {
	kind, addresses, _ := strings.Cut(f.store, ":")
	at = config.StoreAt{Kind: kind, Namespace: f.namespace, Dir: f.dir}
	switch {
	case addresses == "":
	case kind == "s3": // a URL, of which there is one
		at.Addresses, at.User, at.Secret = []string{addresses}, os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
		return at, -1
	default:
		at.Addresses = strings.Split(addresses, ",")
	}
	return at, 0
}

// usage is an error in how a command was called; the program exits with 2.
type usage struct{ error }

func (usage) ExitCode() int   { return 2 }
func (u usage) Unwrap() error { return u.error }
