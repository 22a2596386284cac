package engine_test

import (
	"crypto/sha256"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"origin-storm/storm/sim/engine"
)

// The tests here hold means over many replications against closed forms, which must lie in their 99 % interval. Seeds are fixed: a test
// that passes passes always.

const (
	replications = 40
	student      = 2.7079 // the 0.995 quantile of Student's t with 39 degrees of freedom
	ms           = float64(time.Millisecond)
)

// holds fails unless want lies in the 99 % interval for the mean that the replications give, and the interval is narrow enough to mean
// something.
func holds(t *testing.T, what string, means [replications]float64, want float64) {
	t.Helper()
	var sum, squares float64
	for _, m := range means {
		sum += m
	}
	mean := sum / replications
	for _, m := range means {
		squares += (m - mean) * (m - mean)
	}
	half := student * math.Sqrt(squares/(replications-1)/replications)
	t.Logf("%s: %.4f ± %.4f, in theory %.4f", what, mean, half, want)
	if math.Abs(mean-want) > half {
		t.Errorf("%s = %.4f ± %.4f, in theory %.4f", what, mean, half, want)
	}
	if half > 0.06*want {
		t.Errorf("%s = %.4f ± %.4f: an interval that wide shows nothing", what, mean, half)
	}
}

// A service is a distribution of service times with mean 1: how to draw one, and its second moment.
type service struct {
	name   string
	draw   func(*rand.Rand) float64
	second float64
}

var (
	exponential   = service{"M", (*rand.Rand).ExpFloat64, 2}
	deterministic = service{"D", func(*rand.Rand) float64 { return 1 }, 1}
	uniform       = service{"U", func(r *rand.Rand) float64 { return 2 * r.Float64() }, 4. / 3}
	// Of two exponentials, the longer one drawn rarely: the squared coefficient of variation is 5.5.
	hyperexponential = service{"H2", func(r *rand.Rand) float64 {
		if r.Float64() < 0.1 {
			return 5.5 * r.ExpFloat64()
		}
		return 0.5 * r.ExpFloat64()
	}, 2 * (0.1*5.5*5.5 + 0.9*0.25)}
	// Short ones and long ones, nothing between.
	twofold = service{"two sizes", func(r *rand.Rand) float64 {
		if r.Float64() < 0.2 {
			return 3
		}
		return 0.5
	}, 0.2*9 + 0.8*0.25}
)

// resource is a Station or a Share that is given work in milliseconds.
type resource func(work float64, done func())

func stationOf(servers int) func(*engine.Engine) resource {
	return func(e *engine.Engine) resource {
		s := engine.NewStation(e, servers)
		return func(work float64, done func()) { s.Add(time.Duration(work*ms), done) }
	}
}

func shareOf(capacity, each float64) func(*engine.Engine) resource {
	return func(e *engine.Engine) resource {
		s := engine.NewShare(e, 1000*capacity, 1000*each)
		return func(work float64, done func()) { s.Add(work, done) }
	}
}

// poisson lets arrivals come at rate a millisecond, and hands each to arrive with a function that it calls when all is done. It returns the
// mean response in milliseconds of those that come after the first fifth.
func poisson(seed uint64, arrivals int, rate float64, arrive func(*engine.Engine, *rand.Rand) func(done func())) float64 {
	var (
		e      engine.Engine
		random = rand.New(rand.NewPCG(seed, 4))
		one    = arrive(&e, random)
		n      int
		sum    float64
		next   func()
	)
	next = func() {
		if n++; n > arrivals {
			return
		}
		began, counts := e.Now(), n > arrivals/5
		one(func() {
			if counts {
				sum += float64(e.Now()-began) / ms
			}
		})
		e.After(time.Duration(random.ExpFloat64()/rate*ms), next)
	}
	next()
	for e.Step() {
	}
	return sum / float64(arrivals-arrivals/5)
}

// erlangC is the probability of waiting in M/M/c with offered load a.
func erlangC(c int, a float64) float64 {
	b := 1.0 // Erlang B by its recursion
	for k := 1; k <= c; k++ {
		b = a * b / (float64(k) + a*b)
	}
	return b / (1 - a/float64(c)*(1-b))
}

