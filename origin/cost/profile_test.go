package cost_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"origin-storm/origin/cost"
)

func valid() cost.Profile {
	return cost.Profile{
		Name: "test", About: "a test", Source: "made up",
		Write: []cost.Cost{{Dist: cost.Dist{Constant: 10 * ms}}},
		Read: []cost.Cost{
			{UpTo: 64 << 10, Dist: cost.Dist{Constant: 2 * ms}},
			{Dist: cost.Dist{Constant: 3 * ms}, PerMiB: 4 * ms},
		},
	}
}

func TestMeterBySize(t *testing.T) {
	m := valid().Meter(1)
	for _, c := range []struct {
		work cost.Work
		want time.Duration
	}{
		{cost.Work{Write: true, Size: 0}, 10 * ms},
		{cost.Work{Write: true, Size: 8 << 20}, 10 * ms},
		{cost.Work{Size: 1}, 2 * ms},
		{cost.Work{Size: 64 << 10}, 2 * ms},
		{cost.Work{Size: 1 << 20}, 7 * ms},
		{cost.Work{Size: 512 << 10}, 5 * ms},
	} {
		done, throttled := m.Arrive(time.Second, c.work)
		if done != time.Second+c.want || throttled {
			t.Errorf("Arrive(1s, %+v) = %v, %v, want %v, false", c.work, done, throttled, time.Second+c.want)
		}
	}
}

func TestMeterLeavesWhatIsNotKnown(t *testing.T) {
	p := valid()
	p.Read = nil
	p.Servers = 1
	m := p.Meter(1)
	m.Arrive(0, cost.Work{Write: true})
	if done, _ := m.Arrive(time.Millisecond, cost.Work{Size: 1 << 20}); done != time.Millisecond {
		t.Errorf("a read without a cost is done at %v, want at once, whatever the servers do", done)
	}
}

func TestMeterSharesServersAndBandwidth(t *testing.T) {
	p := valid()
	p.Servers = 1
	m := p.Meter(1)
	m.Arrive(0, cost.Work{Write: true})
	if done, _ := m.Arrive(0, cost.Work{Size: 1}); done != 12*ms {
		t.Errorf("a read behind a write on one server is done at %v, want 12ms", done)
	}

	p = valid()
	p.Bandwidth = 8e6 // a byte each microsecond
	m = p.Meter(1)
	if done, _ := m.Arrive(0, cost.Work{Write: true, Size: 5000}); done != 10*ms {
		t.Errorf("a write of 5 ms of bytes is done at %v, want its latency of 10ms", done)
	}
	if done, _ := m.Arrive(0, cost.Work{Size: 20_000}); done != 25*ms {
		t.Errorf("a read of 20 ms of bytes behind it is done at %v, want 25ms", done)
	}
}

func TestMeterThrottlesEachEvent(t *testing.T) {
	p := valid()
	p.Throttle = &cost.Throttle{PerSecond: 100, Burst: 10}
	m := p.Meter(1)
	arrive := func(now time.Duration, event string) bool {
		done, throttled := m.Arrive(now, cost.Work{Write: true, Event: event})
		if throttled && done != now {
			t.Errorf("a refused write at %v is done at %v, want at once", now, done)
		}
		return throttled
	}
	for i := range 10 {
		if arrive(0, "a") {
			t.Fatalf("write %d of a burst of 10 was throttled", i+1)
		}
	}
	if !arrive(0, "a") {
		t.Error("the eleventh write at one instant was not throttled")
	}
	if arrive(0, "b") {
		t.Error("another event was throttled, too")
	}
	if _, throttled := m.Arrive(0, cost.Work{Event: "a"}); throttled {
		t.Error("a read was throttled")
	}
	if arrive(10*ms, "a") || !arrive(10*ms, "a") {
		t.Error("10 ms later, want one write taken and the next one throttled")
	}

	// Over ten seconds at twice the rate, half is taken; many events come and go meanwhile.
	taken := 0
	for i := range 2000 {
		now := time.Second + time.Duration(i)*5*ms
		if !arrive(now, "a") {
			taken++
		}
		arrive(now, fmt.Sprint("passing ", i))
	}
	if taken < 1000 || taken > 1010 {
		t.Errorf("%d of 2000 writes in 10 s were taken at 100 a second and a burst of 10, want 1000 to 1010", taken)
	}
}

