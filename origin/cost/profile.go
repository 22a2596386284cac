package cost

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Profile describes what a store costs, with its source. It is data: a file that people read and write.
type Profile struct {
	Name  string `yaml:"name"`
	About string `yaml:"about"`
	// Source says where the figures come from: a publication with its address and date, or a measured run.
	Source string `yaml:"source"`
	// Whole is set where a figure describes the write of a whole segment; otherwise each describes one operation of the store.
	Whole bool `yaml:"whole-segment,omitempty"`
	// Write and Read are the latencies of a store that is not waited for, by size. Nothing given means that nothing is known, and
	// such operations take the host's own time.
	Write []Cost `yaml:"write,omitempty"`
	Read  []Cost `yaml:"read,omitempty"`
	// Servers is how many operations are served at a time, reads and writes together; 0 means no bound.
	Servers int `yaml:"servers,omitempty"`
	// Bandwidth is shared by the bytes of reads and writes; 0 means no bound.
	Bandwidth Rate      `yaml:"bandwidth,omitempty"`
	Throttle  *Throttle `yaml:"throttle,omitempty"`
}

// Cost is the latency of operations up to a size.
type Cost struct {
	// UpTo is the largest value it holds for; 0, allowed for the last of a list only, means any.
	UpTo Bytes `yaml:"up-to,omitempty"`
	Dist `yaml:",inline"`
	// PerMiB is added to each draw in proportion to the value's size.
	PerMiB time.Duration `yaml:"per-mib,omitempty"`
}

// Throttle refuses what is published too fast.
type Throttle struct {
	// PerSecond is how many writes of one event are taken in a second.
	PerSecond float64 `yaml:"publishes-per-second"`
	// Burst is how many may come at one instant after a rest; 0 means the number of one second.
	Burst int `yaml:"burst,omitempty"`
}

// Validate returns everything that is wrong with p, each with its field, or nil.
func (p Profile) Validate() error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("cost: profile %q: %s: %w", p.Name, field, fmt.Errorf(format, args...)))
	}
	for field, text := range map[string]string{"name": p.Name, "about": p.About, "source": p.Source} {
		if strings.TrimSpace(text) == "" {
			wrong(field, "is missing: say what the profile is called, what it describes, and where its figures come from")
		}
	}
	for field, costs := range map[string][]Cost{"write": p.Write, "read": p.Read} {
		for i, c := range costs {
			at := fmt.Sprintf("%s[%d]", field, i)
			if err := c.Dist.Validate(); err != nil {
				wrong(at, "%w", err)
			}
			if c.PerMiB < 0 || c.PerMiB > longest {
				wrong(at+".per-mib", "%v: must be 0 to %v", c.PerMiB, longest)
			}
			last := i == len(costs)-1
			switch {
			case c.UpTo < 0, c.UpTo == 0 && !last:
				wrong(at+".up-to", "%v: must be above 0; only the last entry may leave it out", c.UpTo)
			case c.UpTo > 0 && i > 0 && c.UpTo <= costs[i-1].UpTo:
				wrong(at+".up-to", "%v after %v: sizes must rise", c.UpTo, costs[i-1].UpTo)
			case c.UpTo > 0 && last:
				wrong(at+".up-to", "%v: the last entry holds for all larger values, so it has no up-to", c.UpTo)
			}
		}
	}
	if p.Whole && len(p.Write) == 0 {
		wrong("whole-segment", "needs a write: it is the write of a segment that is charged")
	}
	if p.Whole && len(p.Read) > 0 {
		wrong("read", "a profile of whole segment writes has no reads of single operations")
	}
	if p.Servers < 0 || p.Servers > 1<<20 {
		wrong("servers", "%d: must be 0 (no bound) to %d", p.Servers, 1<<20)
	}
	if p.Bandwidth < 0 {
		wrong("bandwidth", "%v: must not be negative", p.Bandwidth)
	}
	if t := p.Throttle; t != nil {
		if !(t.PerSecond > 0 && t.PerSecond <= 1e6) {
			wrong("throttle.publishes-per-second", "%v: must be above 0 and at most a million", t.PerSecond)
		}
		if t.Burst < 0 || t.Burst > 1e6 {
			wrong("throttle.burst", "%d: must be 0 (the number of one second) to a million", t.Burst)
		}
	}
	return errors.Join(errs...)
}

