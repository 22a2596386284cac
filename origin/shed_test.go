package origin_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/kv"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/origintest"
	"origin-storm/origin/policy"
	"origin-storm/origin/segment"
	"origin-storm/origin/storage"
	"origin-storm/origin/stress"
)

// queue is a store that does one read after another, each in the same time, whether or not somebody still waits for it once
// it has begun. Writes have a queue of their own.
func queue(s kv.Store, read time.Duration) kv.Store {
	turn := make(chan struct{}, 1)
	return kv.Inject(s, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
		if op.Write {
			return do(ctx)
		}
		select {
		case turn <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		defer func() { <-turn }()
		time.Sleep(read)
		if err := ctx.Err(); err != nil {
			return err
		}
		return do(ctx)
	})
}

// flood is how one phase of TestShedding went.
type flood struct {
	dvr, shed, failed atomic.Int64 // DVR reads
	slowest           atomic.Int64 // of the held reads of the live edge, after the publication, in ns
}

func (f *flood) String() string {
	return fmt.Sprintf("%d DVR reads answered, %d shed, %d failed; held reads up to %v after the publication",
		f.dvr.Load(), f.shed.Load(), f.failed.Load(), time.Duration(f.slowest.Load()))
}

// floods is how the phases of TestShedding went.
type floods struct {
	quiet, stormy, after *flood
	state                stress.State // in the end
}

// TestShedding: a store that can do 166 reads a second is asked by DVR readers for 240, beside its live edge. Without shedding
// its queue grows until most of them are not answered in time; with it none fails and more are answered, which is to say that
// there is no congestive failure. The live edge and publishing go on as if nothing were, and when the flood is over everybody is
// answered again.
func TestShedding(t *testing.T) {
	shed, left := stormOn(t, config.Stress{}), stormOn(t, config.Stress{Shed: -1})
	for name, f := range map[string]floods{"shedding": shed, "not shedding": left} {
		t.Logf("%s: quiet: %v; flooded: %v; after: %v; %+v", name, f.quiet, f.stormy, f.after, f.state)
		for phase, f := range map[string]*flood{"quiet": f.quiet, "after": f.after} {
			if f.dvr.Load() != 160 || f.shed.Load()+f.failed.Load() != 0 {
				t.Errorf("%s, %s: %v, want all 160 answered", name, phase, f)
			}
		}
	}
	if left.stormy.failed.Load() < 1000 {
		t.Errorf("without shedding: %v, want the flood to be too much for the store", left.stormy)
	}
	if f := shed.stormy; f.failed.Load() > 0 || f.shed.Load() == 0 || f.dvr.Load() < left.stormy.dvr.Load() {
		t.Errorf("with shedding: %v, want none to fail and more to be answered than without: %v", f, left.stormy)
	}
	for phase, f := range map[string]*flood{"quiet": shed.quiet, "flooded": shed.stormy, "after": shed.after} {
		if late := time.Duration(f.slowest.Load()); late > 5*time.Millisecond {
			t.Errorf("%s: a held read was answered %v after the publication, want within 5ms", phase, late)
		}
	}
	if s := shed.state; s.Stressed || s.Entered != 1 {
		t.Errorf("in the end: %+v, want one stress that is over", s)
	}
}

// stormOn is a quiet time, a flood and another quiet time.
func stormOn(t *testing.T, c config.Stress) (out floods) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		meter := stress.New(c)
		durable := &mem.Store{}
		commits := kv.Observe(queue(durable, 6*time.Millisecond), func(op kv.Op, took time.Duration, err error) {
			if op.Write {
				return
			}
			meter.Record(time.Now(), took, op.Size(), stress.EndOf(err))
		})
		ev := origintest.Event(start)
		ev.Pipelines = []string{"a"}
		ev.Renditions = renditions(20)
		// The cache is one that has just been restarted: it has what is published from now on.
		old := origintest.Start(t, origintest.Config{Events: []config.Event{ev}, Commits: durable})
		const past = 300
		at(start, past*2*time.Second)
		for n := range past - 20 {
			for _, r := range ev.Renditions {
				id := segment.ID{Event: "ev", Pipeline: "a", Rendition: r.Name, Number: int64(n)}
				if _, err := old.Segments.Put(t.Context(), id, []byte("x"), storage.Meta{}, time.Hour); err != nil {
					t.Fatal(err)
				}
			}
		}
		o := origintest.Start(t, origintest.Config{
			Events: []config.Event{ev}, Commits: commits, Zones: []kv.Store{&mem.Store{}},
			Load: func() policy.Load { return meter.State(time.Now()).Load() },
		})

		// storm publishes for so many segments, with a held reader each and so many DVR readers a second.
		var asked atomic.Int64
		storm := func(segments int, dvr int) *flood {
			f := &flood{}
			var all sync.WaitGroup
			next := ev.Template.Next(time.Now()) + 1
			for n := range int64(segments) {
				n += next
				began := ev.Template.Begins(n)
				time.Sleep(time.Until(began))
				published := began.Add(1500 * time.Millisecond)
				all.Go(func() {
					wantStatus(t, "held GET", get(t, o, fmt.Sprintf("/ev/v1/%d.m4s", n)), 200)
					late := int64(time.Since(published))
					for most := f.slowest.Load(); late > most && !f.slowest.CompareAndSwap(most, late); most = f.slowest.Load() {
					}
				})
				all.Go(func() {
					time.Sleep(time.Until(published))
					a := put(t, o, fmt.Sprintf("/ev/a/v1/%d.m4s", n), bytesOf("y", 100))
					if a.StatusCode != 201 || a.took > 10*time.Millisecond {
						t.Errorf("PUT of %d = %d after %v, want 201 at once", n, a.StatusCode, a.took)
					}
				})
				for i := range 2 * dvr {
					time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(dvr))))
					all.Go(func() {
						// Each asks for something else, so that no cache helps.
						n := asked.Add(1)
						a, err := try(t.Context(), o, http.MethodGet, fmt.Sprintf("%s/ev/v%d/%d.m4s", o.ServeURL, n%20, n/20), nil)
						switch {
						case err != nil:
							t.Errorf("DVR read: %v", err)
						case a.StatusCode == 200:
							f.dvr.Add(1)
						case a.Header.Get("Cache-Control") == "public, max-age=5" && a.Header.Get("Retry-After") == "5":
							f.shed.Add(1)
						default:
							f.failed.Add(1)
						}
					})
				}
			}
			all.Wait()
			return f
		}
		quiet := storm(4, 20)
		storm(4, 240)
		stormy := storm(6, 240)
		storm(6, 20)
		after := storm(4, 20)
		out = floods{quiet, stormy, after, meter.State(time.Now())}
	})
	return out
}
