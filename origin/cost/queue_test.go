package cost_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"origin-storm/origin/cost"
)

// erlangC is the mean number of services' lengths that work waits in M/M/c at load rho.
func erlangC(c int, rho float64) float64 {
	a := rho * float64(c)
	term, sum := 1.0, 0.0
	for k := range c {
		sum += term
		term *= a / float64(k+1)
	}
	wait := term / (1 - rho) / (sum + term/(1-rho))
	return wait / (float64(c) * (1 - rho))
}

// Stations wait as queueing theory says: M/M/c by Erlang's formula, M/D/1 by Pollaczek and Khinchine, M/D/c by Cosmetatos's
// approximation ("Some approximate equilibrium results for the multi-server queue (M/G/r)", 1976), good to a percent here.
func TestStationAgainstTheory(t *testing.T) {
	const n = 400_000
	service := 10 * time.Millisecond
	for _, c := range []struct {
		servers  int
		rho      float64
		constant bool
	}{
		{1, 0.5, false}, {1, 0.8, false}, {4, 0.8, false}, {16, 0.8, false},
		{1, 0.5, true}, {1, 0.8, true}, {4, 0.8, true}, {16, 0.8, true},
	} {
		name := fmt.Sprintf("M/M/%d at %v", c.servers, c.rho)
		want := erlangC(c.servers, c.rho)
		if c.constant {
			name = fmt.Sprintf("M/D/%d at %v", c.servers, c.rho)
			s := float64(c.servers)
			want *= (1 + (1-c.rho)*(s-1)*(math.Sqrt(4+5*s)-2)/(16*c.rho*s)) / 2
		}
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, uint64(c.servers)))
			station := cost.NewStation(c.servers)
			var now, waited time.Duration
			between := float64(service) / float64(c.servers) / c.rho
			for range n {
				now += time.Duration(rng.ExpFloat64() * between)
				s := service
				if !c.constant {
					s = time.Duration(rng.ExpFloat64() * float64(service))
				}
				waited += station.Arrive(now, s) - now - s
			}
			got := float64(waited) / n / float64(service)
			if math.Abs(got-want) > 0.04*want {
				t.Errorf("mean wait = %.3f services, want %.3f", got, want)
			}
		})
	}
}

func TestStationOrder(t *testing.T) {
	s := cost.NewStation(2)
	for i, c := range []struct{ now, service, want time.Duration }{
		{0, 10, 10}, {0, 20, 20}, // both servers idle
		{1, 5, 15}, // waits for the first to be free, at 10
		{15, 100, 115},
		{16, 1, 21},   // the other is free at 20
		{500, 1, 501}, // both idle again
	} {
		if got := s.Arrive(c.now, c.service); got != c.want {
			t.Errorf("arrival %d: Arrive(%d, %d) = %d, want %d", i, c.now, c.service, got, c.want)
		}
	}
	var free cost.Station
	for range 3 {
		if got := free.Arrive(7, 5); got != 12 {
			t.Errorf("without a bound: Arrive(7, 5) = %d, want 12", got)
		}
	}
}

func TestLink(t *testing.T) {
	l := cost.NewLink(8e9) // a byte each nanosecond
	for i, c := range []struct {
		now  time.Duration
		size int64
		want time.Duration
	}{
		{0, 100, 100}, {0, 50, 150}, {149, 1, 151}, {1000, 1 << 20, 1000 + 1<<20},
	} {
		if got := l.Arrive(c.now, c.size); got != c.want {
			t.Errorf("transfer %d: Arrive(%d, %d) = %d, want %d", i, c.now, c.size, got, c.want)
		}
	}
	if got := new(cost.Link).Arrive(5, 1<<40); got != 5 {
		t.Errorf("without a bound: Arrive(5, 2^40) = %d, want 5", got)
	}
}
