package servers

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"time"

	"golang.org/x/sync/errgroup"

	"origin-storm/origin/kv/cassandra"
)

// CassandraVersion is the version that native mode runs, of the Maven artifact org.apache.cassandra:cassandra-all.
const CassandraVersion = "5.0.5"

//go:embed cassandra/* java17.options
var files embed.FS

// node is what the files of one Cassandra node say.
type node struct {
	Index       int    // counted from 1
	Data        string // directory
	Listen      string // address to the other nodes; empty: that of the machine's or container's own name
	RPC         string // address to listen on for clients
	Advertise   string // address told to clients
	Seeds       []string
	StoragePort int
	NativePort  int
	Token       string
}

// tokens divides the ring evenly: −2^63 + i·2^64/n.
func tokens(n int) []string {
	out := make([]string, n)
	for i := range out {
		t := new(big.Int).Lsh(big.NewInt(int64(i)), 64)
		t.Div(t, big.NewInt(int64(n)))
		out[i] = t.Add(t, big.NewInt(math.MinInt64)).String()
	}
	return out
}

// configure returns the text of a node's configuration files by name.
func (n node) configure() (map[string][]byte, error) {
	out := make(map[string][]byte)
	all, err := template.ParseFS(files, "cassandra/*")
	if err != nil {
		return nil, fmt.Errorf("servers: Cassandra's configuration: %w", err)
	}
	for _, t := range all.Templates() {
		var text strings.Builder
		if err := t.Execute(&text, n); err != nil {
			return nil, fmt.Errorf("servers: Cassandra's configuration: %w", err)
		}
		out[t.Name()] = []byte(text.String())
	}
	return out, nil
}

// properties are the Java system properties that point a node to the files in dir.
func properties(dir, data string) []string {
	return []string{
		"-Dcassandra.config=file://" + dir + "/cassandra.yaml",
		"-Dcassandra-rackdc.properties=file://" + dir + "/cassandra-rackdc.properties",
		"-Dlogback.configurationFile=" + dir + "/logback.xml",
		"-Dcassandra.storagedir=" + data,
		"-Dcassandra-foreground=yes",
		// The ring is known beforehand: nothing to wait for.
		"-Dcassandra.skip_wait_for_gossip_to_settle=0",
		"-Dcassandra.ring_delay_ms=0",
		"-Dcassandra.superuser_setup_delay_ms=0",
	}
}

// javaFlags returns the arguments of the Java virtual machine: its heap, and the lines of java17.options.
func javaFlags(heapMB int) ([]string, error) {
	text, err := files.ReadFile("java17.options")
	if err != nil {
		return nil, fmt.Errorf("servers: Java's options: %w", err)
	}
	flags := []string{fmt.Sprintf("-Xms%dm", heapMB), fmt.Sprintf("-Xmx%dm", heapMB)}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			flags = append(flags, line)
		}
	}
	return flags, nil
}

// upCassandra starts the nodes of one cluster at once, on 127.0.0.1 and the addresses after it, with the same ports on all.
func upCassandra(ctx context.Context, cfg Config, dir string, nodes []*Server) error {
	bin, err := java()
	if err != nil {
		return err
	}
	jars, err := fetchCassandra(ctx, cfg.Progress)
	if err != nil {
		return err
	}
	cfg.Progress(fmt.Sprintf("starting Cassandra %s x%d", CassandraVersion, len(nodes)))
	for try := range attempts {
		err = startCassandra(ctx, cfg, filepath.Join(dir, fmt.Sprint("try", try+1)), nodes, bin, jars)
		if !errors.Is(err, errPortTaken) {
			break
		}
	}
	return err
}

