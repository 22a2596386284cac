package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"origin-storm/origin/config"
)

// inFile is a node of every role as a file says it, with all that its settings can say.
const inFile = `
role: %s
publish: 127.0.0.1:1001
serve: 127.0.0.1:1001
operator: 127.0.0.1:1001
name: file
region: file
tls-cert: file
tls-key: file
client-ca: file
insecure: false
events:
  - {name: file, pipelines: [file], renditions: [file], dvr: 1m, template: {start: 1970-01-01T00:00:00Z, ticks: 1, timescale: 1, publish-delay: 1m}}
backend: {store: {kind: pebble, dir: file, namespace: file}, zones: [{kind: memcached, addresses: ['127.0.0.1:1001'], namespace: file}]}
serving: {hot: 1, collapse: false, memory: 1}
publishing: {memory: 1}
access: {publish: [{user: file, password: 'env:FILE'}]}
allow-remote: false
drain-delay: 1m
drain-time: 1m
log: {format: text, level: warn, access: false}
host: {stores: [{name: s, store: {kind: mem}}]}
`

// precedence has for each setting where it shows, and what it shows as when it comes from the file, the environment and a flag.
var precedence = []struct {
	name                                 string
	of                                   func(n config.Node) string
	byDefault, fromFile, fromEnv, asFlag string   // what is shown; environment and flags are given the same text
	with                                 []string // other settings that it goes together with, as flags
}{
	{"publish", func(n config.Node) string { return n.Publish }, "127.0.0.1:0", "127.0.0.1:1001", "127.0.0.1:2", "127.0.0.1:3", nil},
	{"serve", func(n config.Node) string { return n.Serve }, "127.0.0.1:0", "127.0.0.1:1001", "127.0.0.1:2", "127.0.0.1:3", nil},
	{"operator", func(n config.Node) string { return n.Operator }, "127.0.0.1:0", "127.0.0.1:1001", "127.0.0.1:2", "127.0.0.1:3", nil},
	{"name", func(n config.Node) string { return n.Name }, "", "file", "env", "flag", nil},
	{"region", func(n config.Node) string { return n.Region }, "", "file", "env", "flag", nil},
	{"tls-cert", func(n config.Node) string { return n.TLSCert }, "", "file", "env", "flag", []string{"--tls-key", "k"}},
	{"tls-key", func(n config.Node) string { return n.TLSKey }, "", "file", "env", "flag", []string{"--tls-cert", "c"}},
	{"client-ca", func(n config.Node) string { return n.ClientCA }, "", "file", "env", "flag", []string{"--tls-cert", "c", "--tls-key", "k"}},
	{"publish-user", func(n config.Node) string {
		if len(n.Access.Publish) == 0 {
			return ""
		}
		return n.Access.Publish[0].User
	}, "", "file", "env", "flag", nil},
	{"insecure", func(n config.Node) string { return fmt.Sprint(n.Insecure) }, "false", "false", "true", "false", nil},
	{"event", func(n config.Node) string { return n.Events[0].Name }, "always", "file", "env", "flag", []string{"--renditions", "r"}},
	{"pipelines", func(n config.Node) string { return strings.Join(n.Events[0].Pipelines, ",") }, "a,b", "file", "e,n,v", "f", []string{"--event", "e", "--renditions", "r"}},
	{"renditions", func(n config.Node) string { return n.Events[0].Renditions[0].Name }, "always", "file", "env", "flag", []string{"--event", "e"}},
	{"segment", func(n config.Node) string { return n.Events[0].Template.Duration().String() }, "2s", "1s", "3s", "4s", []string{"--event", "e", "--renditions", "r"}},
	{"publish-delay", func(n config.Node) string { return n.Events[0].Template.PublishDelay.String() }, "1s", "1m0s", "3s", "4s", []string{"--event", "e", "--renditions", "r"}},
	{"dvr", func(n config.Node) string { return n.Events[0].DVR.String() }, "2h0m0s", "1m0s", "3s", "4s", []string{"--event", "e", "--renditions", "r"}},
	{"store", func(n config.Node) string { return n.Backend.Store.Kind + fmt.Sprint(n.Backend.Store.Addresses) }, "mem[]", "pebble[]", "cassandra[127.0.0.1:2]", "remote[127.0.0.1:3]", nil},
	{"namespace", func(n config.Node) string { return n.Backend.Store.Namespace }, "origin_storm", "file", "env", "flag", nil},
	{"dir", func(n config.Node) string { return n.Backend.Store.Dir }, "", "file", "env", "flag", nil},
	{"cache", func(n config.Node) string {
		var zones []string
		for _, z := range n.Backend.Zones {
			zones = append(zones, z.Addresses...)
		}
		return strings.Join(zones, ",")
	}, "", "127.0.0.1:1001", "127.0.0.1:2", "127.0.0.1:3,127.0.0.1:4", nil},
	{"allow-remote", func(n config.Node) string { return fmt.Sprint(n.AllowRemote) }, "false", "false", "true", "false", nil},
	{"hot", func(n config.Node) string { return fmt.Sprint(n.Serving.Hot) }, "67108864", "1", "2", "3", nil},
	{"serving-memory", func(n config.Node) string { return fmt.Sprint(n.Serving.Memory) }, "0", "1", "2", "3", nil},
	{"publishing-memory", func(n config.Node) string { return fmt.Sprint(n.Publishing.Memory) }, "0", "1", "2", "3", nil},
	{"collapse", func(n config.Node) string { return fmt.Sprint(n.Serving.Collapse) }, "true", "false", "true", "false", nil},
	{"drain-delay", func(n config.Node) string { return n.DrainDelay.String() }, "0s", "1m0s", "2s", "3s", nil},
	{"drain-time", func(n config.Node) string { return n.DrainTime.String() }, "5s", "1m0s", "2s", "3s", nil},
	{"log-format", func(n config.Node) string { return n.Log.Format }, "text", "text", "json", "text", nil},
	{"log-level", func(n config.Node) string { return n.Log.Level }, "info", "warn", "error", "debug", nil},
	{"access-log", func(n config.Node) string { return fmt.Sprint(n.Log.Access) }, "false", "false", "true", "false", nil},
}

