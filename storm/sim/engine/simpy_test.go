package engine_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"origin-storm/origin/kv/kvtest"
	"origin-storm/origin/pairtest"
	"origin-storm/storm/sim/engine"
)

// simpyPython is the Python that has SimPy: deploy/bench installs it.
const simpyPython = "../../../bin/simpy/bin/python"

// model is a simulation of some size, which returns the mean response in milliseconds.
type model func(e *engine.Engine, random *rand.Rand, size int) func() float64

// mm1 is one server at load 0.7 with so many customers.
func mm1(e *engine.Engine, random *rand.Rand, customers int) func() float64 {
	var (
		server = engine.NewStation(e, 1)
		sum    time.Duration
		left   = customers
		next   func()
	)
	next = func() {
		began := e.Now()
		server.Add(time.Duration(random.ExpFloat64()*ms), func() { sum += e.Now() - began })
		if left--; left > 0 {
			e.After(time.Duration(random.ExpFloat64()/0.7*ms), next)
		}
	}
	next()
	return func() float64 { return float64(sum) / ms / float64(customers) }
}

// storm is so many ticks, at each of which 60 readers ask for 12 renditions at once: a latency, a store of 64 servers, and a link that
// they leave one after the other.
func storm(e *engine.Engine, random *rand.Rand, ticks int) func() float64 {
	const reads = 60 * 12
	var (
		store = engine.NewStation(e, 64)
		link  = engine.NewStation(e, 1)
		sum   time.Duration
		left  = ticks
		tick  func()
	)
	tick = func() {
		began := e.Now()
		for range reads {
			e.After(time.Duration(random.ExpFloat64()*2*ms), func() {
				store.Add(time.Duration(random.ExpFloat64()*8*ms), func() {
					link.Add(1600*time.Microsecond, func() { sum += e.Now() - began })
				})
			})
		}
		if left--; left > 0 {
			e.After(2*time.Second, tick)
		}
	}
	tick()
	return func() float64 { return float64(sum) / ms / float64(ticks*reads) }
}

// againstSimPy measures a model here against the same in SimPy: what both take for the same number of customers.
func againstSimPy(b *testing.B, name string, of model, size int) {
	_, err := os.Stat(simpyPython)
	if errors.Is(err, os.ErrNotExist) {
		err = errors.New("no SimPy in bin/simpy, where deploy/bench installs it with python3 and its venv")
	}
	kvtest.Need(b, "SimPy", err)
	var (
		events    int64
		ran       time.Duration
		ours, his []float64 // mean responses
	)
	pairtest.Compare(b, 10,
		pairtest.Side{Name: "simpy", Do: func(i int) time.Duration {
			out, err := exec.CommandContext(b.Context(), simpyPython, "testdata/simpy_models.py", name, fmt.Sprint(size), fmt.Sprint(i)).Output()
			if err != nil {
				b.Fatalf("SimPy's %s: %v", name, err)
			}
			var seconds, mean float64
			if _, err := fmt.Sscan(string(out), &seconds, &mean); err != nil {
				b.Fatalf("SimPy's %s printed %q: %v", name, out, err)
			}
			his = append(his, mean)
			return time.Duration(seconds * float64(time.Second))
		}},
		pairtest.Side{Name: "engine", Do: func(i int) time.Duration {
			var e engine.Engine
			mean := of(&e, rand.New(rand.NewPCG(uint64(i), 8)), size)
			began := time.Now()
			for e.Step() {
			}
			took := time.Since(began)
			events, ran = events+e.Events(), ran+took
			ours = append(ours, mean())
			return took
		}})
	b.ReportMetric(float64(events)/ran.Seconds()/1e6, "Mevents/s")
	if x, y := average(ours), average(his); math.Abs(x/y-1) > 0.1 {
		b.Fatalf("mean response %.3f ms here, %.3f ms in SimPy: these are two models", x, y)
	}
}

func average(x []float64) (sum float64) {
	for _, v := range x {
		sum += v / float64(len(x))
	}
	return sum
}

func BenchmarkMM1AgainstSimPy(b *testing.B)   { againstSimPy(b, "mm1", mm1, 20_000) }
func BenchmarkStormAgainstSimPy(b *testing.B) { againstSimPy(b, "storm", storm, 20) }