func startCassandra(ctx context.Context, cfg Config, dir string, nodes []*Server, java, jars string) error {
	hosts := make([]string, len(nodes))
	for i := range hosts {
		hosts[i] = fmt.Sprintf("127.0.0.%d", i+1)
	}
	storage, err := freePort(hosts...)
	if err != nil {
		return fmt.Errorf("%w (on macOS: sudo ifconfig lo0 alias 127.0.0.2 and 127.0.0.3)", err)
	}
	native := storage
	for native == storage {
		if native, err = freePort(hosts...); err != nil {
			return err
		}
	}
	token := tokens(len(nodes))
	for i, s := range nodes {
		n := node{
			Index: i + 1, Data: filepath.Join(dir, s.Name), Listen: hosts[i], RPC: hosts[i], Advertise: hosts[i],
			StoragePort: storage, NativePort: native, Token: token[i],
		}
		for _, host := range hosts {
			n.Seeds = append(n.Seeds, net.JoinHostPort(host, strconv.Itoa(storage)))
		}
		texts, err := n.configure()
		if err != nil {
			return err
		}
		if err := os.MkdirAll(n.Data, 0o755); err != nil {
			return fmt.Errorf("servers: directory of %s: %w", s.Name, err)
		}
		for name, text := range texts {
			if err := os.WriteFile(filepath.Join(n.Data, name), text, 0o644); err != nil {
				return fmt.Errorf("servers: configure %s: %w", s.Name, err)
			}
		}
		flags, err := javaFlags(cfg.HeapMB)
		if err != nil {
			return err
		}
		argv := append([]string{java}, flags...)
		argv = append(argv, properties(n.Data, n.Data)...)
		argv = append(argv, "-Djava.io.tmpdir="+n.Data) // removed with the rest, also after a kill
		argv = append(argv, "-cp", filepath.Join(jars, "*"), "org.apache.cassandra.service.CassandraDaemon")
		s.Addr = net.JoinHostPort(hosts[i], strconv.Itoa(native))
		s.run = &process{argv: argv, log: filepath.Join(n.Data, "log"), reaper: cfg.Reaper, nice: cfg.Nice}
		s.answerCassandra(len(nodes))
	}
	return startNodes(ctx, cfg, nodes)
}

// startNodes starts all nodes at once; when one fails, none is left running.
func startNodes(ctx context.Context, cfg Config, nodes []*Server) error {
	start, startCtx := errgroup.WithContext(ctx)
	for _, s := range nodes {
		start.Go(func() error {
			if err := s.up(startCtx, 3*time.Minute); err != nil {
				return err
			}
			cfg.Progress(s.Name + " answers at " + s.Addr)
			return nil
		})
	}
	err := start.Wait()
	for _, s := range nodes {
		if err != nil {
			err = errors.Join(err, s.Kill())
		}
		s.answerCassandra(1) // a node that is restarted later is back when it answers itself: another one may be dead
	}
	return err
}

// answerCassandra makes a node count as answering when it, and through it every one of its cluster's nodes, does.
func (s *Server) answerCassandra(nodes int) {
	s.answer = func(ctx context.Context) (string, error) { return cassandra.Ping(ctx, s.Addr, nodes) }
}

// java finds a JVM of version 17: in $JAVA_HOME, on the PATH, or where Debian and others put it.
func java() (string, error) {
	var candidates []string
	if home := os.Getenv("JAVA_HOME"); home != "" {
		candidates = append(candidates, filepath.Join(home, "bin", "java"))
	}
	if path, err := exec.LookPath("java"); err == nil {
		candidates = append(candidates, path)
	}
	installed, _ := filepath.Glob("/usr/lib/jvm/*17*/bin/java")
	candidates = append(candidates, installed...)

	var found []string
	for _, bin := range candidates {
		text, err := exec.Command(bin, "-version").CombinedOutput()
		version := javaVersion(string(text))
		if err == nil && strings.HasPrefix(version, "17.") || version == "17" {
			return bin, nil
		}
		found = append(found, bin+" is "+cmp.Or(version, "no JVM"))
	}
	if len(found) == 0 {
		return "", fmt.Errorf("servers: no Java on the PATH: Cassandra 5.0 needs version 17 "+
			"(Debian: apt-get install openjdk-17-jre-headless): %w", ErrMissing)
	}
	return "", fmt.Errorf("servers: Cassandra 5.0 needs Java 17, and %s: install it (Debian: apt-get install openjdk-17-jre-headless) "+
		"or point JAVA_HOME at it: %w", strings.Join(found, ", "), ErrMissing)
}

// javaVersion finds the version in what java -version prints, such as `openjdk version "17.0.15" 2025-04-15`.
func javaVersion(text string) string {
	m := regexp.MustCompile(`version "([^"]+)"`).FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[1]
}