// given is a setting's value as it has to be written to show as shown.
func given(name, shown string) string {
	if name == "store" {
		return strings.TrimSuffix(strings.Replace(shown, "[", ":", 1), "]")
	}
	return shown
}

// settled resolves a node of role from arguments, and from a file if there is one.
func settled(t *testing.T, role config.Role, file string, args ...string) (config.Node, error) {
	t.Helper()
	set := pflag.NewFlagSet(string(role), pflag.ContinueOnError)
	register(set, role)
	if err := set.Parse(args); err != nil {
		t.Fatalf("flags %v: %v", args, err)
	}
	return resolve(set, file, role)
}

// A flag wins over the environment, that over the file, and that over the default, for every setting of every role.
func TestPrecedence(t *testing.T) {
	t.Setenv(envPublishPassword, "a password of the environment")
	tested := map[string]bool{}
	for _, role := range []config.Role{config.Publish, config.Serve, config.Store, config.All} {
		file := filepath.Join(t.TempDir(), "node.yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, inFile, role), 0o600); err != nil {
			t.Fatal(err)
		}
		has := map[string]setting{}
		for _, s := range settingsOf(role) {
			has[s.name] = s
		}
		for _, c := range precedence {
			s, ok := has[c.name]
			if !ok {
				continue
			}
			tested[c.name] = true
			t.Run(string(role)+"/"+c.name, func(t *testing.T) {
				check := func(how, want string, n config.Node, err error) {
					t.Helper()
					if err != nil {
						t.Errorf("--%s %s: %v", c.name, how, err)
					} else if got := c.of(n); got != want {
						t.Errorf("--%s %s is %q, want %q", c.name, how, got, want)
					}
				}
				if role != config.Store && c.byDefault != "always" { // a store without a file has nothing to host
					args := []string{"--event", "e", "--renditions", "r"}
					if c.name == "client-ca" {
						args = append(args, c.with...)
					}
					n, err := settled(t, role, "", args...)
					check("by default", c.byDefault, n, err)
				}
				n, err := settled(t, role, file)
				check("in the file", c.fromFile, n, err)
				t.Setenv(s.environment(), given(c.name, c.fromEnv))
				n, err = settled(t, role, file, c.with...)
				check("in the environment and the file", c.fromEnv, n, err)
				n, err = settled(t, role, file, append([]string{"--" + c.name + "=" + given(c.name, c.asFlag)}, c.with...)...)
				check("everywhere", c.asFlag, n, err)
			})
		}
	}
	for _, s := range settings() {
		if !tested[s.name] {
			t.Errorf("--%s has no row in the table of precedence", s.name)
		}
	}
}