// What an operation costs without a queue depends on its key and attempt, not on the order in which goroutines come.
func TestMeterDoesNotDependOnOrder(t *testing.T) {
	p := valid()
	p.Write = []cost.Cost{{Dist: cost.Dist{P50: 25 * ms, P99: 129 * ms}}}
	const n = 500
	costs := func() (got [n]time.Duration) {
		m := p.Meter(9)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				got[i], _ = m.Arrive(0, cost.Work{Write: true, Key: fmt.Sprint(i / 2), Attempt: i % 2})
			})
		}
		wg.Wait()
		return got
	}
	first, second := costs(), costs()
	if first != second {
		t.Error("two meters of one seed charged the same operations differently")
	}
	if first[0] == first[1] {
		t.Error("the second attempt drew the latency of the first")
	}
}

func TestProfileValidate(t *testing.T) {
	if err := valid().Validate(); err != nil {
		t.Fatalf("Validate() = %v, want nil", err)
	}
	for _, c := range []struct {
		name  string
		spoil func(*cost.Profile)
		want  string
	}{
		{"no name", func(p *cost.Profile) { p.Name = "" }, "name"},
		{"no about", func(p *cost.Profile) { p.About = " " }, "about"},
		{"no source", func(p *cost.Profile) { p.Source = "" }, "source"},
		{"bad distribution", func(p *cost.Profile) { p.Write[0].Constant = -1 }, "write[0]"},
		{"sizes fall", func(p *cost.Profile) { p.Read[1].UpTo = 1 }, "read[1].up-to"},
		{"any size comes first", func(p *cost.Profile) { p.Read[0].UpTo = 0 }, "read[0].up-to"},
		{"nothing for large values", func(p *cost.Profile) { p.Read = p.Read[:1] }, "read[0].up-to"},
		{"negative slope", func(p *cost.Profile) { p.Read[1].PerMiB = -1 }, "read[1].per-mib"},
		{"whole segments with reads", func(p *cost.Profile) { p.Whole = true }, "read"},
		{"whole segments without a write", func(p *cost.Profile) { p.Whole, p.Write, p.Read = true, nil, nil }, "whole-segment"},
		{"negative servers", func(p *cost.Profile) { p.Servers = -1 }, "servers"},
		{"negative bandwidth", func(p *cost.Profile) { p.Bandwidth = -1 }, "bandwidth"},
		{"throttle of nothing", func(p *cost.Profile) { p.Throttle = &cost.Throttle{} }, "throttle.publishes-per-second"},
		{"negative burst", func(p *cost.Profile) { p.Throttle = &cost.Throttle{PerSecond: 1, Burst: -1} }, "throttle.burst"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := valid()
			c.spoil(&p)
			if err := p.Validate(); err == nil || !strings.Contains(err.Error(), c.want+":") {
				t.Errorf("Validate() = %v, want an error that names %s", err, c.want)
			}
		})
	}
}

func TestUnits(t *testing.T) {
	for text, want := range map[string]cost.Bytes{
		"0": 0, "17": 17, "17B": 17, "256KiB": 256 << 10, "2 MiB": 2 << 20, "1.5MiB": 3 << 19, "1MB": 1e6, "4kB": 4000, "1GiB": 1 << 30,
	} {
		var got cost.Bytes
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("Bytes of %q = %d, %v, want %d", text, got, err, want)
		}
	}
	for text, want := range map[string]cost.Rate{"10Gbit/s": 1e10, "800Mbit/s": 8e8, "1.5 kbit/s": 1500, "9bit/s": 9} {
		var got cost.Rate
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("Rate of %q = %v, %v, want %v", text, float64(got), err, float64(want))
		}
	}
	for _, text := range []string{"", "x", "-1", "1Kib", "1 TiB", "NaN", "Inf", "1e400", "9999999999GiB", "KiB"} {
		var b cost.Bytes
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("Bytes of %q = %d, want an error", text, b)
		}
	}
	for _, text := range []string{"", "10", "10Gb", "-1bit/s", "NaNbit/s", "1e400bit/s"} {
		var r cost.Rate
		if err := r.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("Rate of %q = %v, want an error", text, r)
		}
	}
}

// What is written is read back the same.
func FuzzUnits(f *testing.F) {
	for _, s := range []string{"256KiB", "1.5 MiB", "10Gbit/s", "0", "1e9B", "0.3kbit/s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var b, b2 cost.Bytes
		if b.UnmarshalText([]byte(s)) == nil {
			text, _ := b.MarshalText()
			if err := b2.UnmarshalText(text); err != nil || b2 != b {
				t.Errorf("Bytes of %q is %d, written as %s, read back as %d, %v", s, b, text, b2, err)
			}
		}
		var r, r2 cost.Rate
		if r.UnmarshalText([]byte(s)) == nil {
			text, _ := r.MarshalText()
			if err := r2.UnmarshalText(text); err != nil || r2 < r*(1-1e-12) || r2 > r*(1+1e-12) {
				t.Errorf("Rate of %q is %v, written as %s, read back as %v, %v", s, float64(r), text, float64(r2), err)
			}
		}
	})
}
