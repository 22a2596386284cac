package servers

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestJavaVersion(t *testing.T) {
	for text, want := range map[string]string{
		"openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime Environment (build 17.0.15+6-Debian-1deb12u1)": "17.0.15",
		"java version \"1.8.0_202\"":                              "1.8.0_202",
		"Picked up _JAVA_OPTIONS: -Xmx1g\nopenjdk version \"21\"": "21",
		"command not found":                                       "",
	} {
		if got := javaVersion(text); got != want {
			t.Errorf("javaVersion(%q) = %q, want %q", text, got, want)
		}
	}
}

// script puts a program of the given shell text on a PATH that holds little else.
func script(t *testing.T, name, text string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
}

func TestJavaOfAnotherVersionIsRefusedByName(t *testing.T) {
	if installed, _ := filepath.Glob("/usr/lib/jvm/*17*/bin/java"); len(installed) == 0 {
		script(t, "java", `echo 'openjdk version "11.0.2" 2019-01-15' >&2`)
		t.Setenv("JAVA_HOME", "")
		if _, err := java(); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "11.0.2") || !strings.Contains(err.Error(), "17") {
			t.Errorf("java() with Java 11 on the PATH = %v, want ErrMissing, and the versions named", err)
		}
		return
	}
	// One that is installed beside the wrong one is found.
	script(t, "java", `echo 'openjdk version "11.0.2" 2019-01-15' >&2`)
	t.Setenv("JAVA_HOME", "")
	if bin, err := java(); err != nil || !strings.HasPrefix(bin, "/usr/lib/jvm/") {
		t.Errorf("java() with Java 11 on the PATH and 17 installed = %q, %v, want the one installed", bin, err)
	}
}

func TestFetchCassandra(t *testing.T) {
	const works = `mkdir jars && echo x > jars/cassandra-all-` + CassandraVersion + `.jar && echo x > jars/other.jar`
	t.Run("fetched once by several at a time", func(t *testing.T) {
		cache := t.TempDir()
		t.Setenv("ORIGIN_STORM_CACHE", cache)
		script(t, "mvn", works)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				dir, err := fetchCassandra(t.Context(), func(string) {})
				if err != nil {
					t.Errorf("fetchCassandra() = %v", err)
					return
				}
				if jars, err := os.ReadDir(dir); err != nil || len(jars) != 2 {
					t.Errorf("fetchCassandra() = %s, which holds %v, %v; want two jars", dir, jars, err)
				}
			})
		}
		all.Wait()
		script(t, "mvn", "exit 1") // not asked again
		if _, err := fetchCassandra(t.Context(), func(string) {}); err != nil {
			t.Errorf("fetchCassandra() of what was fetched = %v", err)
		}
		if list, err := os.ReadDir(cache); err != nil || len(list) != 1 {
			t.Errorf("the cache holds %v, %v; want the jars' directory alone", list, err)
		}
	})
	for _, c := range []struct{ name, mvn, want string }{
		{"mvn fails", "echo no network; exit 3", "no network"},
		{"mvn fetches something else", "mkdir jars", "cassandra-all-" + CassandraVersion},
	} {
		t.Run(c.name, func(t *testing.T) {
			cache := t.TempDir()
			t.Setenv("ORIGIN_STORM_CACHE", cache)
			script(t, "mvn", c.mvn)
			if _, err := fetchCassandra(t.Context(), func(string) {}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("fetchCassandra() = %v, want an error about %q", err, c.want)
			}
			if list, _ := os.ReadDir(cache); len(list) != 0 {
				t.Errorf("a fetch that failed left %v", list)
			}
		})
	}
	t.Run("no mvn", func(t *testing.T) {
		t.Setenv("ORIGIN_STORM_CACHE", t.TempDir())
		t.Setenv("PATH", "/nowhere")
		if _, err := fetchCassandra(t.Context(), func(string) {}); !errors.Is(err, ErrMissing) {
			t.Errorf("fetchCassandra() without mvn = %v, want ErrMissing", err)
		}
	})
}

func TestTokensDivideTheRing(t *testing.T) {
	for n, want := range map[int][]string{
		1: {"-9223372036854775808"},
		3: {"-9223372036854775808", "-3074457345618258603", "3074457345618258602"},
	} {
		if got := tokens(n); !slices.Equal(got, want) {
			t.Errorf("tokens(%d) = %v, want %v", n, got, want)
		}
	}
}