// What cannot be meant is refused, by the name that it was given under.
func TestSettingsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, inFile, config.Serve), 0o600); err != nil {
		t.Fatal(err)
	}
	typo := filepath.Join(t.TempDir(), "typo.yaml")
	if err := os.WriteFile(typo, []byte("role: serve\nevents:\n  - {name: e, pipline: [a]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	event := []string{"--event", "ev", "--renditions", "v"}
	for _, c := range []struct {
		name string
		role config.Role
		file string
		env  string // NAME=VALUE
		args []string
		want string
	}{
		{"half an event", config.Serve, "", "", event[:2], "go together"},
		{"part of an event that the file has", config.Serve, file, "", []string{"--segment", "4s"}, "--segment is of the event"},
		{"no such store", config.Serve, "", "", append(event, "--store", "floppy"), `"floppy" is not a store`},
		{"store elsewhere", config.Serve, "", "", append(event, "--store", "cassandra:192.0.2.1:9042"), "--allow-remote"},
		{"no such file", config.Serve, file + "x", "", nil, "no such file"},
		{"file of another role", config.Publish, file, "", nil, "write role: publish"},
		{"unknown field", config.Serve, typo, "", nil, `did you mean "pipelines"?`},
		{"bad duration in the environment", config.Serve, file, "ORIGIN_STORM_DVR=long", nil, "ORIGIN_STORM_DVR"},
		{"bad flag", config.Serve, file, "", []string{"--hot", "much"}, `--hot: "much" is not a number of bytes`},
		{"bad log format", config.Serve, file, "", []string{"--log-format", "xml"}, "use text or json"},
		{"segment of half a millisecond", config.Serve, "", "", append(event, "--segment", "2000500us"), "--segment: 2.0005s is not a number of milliseconds"},
		{"publish open to all", config.Publish, "", "", append(event, "--publish", "0.0.0.0:0"), "--insecure"},
		{"publish open to all by name", config.Publish, "", "", append(event, "--publish", ":8081"), "access.publish names no credentials"},
		{"operator open to all", config.Serve, "", "", append(event, "--operator", "[::]:0"), "access.operator names no credentials"},
		{"user without password", config.Publish, "", "", append(event, "--publish-user", "u"), "ORIGIN_STORM_PUBLISH_PASSWORD"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if name, v, ok := strings.Cut(c.env, "="); ok {
				t.Setenv(name, v)
			}
			if _, err := settled(t, c.role, c.file, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("a %s node with %v: %v, want an error with %q", c.role, c.args, err, c.want)
			}
		})
	}
}

// Anybody may read; who may publish or operate from elsewhere has to be said.
func TestOpenToAll(t *testing.T) {
	event := []string{"--event", "ev", "--renditions", "v"}
	if _, err := settled(t, config.Serve, "", append(event, "--serve", ":0")...); err != nil {
		t.Errorf("a serving node on all addresses: %v, want nil", err)
	}
	if _, err := settled(t, config.Publish, "", append(event, "--publish", ":0", "--insecure")...); err != nil {
		t.Errorf("a publishing node with --insecure: %v, want nil", err)
	}
	t.Setenv(envPublishBearer, "a token of the environment")
	if _, err := settled(t, config.Publish, "", append(event, "--publish", ":0")...); err != nil {
		t.Errorf("a publishing node with a token: %v, want nil", err)
	}
}

// --print-config shows what would be used, and no secret; --help shows the settings of the role alone.
func TestPrintConfig(t *testing.T) {
	t.Setenv(envPublishBearer, "a token of the environment")
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "key-of-s3")
	command := func(args ...string) string {
		t.Helper()
		c := originCommand()
		var out bytes.Buffer
		c.SetArgs(args)
		c.SetOut(&out)
		c.SetErr(&out)
		if err := c.ExecuteContext(context.Background()); err != nil {
			t.Fatalf("origin %v: %v", args, err)
		}
		return out.String()
	}
	text := command("publish", "--event", "ev", "--renditions", "v", "--store", "s3:http://127.0.0.1:9000", "--print-config")
	for _, want := range []string{"role: publish", "name: ev", "env:" + envPublishBearer, "secret: env:AWS_SECRET_ACCESS_KEY"} {
		if !strings.Contains(text, want) {
			t.Errorf("--print-config lacks %q:\n%s", want, text)
		}
	}
	for _, secret := range []string{"a token of the environment", "key-of-s3"} {
		if strings.Contains(text, secret) {
			t.Errorf("--print-config shows %q", secret)
		}
	}
	for role, flags := range map[string]struct{ has, lacks string }{
		"store":   {"--drain-time", "--publish"},
		"publish": {"--publish-user", "--collapse"},
		"serve":   {"--hot", "--publish-user"},
		"all":     {"--publish-user", "--host"},
	} {
		help := command(role, "--help")
		if !strings.Contains(help, flags.has) || strings.Contains(help, flags.lacks+" ") {
			t.Errorf("origin %s --help must have %s and lack %s:\n%s", role, flags.has, flags.lacks, help)
		}
	}
	secret, hash, ok := strings.Cut(command("secret"), "\nhash: ")
	if !ok || !strings.HasPrefix(secret, "secret: ") || !strings.HasPrefix(hash, config.SecretSHA256) {
		t.Errorf("origin secret prints %q, want a secret and its hash", secret+hash)
	}
}
