package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"origin-storm/origin/config"
	"origin-storm/origin/segment"
)

// setting is one setting of a node that has a flag, an environment variable and a default, besides its place in the file. A flag
// wins over the environment, that over the file, and that over the default.
type setting struct {
	name  string // of the flag
	kind  string // what --help calls a value; "bool" needs none
	def   string // in the same form as it is given; empty: none
	usage string
	of    []config.Role // the roles that have it; nil means all
	// set puts a value into a draft. It replaces what the file says, lists included.
	set func(d *draft, value string) error
}

// draft is a node while its settings are put together.
type draft struct {
	config.Node
	event     event    // that settings describe, if they name one
	caches    []string // addresses
	publisher string   // the user whose password is in the environment
}

// event is what settings can say of one event.
type event struct {
	name                string
	pipelines, ladder   []string
	segment, delay, dvr time.Duration
}

var (
	publishing = []config.Role{config.Publish, config.All}
	serving    = []config.Role{config.Serve, config.All}
	answering  = []config.Role{config.Publish, config.Serve, config.All}
)

// settings are all of them, in the order of --help's groups: where, who, what, with what, how.
func settings() []setting {
	return []setting{
		{"publish", "address", "127.0.0.1:0", "where packagers publish to", publishing, text(func(d *draft) *string { return &d.Publish })},
		{"serve", "address", "127.0.0.1:0", "where the CDN asks", serving, text(func(d *draft) *string { return &d.Serve })},
		{"operator", "address", "127.0.0.1:0", "where /stats, /metrics, /healthz and /readyz are", answering, text(func(d *draft) *string { return &d.Operator })},
		{"name", "string", "", "the node's name in answers", nil, text(func(d *draft) *string { return &d.Name })},
		{"region", "string", "", "the node's region in answers", nil, text(func(d *draft) *string { return &d.Region })},

		{"tls-cert", "file", "", "certificate of the listeners with its chain (PEM); read again when it changes", answering, text(func(d *draft) *string { return &d.TLSCert })},
		{"tls-key", "file", "", "its key (PEM)", answering, text(func(d *draft) *string { return &d.TLSKey })},
		{"client-ca", "file", "", "authorities that sign client certificates (PEM)", answering, text(func(d *draft) *string { return &d.ClientCA })},
		{"publish-user", "string", "", "user who may publish, with the password in ORIGIN_STORM_PUBLISH_PASSWORD", publishing, text(func(d *draft) *string { return &d.publisher })},
		{"insecure", "bool", "", "permit listeners off loopback that need no credentials", nil, boolean(func(d *draft) *bool { return &d.Insecure })},

		{"event", "string", "", "name of the event", answering, text(func(d *draft) *string { return &d.event.name })},
		{"pipelines", "list", "a,b", "the event's pipelines, the preferred one first", answering, list(func(d *draft) *[]string { return &d.event.pipelines })},
		{"renditions", "list", "", "the event's renditions, such as v1080,v720,a128", answering, list(func(d *draft) *[]string { return &d.event.ladder })},
		{"segment", "duration", "2s", "how long a segment lasts; numbers count from the Unix epoch", answering, duration(func(d *draft) *time.Duration { return &d.event.segment })},
		{"publish-delay", "duration", "1s", "how long after its last frame a segment is due", answering, duration(func(d *draft) *time.Duration { return &d.event.delay })},
		{"dvr", "duration", "2h", "how far behind the live edge segments are served", answering, duration(func(d *draft) *time.Duration { return &d.event.dvr })},

		{"store", "store", "mem", "mem, pebble, or KIND:ADDRESS[,ADDRESS…] with KIND cassandra, s3 or remote", answering, setStore},
		{"namespace", "string", "origin_storm", "keyspace, bucket or hosted store's name; nothing else is touched", answering, text(func(d *draft) *string { return &d.Backend.Store.Namespace })},
		{"dir", "directory", "", "where pebble keeps its files", answering, text(func(d *draft) *string { return &d.Backend.Store.Dir })},
		{"cache", "list", "", "addresses of memcached zones, nearest first", answering, list(func(d *draft) *[]string { return &d.caches })},
		{"allow-remote", "bool", "", "permit stores that are not on loopback", answering, boolean(func(d *draft) *bool { return &d.AllowRemote })},

		{"hot", "bytes", "67108864", "bytes of the newest segments that a serving node keeps in memory; 0 for none", serving, byteCount(func(d *draft) *int64 { return &d.Serving.Hot })},
		{"collapse", "bool", "true", "make concurrent reads of one segment one read of the store", serving, boolean(func(d *draft) *bool { return &d.Serving.Collapse })},
		{"serving-memory", "bytes", "", "bytes of bodies that are kept hot, read or sent at a time [512 MiB more than --hot]", serving, byteCount(func(d *draft) *int64 { return &d.Serving.Memory })},
		{"publishing-memory", "bytes", "", "bytes of bodies that are received or stored at a time [512 MiB]", publishing, byteCount(func(d *draft) *int64 { return &d.Publishing.Memory })},

		{"drain-delay", "duration", "", "how long a node that stops says so on /readyz before it refuses anything", nil, duration(func(d *draft) *time.Duration { return &d.DrainDelay })},
		{"drain-time", "duration", "5s", "how long what is in flight may take after that", nil, duration(func(d *draft) *time.Duration { return &d.DrainTime })},
		{"log-format", "text|json", "text", "how log lines are written to standard error", nil, text(func(d *draft) *string { return &d.Log.Format })},
		{"log-level", "level", "info", "debug, info, warn or error", nil, text(func(d *draft) *string { return &d.Log.Level })},
		{"access-log", "bool", "", "log each request of publish and serve", answering, boolean(func(d *draft) *bool { return &d.Log.Access })},
	}
}

