// Package config is the data that tells an origin process what to be: its role, its listeners, its events and its stores.
// Scenarios write it, spawned processes read it, and operators keep it in files. It holds no behaviour beyond reading,
// checking and defaults.
package config

import (
	"time"

	"origin-storm/origin/segment"
)

// Role is what an origin process does.
type Role string

// The roles. A deployment and a live run keep them in separate processes; All is for trying things out.
const (
	Publish Role = "publish" // takes segments from packagers
	Serve   Role = "serve"   // answers the CDN
	Store   Role = "store"   // hosts embedded stores for the other two
	All     Role = "all"     // publish and serve in one process
)

// Node is one origin process.
type Node struct {
	Role Role `yaml:"role,omitempty"`
	// Name and Region go into response headers and statistics. Each node of a deployment has a name of its own: what is said about
	// events on it is kept under that name.
	Name   string `yaml:"name,omitempty"`
	Region string `yaml:"region,omitempty"`
	// Listen addresses, host:port; port 0 picks a free one, and empty means 127.0.0.1:0. Operator is the operator's listener (/stats, /healthz, …).
	Publish  string `yaml:"publish,omitempty"`
	Serve    string `yaml:"serve,omitempty"`
	Operator string `yaml:"operator,omitempty"`
	// TLSCert and TLSKey are PEM files for the publish, serve and operator listeners; empty: plain HTTP. They are read again when
	// they have changed, so that a renewal needs no restart.
	TLSCert string `yaml:"tls-cert,omitempty"`
	TLSKey  string `yaml:"tls-key,omitempty"`
	// ClientCA is a PEM file with the authorities whose client certificates Access may name.
	ClientCA string `yaml:"client-ca,omitempty"`
	Access   Access `yaml:"access,omitempty"`
	// Insecure permits listeners off loopback that anybody may publish to, operate or store in.
	Insecure bool   `yaml:"insecure,omitempty"`
	Limits   Limits `yaml:"limits,omitempty"`
	Log      Log    `yaml:"log,omitempty"`
	// DrainDelay is how long a node that stops says so on /readyz before it refuses anything, so that load balancers can notice.
	DrainDelay time.Duration `yaml:"drain-delay,omitempty"`
	// DrainTime bounds how long what is in flight may take after that; 0 means 5 s: a write has its 2 s budget, and a hold lasts
	// up to two segments.
	DrainTime time.Duration `yaml:"drain-time,omitempty"`

	// Writers are the nodes whose word about events counts here: masks, notices, ends. Publishing nodes are always writers, for
	// notices come with segments, so every node has to list all of them, and besides them those whose operator's listener is
	// to accept changes. Empty means this node alone.
	Writers []string `yaml:"writers,omitempty"`

	Events     []Event    `yaml:"events,omitempty"`
	Backend    Backend    `yaml:"backend,omitempty"`
	Serving    Serving    `yaml:"serving"`
	Publishing Publishing `yaml:"publishing,omitempty"`
	// Host is what a node of role Store hosts.
	Host Host `yaml:"host,omitempty"`
	// AllowRemote permits stores that are not on loopback.
	AllowRemote bool `yaml:"allow-remote,omitempty"`
}

// Event is one live event: who publishes what, on which clock.
type Event struct {
	Name       string      `yaml:"name"`
	Pipelines  []string    `yaml:"pipelines"` // in the order in which candidates are preferred
	Renditions []Rendition `yaml:"renditions"`
	// Template maps numbers to time for every rendition of the event.
	Template segment.Template `yaml:"template"`
	// DVR is how far behind the live edge segments are served; 0 means 2 h.
	DVR time.Duration `yaml:"dvr,omitempty"`
	// MaxSegment bounds a segment's body in bytes; 0 means 32 MiB.
	MaxSegment int64 `yaml:"max-segment,omitempty"`
	// Inspect looks into the boxes of what is published, and marks what the packager did not; nil means true.
	Inspect *bool `yaml:"inspect,omitempty"`
	// HeaderFirst refuses media segments until their initialisation segment has been published.
	HeaderFirst bool `yaml:"header-first,omitempty"`
}

// Backend is where a node keeps segments.
type Backend struct {
	// Name is what reports call it, such as "cassandra+cache".
	Name  string  `yaml:"name,omitempty"`
	Store StoreAt `yaml:"store,omitempty"`
	// Zones are cache zones that hold a full copy each, nearest first; empty means no cache.
	Zones []StoreAt `yaml:"zones,omitempty"`
	// ChunkSize in bytes: a segment of at most this many is stored inline in its Commit; 0 means the measured default of
	// package storage, a negative number that every segment is one object.
	ChunkSize int `yaml:"chunk-size,omitempty"`
	// Whole says that a profile charges whole segment writes: no operation is retried or hedged.
	Whole bool `yaml:"whole,omitempty"`
	// HedgeAfter is when a slow operation gets a second try beside it; 0 means the default, a negative number never.
	HedgeAfter time.Duration `yaml:"hedge-after,omitempty"`
	// MissRatio is the share of cache reads, 0 to 1, that a run turns into misses on purpose.
	MissRatio float64 `yaml:"miss-ratio,omitempty"`
	// Seed keys every draw.
	Seed uint64 `yaml:"seed,omitempty"`
}