// TestQueues holds mean responses of single resources against their closed forms: Pollaczek and Khinchine's for one server, Erlang's C for
// several, and for sharing that the distribution of the work does not matter but for its mean.
func TestQueues(t *testing.T) {
	const load = 0.7
	fcfs := func(s service) float64 { return 1 + load*s.second/2/(1-load) }
	several := func(c int) float64 { return 1 + erlangC(c, load*float64(c))/(float64(c)*(1-load)) }
	inf := math.Inf(1)
	for _, c := range []struct {
		name    string
		of      func(*engine.Engine) resource
		servers float64
		service service
		want    float64
	}{
		{"M/M/1", stationOf(1), 1, exponential, 1 / (1 - load)},
		{"M/D/1", stationOf(1), 1, deterministic, fcfs(deterministic)},
		{"M/U/1", stationOf(1), 1, uniform, fcfs(uniform)},
		{"M/H2/1", stationOf(1), 1, hyperexponential, fcfs(hyperexponential)},
		{"M/M/4", stationOf(4), 4, exponential, several(4)},
		{"M/M/20", stationOf(20), 20, exponential, several(20)},
		{"M/U/∞", stationOf(engine.NoBound), 20, uniform, 1},
		{"M/M/1 shared", shareOf(1, inf), 1, exponential, 1 / (1 - load)},
		{"M/D/1 shared", shareOf(1, inf), 1, deterministic, 1 / (1 - load)},
		{"M/H2/1 shared", shareOf(1, inf), 1, hyperexponential, 1 / (1 - load)},
		{"M/M/4 shared, one core for each at most", shareOf(4, 1), 4, exponential, several(4)},
		{"M/D/4 shared, one core for each at most", shareOf(4, 1), 4, deterministic, several(4)},
		{"M/H2/4 shared, one core for each at most", shareOf(4, 1), 4, hyperexponential, several(4)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var means [replications]float64
			for r := range means {
				means[r] = poisson(uint64(r), 6000, load*c.servers, func(e *engine.Engine, random *rand.Rand) func(func()) {
					add := c.of(e)
					return func(done func()) { add(c.service.draw(random), done) }
				})
			}
			holds(t, "mean response", means, c.want)
		})
	}
}

// TestSharedSlowdown: under sharing work of every size is slowed down alike, by one over the capacity that is left.
func TestSharedSlowdown(t *testing.T) {
	const load = 0.6
	var short, long [replications]float64
	for r := range replications {
		var sums, counts [2]float64
		poisson(uint64(r), 6000, load, func(e *engine.Engine, random *rand.Rand) func(func()) {
			add := shareOf(1, math.Inf(1))(e)
			return func(done func()) {
				began, work, size := e.Now(), twofold.draw(random), 0
				if work > 1 {
					size = 1
				}
				add(work, func() {
					sums[size] += float64(e.Now()-began) / ms / work
					counts[size]++
					done()
				})
			}
		})
		short[r], long[r] = sums[0]/counts[0], sums[1]/counts[1]
	}
	holds(t, "slowdown of short work", short, 1/(1-load))
	holds(t, "slowdown of long work", long, 1/(1-load))
}

// TestForkJoin: a request that asks several servers at once is done with the slowest.
func TestForkJoin(t *testing.T) {
	fork := func(n int, of func(*engine.Engine) resource) func(*engine.Engine, *rand.Rand) func(func()) {
		return func(e *engine.Engine, random *rand.Rand) func(func()) {
			servers := make([]resource, n)
			for i := range servers {
				servers[i] = of(e)
			}
			return func(done func()) {
				left := n
				for _, add := range servers {
					add(random.ExpFloat64(), func() {
						if left--; left == 0 {
							done()
						}
					})
				}
			}
		}
	}
	harmonic := func(n int) (h float64) {
		for i := range n {
			h += 1 / float64(i+1)
		}
		return h
	}
	for _, c := range []struct {
		name    string
		servers int
		of      func(*engine.Engine) resource
		load    float64
		want    float64
	}{
		// The greatest of n exponentials is the n-th harmonic number, where nobody waits.
		{"2 at rest", 2, stationOf(engine.NoBound), 0.7, harmonic(2)},
		{"8 at rest", 8, stationOf(engine.NoBound), 0.7, harmonic(8)},
		// Two queues that the same arrivals join (Flatto and Hahn, SIAM J. Appl. Math. 44, 1984).
		{"2 queues at 0.5", 2, stationOf(1), 0.5, (12 - 0.5) / 8 / (1 - 0.5)},
		{"2 queues at 0.7", 2, stationOf(1), 0.7, (12 - 0.7) / 8 / (1 - 0.7)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var means [replications]float64
			for r := range means {
				means[r] = poisson(uint64(r), 6000, c.load, fork(c.servers, c.of))
			}
			holds(t, "mean response", means, c.want)
		})
	}
}