// curve is a Cost that is drawn from many times.
type curve struct {
	Curve
	upTo   Bytes
	perMiB time.Duration
}

func curves(costs []Cost) []curve {
	all := make([]curve, len(costs))
	for i, c := range costs {
		all[i] = curve{c.Curve(), c.UpTo, c.PerMiB}
	}
	return all
}

// find returns the cost of a value of that size; nil where there is none.
func find(costs []curve, size int) *curve {
	for i := range costs {
		if c := &costs[i]; c.upTo == 0 || int64(size) <= int64(c.upTo) {
			return c
		}
	}
	return nil
}

// Work is one operation to be charged.
type Work struct {
	Write   bool
	Size    int    // of the value in bytes
	Key     string // with Attempt, what the draw depends on
	Attempt int
	Event   string // whose throttle counts a write
	// Place is the share of all latencies that this one's is not below, between 0 and 1, for a caller who has drawn himself; 0: it is drawn.
	Place float64
}

// Meter charges operations by a profile. It is one store: everything that shares the store's servers and bandwidth must be charged by
// the same Meter. It is safe for concurrent use.
type Meter struct {
	profile     Profile
	read, write []curve
	seed        uint64

	mu       sync.Mutex // guards the following
	station  *Station
	link     *Link
	throttle map[string]time.Duration // by event: when its allowance is whole again
}

// Meter returns a meter of an idle store with p's costs. p must be valid.
func (p Profile) Meter(seed uint64) *Meter {
	return &Meter{
		profile: p, read: curves(p.Read), write: curves(p.Write), seed: seed,
		station: NewStation(p.Servers), link: NewLink(p.Bandwidth),
		throttle: make(map[string]time.Duration),
	}
}

// Profile returns what the meter charges by.
func (m *Meter) Profile() Profile { return m.profile }

// Arrive returns when work that arrives at now is done. Instants are durations since one origin that the caller chooses and keeps,
// not negative. Work that is throttled is refused at once: done is now, and neither servers nor bandwidth were used.
func (m *Meter) Arrive(now time.Duration, w Work) (done time.Duration, throttled bool) {
	op, costs := "read", m.read
	if w.Write {
		op, costs = "write", m.write
	}
	var service time.Duration
	c := find(costs, w.Size)
	if c != nil {
		place := w.Place
		if place == 0 {
			place = Draw(m.seed, op, w.Key, w.Attempt)
		}
		service = c.Quantile(place) + time.Duration(float64(c.perMiB)*float64(w.Size)/(1<<20))
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	if w.Write && m.profile.Throttle != nil && m.refuse(now, w.Event) {
		return now, true
	}
	done = now
	if c != nil {
		done = m.station.Arrive(now, service)
	}
	// A latency measured on an idle store contains the transfer of the bytes, so the two are not added: the link only says how
	// early it can be over when others use it, too.
	return max(done, m.link.Arrive(now, int64(w.Size))), false
}

// refuse counts a write of event, or says that there were too many: a token bucket kept as the one instant when it is full again (the
// generic cell rate algorithm of ITU-T I.371). The caller holds mu.
func (m *Meter) refuse(now time.Duration, event string) bool {
	t := m.profile.Throttle
	each := time.Duration(float64(time.Second) / t.PerSecond)
	burst := float64(t.Burst)
	if t.Burst == 0 {
		burst = max(1, t.PerSecond)
	}
	whole := max(now, m.throttle[event])
	if whole-now > time.Duration((burst-1)*float64(each)) {
		return true
	}
	m.throttle[event] = whole + each
	if len(m.throttle) > maxEvents {
		for e, whole := range m.throttle {
			if whole <= now {
				delete(m.throttle, e) // as good as never seen
			}
		}
	}
	return false
}

// maxEvents is how many events' allowances are kept before those that are whole are forgotten.
const maxEvents = 1024
