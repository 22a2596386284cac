package cassandra

import (
	"errors"
	"sync"
	"time"

	"github.com/gocql/gocql"

	"origin-storm/origin/kv"
)

// policy chooses the node of an operation by its token, as the driver's own policy does, with two differences. The n-th try's plan
// begins at its n-th node: a retry or a hedge of an operation whose first replica is slow, stopped or dead would wait for that one
// again otherwise. And a node that let an operation wait in vain comes last for a while: until the cluster itself notices that a node
// has stopped, which takes ten seconds and more, every operation of its tokens would have to find out for itself.
type policy struct {
	gocql.HostSelectionPolicy

	mu      sync.Mutex           // guards what follows
	nodes   map[string]string    // every node's data centre by its id
	suspect map[string]time.Time // until when a node comes last, by its id
}

// suspicion is how long a node comes last after it has let an operation wait.
const suspicion = 2 * time.Second

func newPolicy(dc string) *policy {
	fallback := gocql.RoundRobinHostPolicy()
	if dc != "" {
		fallback = gocql.DCAwareRoundRobinPolicy(dc)
	}
	return &policy{
		HostSelectionPolicy: gocql.TokenAwareHostPolicy(fallback),
		nodes:               make(map[string]string), suspect: make(map[string]time.Time),
	}
}

// AddHost implements gocql.HostStateNotifier.
func (p *policy) AddHost(host *gocql.HostInfo) {
	p.mu.Lock()
	p.nodes[host.HostID()] = host.DataCenter()
	p.mu.Unlock()
	p.HostSelectionPolicy.AddHost(host)
}

// in returns the number of nodes in a data centre.
func (p *policy) in(dc string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, where := range p.nodes {
		if where == dc {
			n++
		}
	}
	return n
}

// Pick implements gocql.HostSelectionPolicy.
func (p *policy) Pick(q gocql.ExecutableQuery) gocql.NextHost {
	next := p.HostSelectionPolicy.Pick(q)
	skip := 0
	if q != nil && q.Context() != nil {
		skip = kv.Attempt(q.Context())
	}
	p.mu.Lock()
	last := p.suspects()
	p.mu.Unlock()
	if skip == 0 && last == nil {
		return func() gocql.SelectedHost {
			if host := next(); host != nil {
				return marked{host, p}
			}
			return nil
		}
	}

	var plan, end []gocql.SelectedHost
	for host := next(); host != nil; host = next() {
		if last[host.Info().HostID()] {
			end = append(end, marked{host, p})
		} else {
			plan = append(plan, marked{host, p})
		}
	}
	if len(plan) > 0 {
		skip %= len(plan)
		plan = append(plan[skip:len(plan):len(plan)], plan[:skip]...)
	}
	plan = append(plan, end...)
	return func() gocql.SelectedHost {
		if len(plan) == 0 {
			return nil
		}
		host := plan[0]
		plan = plan[1:]
		return host
	}
}

// suspects returns the nodes that come last now, or nil. The caller holds mu.
func (p *policy) suspects() (last map[string]bool) {
	for id, until := range p.suspect {
		if time.Now().After(until) {
			delete(p.suspect, id)
			continue
		}
		if last == nil {
			last = make(map[string]bool)
		}
		last[id] = true
	}
	return last
}

// marked is a host whose failures the policy hears of.
type marked struct {
	gocql.SelectedHost
	policy *policy
}

// Mark implements gocql.SelectedHost.
func (m marked) Mark(err error) {
	m.SelectedHost.Mark(err)
	if errors.Is(err, gocql.ErrTimeoutNoResponse) {
		m.policy.mu.Lock()
		defer m.policy.mu.Unlock()
		m.policy.suspect[m.Info().HostID()] = time.Now().Add(suspicion)
	}
}