// TestWorkIsConserved: what the resources say that they did is the work that they were given, and what they did between two instants is
// the load.
func TestWorkIsConserved(t *testing.T) {
	var (
		e         engine.Engine
		random    = rand.New(rand.NewPCG(1, 5))
		station   = engine.NewStation(&e, 3)
		share     = engine.NewShare(&e, 3, 1)
		given     time.Duration
		left      = 20_000
		next      func()
		ended     [2]int
		atHalf    time.Duration
		servedBy  float64
		halfReach time.Duration
	)
	next = func() {
		work := time.Duration(random.ExpFloat64() * 2 * ms)
		given += work
		station.Add(work, func() { ended[0]++ })
		share.Add(work.Seconds(), func() { ended[1]++ })
		if left--; left == 10_000 {
			halfReach, atHalf, servedBy = e.Now(), station.Busy(), share.Served()
		}
		if left > 0 {
			e.After(time.Duration(random.ExpFloat64()*ms), next)
		}
	}
	next()
	for e.Step() {
	}
	if ended != [2]int{20_000, 20_000} {
		t.Errorf("%v ended of 20000 at either", ended)
	}
	if got := station.Busy(); got != given {
		t.Errorf("Busy() = %v, want the work of %v", got, given)
	}
	if got := share.Served(); math.Abs(got-given.Seconds()) > 1e-9*given.Seconds() {
		t.Errorf("Served() = %v, want the work of %v", got, given.Seconds())
	}
	over := (e.Now() - halfReach).Seconds()
	for name, used := range map[string]float64{"station": (station.Busy() - atHalf).Seconds(), "share": share.Served() - servedBy} {
		if got := used / over / 3; got < 0.63 || got > 0.70 {
			t.Errorf("the %s was used to %.3f in the second half, want about 2/3", name, got)
		}
	}
}

// TestRepeats: the same seed makes the same history to the last nanosecond, and it is this one on every processor.
func TestRepeats(t *testing.T) {
	history := func(seed uint64) string {
		var (
			e       engine.Engine
			random  = rand.New(rand.NewPCG(seed, 6))
			station = engine.NewStation(&e, 2)
			share   = engine.NewShare(&e, 2.5, 1)
			sum     = sha256.New()
			left    = 5000
			next    func()
		)
		next = func() {
			n := left
			timeout := e.After(time.Duration(random.IntN(int(5*ms))), func() { fmt.Fprintln(sum, n, "late", e.Now()) })
			share.Add(random.Float64()/1e3, func() {
				station.Add(time.Duration(random.IntN(int(ms))), func() {
					e.Cancel(timeout)
					fmt.Fprintln(sum, n, "done", e.Now())
				})
			})
			if left--; left > 0 {
				e.After(time.Duration(random.IntN(int(ms))), next)
			}
		}
		next()
		for e.Step() {
		}
		return fmt.Sprintf("%x", sum.Sum(nil)[:8])
	}
	if got, again := history(7), history(7); got != again {
		t.Errorf("two histories of one seed: %s and %s", got, again)
	}
	if got, want := history(7), "07b3ed90331840ea"; got != want {
		t.Errorf("history %s, want %s", got, want)
	}
	if history(7) == history(8) {
		t.Error("two seeds make one history")
	}
}