// StoreAt names a store and how to reach it.
type StoreAt struct {
	// Kind is mem, pebble, s3, cassandra, memcached or remote.
	Kind      string   `yaml:"kind,omitempty"`
	Addresses []string `yaml:"addresses,omitempty"` // host:port; of s3 one URL
	// Namespace is the keyspace, bucket/prefix, key prefix or hosted store's name: nothing outside it is read or written.
	Namespace string `yaml:"namespace,omitempty"`
	Dir       string `yaml:"dir,omitempty"` // of pebble
	User      string `yaml:"user,omitempty"`
	Secret    string `yaml:"secret,omitempty"` // or "env:" and the name of an environment variable that holds it
	// Replicas is Cassandra's replication factor when the keyspace has to be created; 0 means min(3, nodes).
	Replicas int `yaml:"replicas,omitempty"`
	// Limit bounds what a mem store holds, in bytes; 0 means no bound.
	Limit int64 `yaml:"limit,omitempty"`
}

// Serving tunes a serving node.
type Serving struct {
	// Hot is how many bytes of the newest segments the node keeps in memory; 0 none.
	Hot int64 `yaml:"hot"`
	// Collapse makes concurrent reads of one segment one read of the store.
	Collapse bool `yaml:"collapse"`
	// Holds bounds how many requests may be held at a time; 0 means 10,000.
	// Half of them is shared out equally among the events, so that none can take them all.
	Holds int `yaml:"holds,omitempty"`
	// HoldTime is how long a request may be held, for edges that give up before a segment's deadline (up to two segments after
	// it was asked for): it is then answered 404, to be asked again at once. 0 means until the deadline.
	HoldTime time.Duration `yaml:"hold-time,omitempty"`
	// Stress says when reads that can wait are shed to spare the store.
	Stress Stress `yaml:"stress,omitempty"`
	// Memory bounds the bytes of bodies that are kept hot, being read from the store, or being sent, each counted once however many
	// it is sent to; 0 means 512 MiB more than Hot. What does not fit waits for a moment and is then answered 503; the last quarter
	// is for the live edge alone. Idle buffers take up to an eighth more, and the kernel's socket buffers are not in it.
	Memory int64 `yaml:"memory,omitempty"`
	// SlowestReader is how many bytes a second a reader has to take on average, 10 s of grace apart, not to be cut off; 0 means
	// 64,000.
	SlowestReader int64 `yaml:"slowest-reader,omitempty"`
}

// Stress says when a store counts as short of capacity. Package stress has the defaults and their sources.
type Stress struct {
	// Target is how long a read of the store should take, PerMiB how much longer for each MiB that it brings, and Maximum (and
	// PerMiB) how long it may take. 0 means 10ms, 20ms and 500ms; of an S3 store 200ms, 20ms and 2s.
	Target  time.Duration `yaml:"target,omitempty"`
	PerMiB  time.Duration `yaml:"per-mib,omitempty"`
	Maximum time.Duration `yaml:"maximum,omitempty"`
	// Window is over how much time reads are counted, Samples how many it needs. 0 means 4s and 100.
	Window  time.Duration `yaml:"window,omitempty"`
	Samples int           `yaml:"samples,omitempty"`
	// Shed is the share of reads over the target, 0 to 1, above which DVR reads are shed; 0 means 0.4, a negative number never.
	Shed float64 `yaml:"shed,omitempty"`
	// ShedLiveEdge is the share of reads over the maximum above which the live edge is shed, too; 0 means never.
	ShedLiveEdge float64 `yaml:"shed-live-edge,omitempty"`
}

// Publishing tunes a publishing node.
type Publishing struct {
	// Memory bounds the bytes of bodies that are being received or stored, each counted with the buffer that was set up for it; 0
	// means 512 MiB. What does not fit is answered 503. Nothing that is read takes from it.
	Memory int64 `yaml:"memory,omitempty"`
	// Prefix stands ahead of all paths of the publish listener, such as /ingest, and what is not below it is refused; empty: nothing
	// does.
	Prefix string `yaml:"prefix,omitempty"`
}

// Host is what a store process hosts: any number of stores under names, and at most one S3 server.
type Host struct {
	Listen string        `yaml:"listen,omitempty"` // of kv/remote
	Stores []HostedStore `yaml:"stores,omitempty"`
	S3     *HostedS3     `yaml:"s3,omitempty"`
	Seed   uint64        `yaml:"seed,omitempty"`
	// Faults is where a rehearsal may begin and end faults of these stores; empty: nowhere. It has to be on loopback.
	Faults string `yaml:"faults,omitempty"`
}

// HostedStore is one store behind kv/remote.
type HostedStore struct {
	Name    string  `yaml:"name"`
	Store   StoreAt `yaml:"store"`             // mem or pebble
	Profile string  `yaml:"profile,omitempty"` // a published profile's name or a file; empty: the host's own time
}

// HostedS3 is the in-process S3 server.
type HostedS3 struct {
	Listen  string `yaml:"listen,omitempty"`
	Bucket  string `yaml:"bucket"`
	Profile string `yaml:"profile,omitempty"`
}

// Ready is the one line of JSON that an origin process prints on its standard output once it answers: where it listens, by
// the names of Node's fields.
type Ready struct {
	Publish  string `json:"publish,omitempty"`
	Serve    string `json:"serve,omitempty"`
	Operator string `json:"operator,omitempty"`
	Host     string `json:"host,omitempty"`
	S3       string `json:"s3,omitempty"`
	Faults   string `json:"faults,omitempty"`
	PID      int    `json:"pid"`
}