// The settings that come from the environment alone, because a process's arguments can be read by everybody on the machine.
const (
	envPublishPassword = "ORIGIN_STORM_PUBLISH_PASSWORD"
	envPublishBearer   = "ORIGIN_STORM_PUBLISH_BEARER"
	envOperatorBearer  = "ORIGIN_STORM_OPERATOR_BEARER"
)

// environment is the name of a setting's variable.
func (s setting) environment() string {
	return "ORIGIN_STORM_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

func settingsOf(role config.Role) []setting {
	return slices.DeleteFunc(settings(), func(s setting) bool { return s.of != nil && !slices.Contains(s.of, role) })
}

// register adds the flags of a role to set. They only take note of what is given.
func register(set *pflag.FlagSet, role config.Role) {
	for _, s := range settingsOf(role) {
		usage := s.usage + " [" + s.environment() + "]"
		if s.kind == "bool" {
			set.Bool(s.name, s.def == "true", usage)
			continue
		}
		set.Var(&value{text: s.def, kind: s.kind}, s.name, usage)
	}
}

// value is a flag's value as it is given; lists grow when their flag is repeated.
type value struct {
	text, kind string
	given      bool
}

func (v *value) String() string { return v.text }
func (v *value) Type() string   { return v.kind }
func (v *value) Set(s string) error {
	if v.kind == "list" && v.given {
		s = v.text + "," + s
	}
	v.text, v.given = s, true
	return nil
}

// resolve puts a node of a role together from flags, the environment, the file and the defaults.
func resolve(set *pflag.FlagSet, file string, role config.Role) (config.Node, error) {
	var d draft
	all := settingsOf(role)
	for _, s := range all {
		if s.def == "" {
			continue
		}
		if err := s.set(&d, s.def); err != nil {
			return config.Node{}, fmt.Errorf("default of --%s: %w", s.name, err)
		}
	}
	if file != "" {
		if err := config.Read(file, &d.Node); err != nil {
			return config.Node{}, err
		}
		if d.Role != role {
			return config.Node{}, fmt.Errorf("%s: role: %q is not %[3]s; write role: %[3]s, or start the node that it describes", file, d.Role, role)
		}
	}
	d.Role = role
	given := map[string]bool{}
	for _, s := range all {
		if v, ok := os.LookupEnv(s.environment()); ok {
			if err := s.set(&d, v); err != nil {
				return config.Node{}, fmt.Errorf("environment variable %s: %w", s.environment(), err)
			}
			given[s.name] = true
		}
		if f := set.Lookup(s.name); f.Changed {
			if err := s.set(&d, f.Value.String()); err != nil {
				return config.Node{}, fmt.Errorf("--%s: %w", s.name, err)
			}
			given[s.name] = true
		}
	}
	if err := d.finish(given); err != nil {
		return config.Node{}, err
	}
	return d.Node, d.Validate()
}

// finish puts into the node what several settings say together, given the names of those that the file did not have the last word on.
func (d *draft) finish(given map[string]bool) error {
	switch e := d.event; {
	case given["event"] || given["renditions"]:
		if e.name == "" || len(e.ladder) == 0 {
			return errors.New("--event and --renditions go together")
		}
		if e.segment%time.Millisecond != 0 || e.segment == 0 {
			return fmt.Errorf("--segment: %v is not a number of milliseconds; a template in a file may have any ticks and timescale", e.segment)
		}
		d.Events = []config.Event{{
			Name: e.name, Pipelines: e.pipelines, Renditions: config.Renditions(e.ladder...), DVR: e.dvr,
			// Numbers count from the Unix epoch, as redundant packagers agree on without talking to each other (DASH-IF Live Media
			// Ingest 1.2).
			Template: segment.Template{Start: time.Unix(0, 0).UTC(), Ticks: e.segment.Milliseconds(), Timescale: 1000, PublishDelay: e.delay},
		}}
	default:
		for _, name := range []string{"pipelines", "segment", "publish-delay", "dvr"} {
			if given[name] {
				return fmt.Errorf("--%s is of the event that --event and --renditions name: give them, too, or set it in the file", name)
			}
		}
	}
	if given["cache"] {
		d.Backend.Zones = nil
		for _, address := range d.caches {
			d.Backend.Zones = append(d.Backend.Zones, config.StoreAt{Kind: "memcached", Addresses: []string{address}, Namespace: d.Backend.Store.Namespace})
		}
	}
	var publish []config.Credential
	switch password := os.Getenv(envPublishPassword); {
	case d.publisher != "" && password != "":
		publish = append(publish, config.Credential{User: d.publisher, Password: config.SecretEnv + envPublishPassword})
	case d.publisher != "":
		return fmt.Errorf("--publish-user: the password of %q has to be in %s", d.publisher, envPublishPassword)
	}
	if os.Getenv(envPublishBearer) != "" {
		publish = append(publish, config.Credential{Bearer: config.SecretEnv + envPublishBearer})
	}
	if publish != nil {
		d.Access.Publish = publish
	}
	if os.Getenv(envOperatorBearer) != "" {
		d.Access.Operator = []config.Credential{{Bearer: config.SecretEnv + envOperatorBearer}}
	}
	return nil
}

// setStore says which store, and with it the chunk size. The namespace and directory are settings of their own.
func setStore(d *draft, v string) error {
	kind, addresses, _ := strings.Cut(v, ":")
	old := d.Backend.Store
	d.Backend.Store = config.StoreAt{Kind: kind, Namespace: old.Namespace, Dir: old.Dir}
	d.Backend.ChunkSize = 0
	switch {
	case addresses == "":
	case kind == "s3": // a URL, of which there is one, and a segment is one object
		d.Backend.Store.Addresses, d.Backend.ChunkSize = []string{addresses}, -1
		d.Backend.Store.User, d.Backend.Store.Secret = os.Getenv("AWS_ACCESS_KEY_ID"), config.SecretEnv+"AWS_SECRET_ACCESS_KEY"
	default:
		d.Backend.Store.Addresses = strings.Split(addresses, ",")
	}
	return nil
}

func text(at func(*draft) *string) func(*draft, string) error {
	return func(d *draft, v string) error { *at(d) = v; return nil }
}

func list(at func(*draft) *[]string) func(*draft, string) error {
	return func(d *draft, v string) error {
		*at(d) = nil
		if v != "" {
			*at(d) = strings.Split(v, ",")
		}
		return nil
	}
}

func boolean(at func(*draft) *bool) func(*draft, string) error {
	return func(d *draft, v string) error {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", v)
		}
		*at(d) = b
		return nil
	}
}

func byteCount(at func(*draft) *int64) func(*draft, string) error {
	return func(d *draft, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number of bytes", v)
		}
		*at(d) = n
		return nil
	}
}

func duration(at func(*draft) *time.Duration) func(*draft, string) error {
	return func(d *draft, v string) error {
		t, err := time.ParseDuration(v)
		if err != nil {
			return fmt.Errorf("%q is not a duration, such as 2s or 1m30s", v)
		}
		*at(d) = t
		return nil
	}
}
