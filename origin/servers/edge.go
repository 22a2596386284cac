package servers

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"
)

//go:embed edges
var edgeFiles embed.FS

// The edge programs: HTTP caches as CDNs have them.
const (
	Nginx   = "nginx"
	Varnish = "varnish"
)

// edges are the edge programs that can be brought up.
var edges = []string{Nginx, Varnish}

// EdgeConfig is what an edge is told: where it listens, and which serve nodes it asks.
type EdgeConfig struct {
	Listen  string   // host:port
	Origins []string // host:port of each; they must know the same events
	// MB is how much nginx may keep on disk, in MiB; 0 means 256. Varnish is told on its command line.
	MB int
}

// EdgeFile returns the configuration file that makes program, Nginx or Varnish, an edge as the origin means it: one request to
// the origin for all who ask for the same, and lifetimes as the origin's answers give them, errors included.
func EdgeFile(program string, cfg EdgeConfig) ([]byte, error) {
	name, ok := map[string]string{Nginx: "nginx.conf", Varnish: "varnish.vcl"}[program]
	if !ok {
		return nil, fmt.Errorf("servers: no edge program is called %q: use %s", program, strings.Join(edges, " or "))
	}
	type backend struct{ Host, Port string }
	data := struct {
		EdgeConfig
		Backends []backend
		Root     bool // nginx's workers would give up root's rights, and with them its directory
	}{EdgeConfig: cfg, Root: os.Getuid() == 0}
	if data.MB == 0 {
		data.MB = 256
	}
	if data.MB < 0 {
		return nil, fmt.Errorf("servers: %s: %d MiB to keep: give 1 or more, or 0 for 256", program, data.MB)
	}
	if len(cfg.Origins) == 0 {
		return nil, fmt.Errorf("servers: %s: no origin to ask: give the addresses of serve nodes", program)
	}
	for _, addr := range append(cfg.Origins, cfg.Listen) {
		host, port, err := net.SplitHostPort(addr)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" || strings.ContainsAny(addr, " \t\r\n\";{}#") {
			return nil, fmt.Errorf("servers: %s: %q is no address like 127.0.0.1:8080", program, addr)
		}
		data.Backends = append(data.Backends, backend{host, port})
	}
	data.Backends = data.Backends[:len(cfg.Origins)]
	t, err := template.ParseFS(edgeFiles, "edges/"+name)
	if err != nil {
		return nil, fmt.Errorf("servers: %s: %w", program, err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return nil, fmt.Errorf("servers: %s: %w", program, err)
	}
	return b.Bytes(), nil
}

// findEdge returns where program is and which version, or how to get it.
func findEdge(ctx context.Context, program string) (bin, version string, err error) {
	command, flag := program, "-v"
	if program == Varnish {
		command, flag = "varnishd", "-V"
	}
	// Debian keeps them where only root's PATH looks.
	for _, path := range []string{command, "/usr/sbin/" + command, "/usr/local/sbin/" + command} {
		if bin, err = exec.LookPath(path); err == nil {
			break
		}
	}
	if err != nil {
		return "", "", fmt.Errorf("servers: no %s on the PATH: install it (Debian: apt-get install %s): %w", command, program, ErrMissing)
	}
	out, err := exec.CommandContext(ctx, bin, flag).CombinedOutput()
	if err != nil {
		return "", "", fmt.Errorf("servers: %s %s: %w: %s", bin, flag, err, lastLines(out))
	}
	return bin, edgeVersion(string(out)), nil
}

// edgeVersion reads "nginx version: nginx/1.22.1" or "varnishd (varnish-7.1.1 revision 7cee1c5…)".
func edgeVersion(text string) string {
	at := strings.IndexAny(text, "0123456789")
	if at < 0 {
		return "of an unknown version"
	}
	end := strings.IndexFunc(text[at:], func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		return text[at:]
	}
	return text[at : at+end]
}

// EdgeReady returns why program cannot be brought up as an edge on this machine, an error that wraps ErrMissing, or nil.
func EdgeReady(ctx context.Context, program string) error {
	_, _, err := findEdge(ctx, program)
	return err
}

// upEdge starts the edge program, with other ports as long as the chosen one turns out to be taken.
func (s *Server) upEdge(ctx context.Context, cfg Config, dir string) error {
	bin, version, err := findEdge(ctx, cfg.Edge)
	if err != nil {
		return err
	}
	for range attempts {
		port, err := freePort("127.0.0.1")
		if err != nil {
			return err
		}
		s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		text, err := EdgeFile(cfg.Edge, EdgeConfig{Listen: s.Addr, Origins: cfg.Origins})
		if err != nil {
			return err
		}
		file := filepath.Join(dir, s.Name+".conf")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return fmt.Errorf("servers: %s: %w", s.Name, err)
		}
		argv := []string{bin, "-p", dir, "-e", "stderr", "-c", file}
		if cfg.Edge == Varnish {
			// In the foreground, its files in a directory of its own, without a change of user and without a management port;
			// two hundred threads, since each reader that waits has one.
			argv = []string{bin, "-F", "-n", filepath.Join(dir, "varnish"), "-j", "none", "-a", s.Addr, "-f", file, "-s", "malloc,256M", "-T", "none",
				"-p", "thread_pools=1", "-p", "thread_pool_min=200", "-p", "default_grace=0", "-p", "default_keep=0"}
		}
		s.run = &process{argv: argv, log: filepath.Join(dir, s.Name+".log"), reaper: cfg.Reaper, nice: cfg.Nice}
		s.answer = func(ctx context.Context) (string, error) { return version, knockEdge(ctx, s.Addr) }
		// Varnish compiles its configuration with a C compiler first.
		if err = s.up(ctx, 30*time.Second); err == nil {
			cfg.Progress(s.Name + " answers at " + s.Addr)
			return nil
		}
		if !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return fmt.Errorf("servers: %s: the port was taken by another program %d times", s.Name, attempts)
}

// knockEdge asks an edge for itself.
func knockEdge(ctx context.Context, addr string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/.edge", nil)
	if err != nil {
		return err
	}
	t := &http.Transport{DisableKeepAlives: true}
	res, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("%s is no edge of ours: it answers %s", addr, res.Status)
	}
	return nil
}

// checkEdge returns why cfg's edge cannot be.
func (cfg Config) checkEdge() error {
	switch {
	case cfg.Edge == "":
		return nil
	case !slices.Contains(edges, cfg.Edge):
		return fmt.Errorf("servers: no edge program is called %q: use %s", cfg.Edge, strings.Join(edges, " or "))
	case cfg.Mode != Native:
		return fmt.Errorf("servers: mode %s has no edges: use native", cfg.Mode)
	case len(cfg.Origins) == 0:
		return fmt.Errorf("servers: %s: no origin to ask: give the addresses of serve nodes", cfg.Edge)
	}
	return nil
}