func TestConfigureSaysWhatTheNodeIs(t *testing.T) {
	files, err := node{
		Index: 2, Data: "/d", Listen: "127.0.0.2", RPC: "127.0.0.2", Advertise: "127.0.0.2",
		Seeds: []string{"127.0.0.1:7", "127.0.0.2:7"}, StoragePort: 7, NativePort: 9, Token: "-5",
	}.configure()
	if err != nil {
		t.Fatal(err)
	}
	for name, wants := range map[string][]string{
		"cassandra.yaml": {
			`initial_token: "-5"`, `seeds: "127.0.0.1:7,127.0.0.2:7"`, "listen_address: 127.0.0.2\n", "rpc_address: 127.0.0.2\n",
			"storage_port: 7\n", "native_transport_port: 9\n", `data_file_directories: ["/d/data"]`,
		},
		"cassandra-rackdc.properties": {"dc=datacenter1\n", "rack=rack2\n"},
		"logback.xml":                 {"ConsoleAppender"},
	} {
		for _, want := range wants {
			if !strings.Contains(string(files[name]), want) {
				t.Errorf("%s lacks %q:\n%s", name, want, files[name])
			}
		}
	}
	files, err = node{}.configure()
	if err != nil || strings.Contains(string(files["cassandra.yaml"]), "listen_address") {
		t.Errorf("a node in a container has to find its own address (%v):\n%s", err, files["cassandra.yaml"])
	}
}

func TestEndOf(t *testing.T) {
	for tail, taken := range map[string]bool{
		"failed to listen on TCP port 11211: Address already in use":                                              true,
		"Exception: /127.0.0.1:7000 is in use by another process.":                                                true,
		"driver failed programming external connectivity: Bind for 127.0.0.1:1 failed: port is already allocated": true,
		"listen tcp4 127.0.0.1:1: bind: address already in use":                                                   true,
		"java.lang.OutOfMemoryError: Java heap space":                                                             false,
		"": false,
	} {
		if got := errors.Is(endOf(tail), errPortTaken); got != taken {
			t.Errorf("endOf(%q) says that the port is taken: %v, want %v", tail, got, taken)
		}
	}
}

func TestFreePort(t *testing.T) {
	hosts := []string{"127.0.0.1", "127.0.0.2"}
	port, err := freePort(hosts...)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(hosts[1], strconv.Itoa(port)))
	if err != nil {
		t.Fatalf("port %d is not free: %v", port, err)
	}
	defer l.Close()
	if err := tryPort(hosts, port); err == nil {
		t.Errorf("tryPort(%v, %d) = nil while %s listens there", hosts, port, hosts[1])
	}
	if _, err := freePort("192.0.2.1"); err == nil || !strings.Contains(err.Error(), "192.0.2.1") {
		t.Errorf("freePort of an address of another machine = %v, want an error that names it", err)
	}
}

func TestLastLines(t *testing.T) {
	long := strings.Repeat("0123456789\n", 1000)
	got := lastLines([]byte(long))
	if len(got) > tailSize || len(got) < tailSize-20 || !strings.HasPrefix(got, "0123456789\n") {
		t.Errorf("lastLines of %d bytes = %d bytes that begin %.15q, want whole lines of at most %d bytes", len(long), len(got), got, tailSize)
	}
	if got := lastLines([]byte("a\nb\n")); got != "a\nb" {
		t.Errorf("lastLines(a, b) = %q", got)
	}
}

func TestCheckMemory(t *testing.T) {
	meminfo := filepath.Join(t.TempDir(), "meminfo")
	if err := os.WriteFile(meminfo, []byte("MemTotal:       8000000 kB\nMemAvailable:   4194304 kB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cfg  Config
		fits bool
	}{
		{Config{Cassandra: 3, HeapMB: 512, Memcached: 3, MemcachedMB: 256}, true},
		{Config{Cassandra: 3, HeapMB: 512, Memcached: 3, MemcachedMB: 512}, false},
		{Config{Cassandra: 3, HeapMB: 1024}, false},
	} {
		if err := c.cfg.checkMemory(meminfo); (err == nil) != c.fits {
			t.Errorf("checkMemory of %+v on 4 GiB = %v, want it to fit: %v", c.cfg, err, c.fits)
		}
	}
	if err := (Config{Cassandra: 3, HeapMB: 1 << 20}).checkMemory("/nowhere"); err != nil {
		t.Errorf("checkMemory where nobody knows = %v, want nil", err)
	}
}
