package sim

import (
	"time"

	"origin-storm/origin/cost"
)

// Costs is what the parts of one origin take. The zero value costs nothing: everything is answered in the instant in which it is asked.
type Costs struct {
	// Store is one operation of the durable store as the node that asks it sees it: at quorum, where there are replicas. A profile of whole
	// segment writes is charged as the origin charges it: once, from the segment's first operation on.
	Store cost.Profile `yaml:"store"`
	// Cache is one operation of one cache zone.
	Cache cost.Profile `yaml:"cache,omitempty"`
	// Publish and Serve are what a request takes of a node beside stores and caches, and Driver what it takes of whoever asks, where that
	// stands on the same machine: its bytes are waited for, the rest is done before a request is sent and after it was answered.
	Publish Demand `yaml:"publish,omitempty"`
	Serve   Demand `yaml:"serve,omitempty"`
	Driver  Demand `yaml:"driver,omitempty"`
	// StoreWork and CacheWork are what one operation takes of the processors of the store's and the cache's nodes; StoreWriteWork is what a
	// write takes of the store's, where that is something else (see Writing). A write has StoreWork's latency all the same.
	StoreWork      Demand `yaml:"store-work,omitempty"`
	StoreWriteWork Demand `yaml:"store-write-work,omitempty"`
	CacheWork      Demand `yaml:"cache-work,omitempty"`
	// ReadableBefore is how long before a write to the store was answered what it wrote can be read at most: stores apply a write before they have
	// made sure that it lasts, and answer after that.
	ReadableBefore time.Duration `yaml:"readable-before,omitempty"`
}

// Writing is what a write takes of the store's nodes: StoreWriteWork, or StoreWork where that says nothing.
func (c *Costs) Writing() Demand {
	if c.StoreWriteWork.PerRequest+c.StoreWriteWork.PerMiB > 0 {
		return c.StoreWriteWork
	}
	return c.StoreWork
}

// Demand is what one request takes: of a processor, and of time beside it.
type Demand struct {
	// PerRequest and PerMiB are time of one core; a request's work is PerRequest and PerMiB for each MiB that it carries. Requests share
	// cores fairly, and none takes more than one.
	PerRequest time.Duration `yaml:"per-request,omitempty"`
	PerMiB     time.Duration `yaml:"per-mib,omitempty"`
	// Beside is which part of that work, 0 to 1, is done while the request waits for something else, or after it was answered: it takes the
	// processors' time all the same, and only others wait for it. Of Publish and Serve alone.
	Beside float64 `yaml:"beside,omitempty"`
	// Idle is how many cores a node takes that nobody asks for anything: its collector of garbage, its compactions, its timers.
	Idle float64 `yaml:"idle,omitempty"`
	// Latency is waited without using anything: connections, system calls, scheduling. It is drawn for each request.
	Latency cost.Dist `yaml:"latency,omitempty"`
}

// Work is the time of one core that a request with so many bytes takes.
func (d Demand) Work(bytes int64) time.Duration {
	return d.PerRequest + time.Duration(float64(d.PerMiB)*float64(bytes)/(1<<20))
}

// Topology is how many of what an origin has. Its zero value is one node of each, on machines without bound.
type Topology struct {
	// Publish and Serve are how many nodes publish and serve; 0 means 1. Packagers are spread over the publishing nodes and readers over the
	// serving ones as the live driver spreads them.
	Publish int `yaml:"publish,omitempty"`
	Serve   int `yaml:"serve,omitempty"`
	// PublishCores, ServeCores, StoreCores and CacheCores are the cores of one node of each; 0 means no bound.
	PublishCores int `yaml:"publish-cores,omitempty"`
	ServeCores   int `yaml:"serve-cores,omitempty"`
	StoreCores   int `yaml:"store-cores,omitempty"`
	CacheCores   int `yaml:"cache-cores,omitempty"`
	// Shared is the number of cores of the one machine on which all of them and the driver run, as in a live run; the four above then mean
	// nothing. 0: each node has its own.
	Shared int `yaml:"shared-cores,omitempty"`
	// PublishLink, ServeLink, StoreLink and CacheLink are the bandwidth of one node of each, in each direction; 0 means no bound.
	PublishLink cost.Rate `yaml:"publish-link,omitempty"`
	ServeLink   cost.Rate `yaml:"serve-link,omitempty"`
	StoreLink   cost.Rate `yaml:"store-link,omitempty"`
	CacheLink   cost.Rate `yaml:"cache-link,omitempty"`

	// Store is how many nodes the durable store has, each value on Replicas of them, of which a quorum must answer; 0 and 1 mean one that
	// is its own quorum.
	Store    int `yaml:"store,omitempty"`
	Replicas int `yaml:"replicas,omitempty"`
	// Down are those of the store's nodes, counted from 0, that are dead from the beginning. Values are kept on nodes that follow one another,
	// the first after the last, and so are these: a value that has replicas on them has fewer that answer.
	Down []int `yaml:"down,omitempty"`
	// Zones is how many cache zones there are, each with a copy of everything; 0 means no cache. CacheNodes is how many nodes share a zone's
	// keys; 0 means 1. ZoneMemory bounds what one zone keeps, the oldest lost first; 0: nothing is lost.
	Zones      int        `yaml:"zones,omitempty"`
	CacheNodes int        `yaml:"cache-nodes,omitempty"`
	ZoneMemory cost.Bytes `yaml:"zone-memory,omitempty"`
	// MissRatio is the part of the cache's reads, 0 to 1, that are misses on purpose.
	MissRatio float64 `yaml:"miss-ratio,omitempty"`
	// ChunkSize is above which size a segment is kept in chunks; 0 means what the origin does, a negative number never.
	ChunkSize int `yaml:"chunk-size,omitempty"`

	// Hot is how many bytes of the newest segments each serving node keeps in memory, Collapse whether it makes concurrent reads of a
	// segment one, Shed whether it sends readers who can wait away while the store is short of capacity.
	Hot      cost.Bytes `yaml:"hot,omitempty"`
	Collapse bool       `yaml:"collapse,omitempty"`
	Shed     bool       `yaml:"shed,omitempty"`
}
