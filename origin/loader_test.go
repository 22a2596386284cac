package origin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin"
	"origin-storm/origin/config"
	"origin-storm/origin/kv/mem"
	"origin-storm/origin/origintest"
	"origin-storm/origin/storage"
)

// An origin whose nodes have memory for few segments: bodies of 600 KiB come in buffers of 768 KiB.
const (
	fewBody   = 600 << 10
	fewBuffer = 768 << 10
)

// fewBodies starts an origin with an event of many renditions, each of which has an initialisation segment of fewBody bytes.
func fewBodies(t *testing.T, renditions int, serving config.Serving, publishing config.Publishing) *origintest.Origin {
	ev := origintest.Event(time.Now())
	ev.MaxSegment = 1 << 20
	ev.Renditions = nil
	for i := range renditions {
		ev.Renditions = append(ev.Renditions, config.Rendition{Name: fmt.Sprintf("r%d", i)})
	}
	o := origintest.Start(t, origintest.Config{
		Events: []config.Event{ev}, Serving: serving, Publishing: publishing,
		Chunks: slow(&mem.Store{}, 10*time.Millisecond, 0), ChunkSize: 256 << 10,
	})
	for i := range renditions {
		wantStatus(t, "PUT", put(t, o, fmt.Sprintf("/ev/a/r%d/init.mp4", i), bytesOf(fmt.Sprint(i), fewBody)), http.StatusCreated)
	}
	return o
}

// readSlowly reads rendition i's segment at a pace of bytes a second, and returns the status and how long it took.
func readSlowly(ctx context.Context, o *origintest.Origin, i int, pace int) (status int, took time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/ev/r%d/init.mp4", o.ServeURL, i), nil)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	resp, err := o.Client.Do(req)
	if err != nil {
		return 0, time.Since(began), err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		if resp.Header.Get("Retry-After") != "1" || resp.Header.Get("Cache-Control") != "no-store" {
			return resp.StatusCode, time.Since(began), fmt.Errorf("%d with %v", resp.StatusCode, resp.Header)
		}
		return resp.StatusCode, time.Since(began), nil
	}
	var got bytes.Buffer
	for err == nil {
		time.Sleep(100 * time.Millisecond)
		_, err = io.CopyN(&got, resp.Body, int64(pace/10))
	}
	if err != io.EOF {
		return resp.StatusCode, time.Since(began), err
	}
	if !bytes.Equal(got.Bytes(), bytesOf(fmt.Sprint(i), fewBody)) {
		return resp.StatusCode, time.Since(began), errors.New("other bytes than were published")
	}
	return resp.StatusCode, time.Since(began), nil
}

// TestSlowReadersKeepToTheMemory: however many read at 100 kB/s, a segment each, the node keeps to its memory; those that fit are served in full,
// the others are told soon, and when the readers are done nothing is kept.
func TestSlowReadersKeepToTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const readers, fit = 100, 10
		o := fewBodies(t, readers, config.Serving{Memory: fit * fewBuffer}, config.Publishing{})
		var mu sync.Mutex
		statuses := map[int]int{}
		var all sync.WaitGroup
		for i := range readers {
			all.Go(func() {
				status, took, err := readSlowly(t.Context(), o, i, 100_000)
				if err != nil {
					t.Errorf("reader %d: %d, %v", i, status, err)
				}
				if status == http.StatusServiceUnavailable && took != 250*time.Millisecond {
					t.Errorf("reader %d was told %d after %v, want 250ms", i, status, took)
				}
				mu.Lock()
				defer mu.Unlock()
				statuses[status]++
			})
		}
		all.Wait()
		if statuses[200] != fit || statuses[503] != readers-fit {
			t.Errorf("answers by status: %v, want 200 for %d of %d", statuses, fit, readers)
		}
		s := o.Serve.Stats()
		if m := s.Memory; m.MaxUsed != fit*fewBuffer || m.Used != 0 || m.Waits != readers-fit || m.Refused != readers-fit {
			t.Errorf("memory: %+v, want %d bytes at most, none in the end, %d refused", m, fit*fewBuffer, readers-fit)
		}
		if s.IdleBuffers == 0 || s.IdleBuffers > s.Memory.Limit/8 || s.CutReaders != 0 || s.Failed != 0 {
			t.Errorf("%d bytes idle, %d readers cut, %d failures; want an eighth of the memory idle", s.IdleBuffers, s.CutReaders, s.Failed)
		}
	})
}

// TestSharedBodyCountsOnce: sixty readers of one segment take the memory of one.
func TestSharedBodyCountsOnce(t *testing.T) {
	for name, serving := range map[string]config.Serving{"hot": {Hot: 1 << 20}, "collapsed": {Collapse: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				serving.Memory = 4 << 20
				o := fewBodies(t, 1, serving, config.Publishing{})
				kept := int64(0)
				if serving.Hot > 0 {
					wantStatus(t, "GET", get(t, o, "/ev/r0/init.mp4"), 200)
					kept = fewBuffer
				}
				var all sync.WaitGroup
				for range 60 {
					all.Go(func() {
						if status, _, err := readSlowly(t.Context(), o, 0, 100_000); status != 200 || err != nil {
							t.Errorf("GET = %d, %v", status, err)
						}
					})
				}
				all.Wait()
				if m := o.Serve.Stats().Memory; m.MaxUsed != fewBuffer || m.Used != kept {
					t.Errorf("memory: %+v, want %d at most and %d in the end", m, fewBuffer, kept)
				}
			})
		})
	}
}

// TestSlowestReader: who reads slower than the node puts up with, or not at all, is cut off, and its memory is free again.
func TestSlowestReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := fewBodies(t, 1, config.Serving{Memory: 4 << 20}, config.Publishing{})
		for _, c := range []struct {
			name  string
			pace  int
			after time.Duration // when it is cut off; 0: never
		}{
			{"70 kB/s", 70_000, 0},
			{"30 kB/s", 30_000, 20 * time.Second},
			{"next to nothing", 10, 10 * time.Second},
		} {
			cut := o.Serve.Stats().CutReaders
			ctx, leave := context.WithCancel(t.Context())
			began := time.Now()
			read := make(chan error, 1)
			go func() {
				_, _, err := readSlowly(ctx, o, 0, c.pace)
				read <- err
			}()
			for ok := true; ok; ok = o.Serve.Stats().Memory.Used > 0 {
				time.Sleep(100 * time.Millisecond)
			}
			took := time.Since(began).Round(time.Second)
			if c.after > 0 {
				leave()
			}
			err := <-read
			leave()
			cut = o.Serve.Stats().CutReaders - cut
			if c.after == 0 && (err != nil || cut != 0) || c.after > 0 && (err == nil || cut != 1 || took != c.after) {
				t.Errorf("a reader of %s: %v, memory free after %v, %d cut off; want it cut off after %v (0s: never)", c.name, err, took, cut, c.after)
			}
		}
	})
}

// TestBuffersAreNotMixedUp: memory is used again only when nobody reads from it any more, with readers that leave in the middle,
// ask for parts, share reads, and are refused. Run with -race.
func TestBuffersAreNotMixedUp(t *testing.T) {
	const renditions = 12
	for name, serving := range map[string]config.Serving{
		"store":     {Memory: 6 * fewBuffer},
		"collapsed": {Memory: 6 * fewBuffer, Collapse: true},
		"hot":       {Memory: 8 * fewBuffer, Collapse: true, Hot: 3 * fewBody},
	} {
		t.Run(name, func(t *testing.T) {
			o := fewBodies(t, renditions, serving, config.Publishing{})
			var bodies [renditions][]byte
			for i := range bodies {
				bodies[i] = bytesOf(fmt.Sprint(i), fewBody)
			}
			var all sync.WaitGroup
			for r := range 16 {
				random := rand.New(rand.NewPCG(7, uint64(r)))
				all.Go(func() {
					for range 12 {
						i := random.IntN(renditions)
						want := bodies[i]
						req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s/ev/r%d/init.mp4", o.ServeURL, i), nil)
						if err != nil {
							t.Error(err)
							return
						}
						from, kind := random.IntN(fewBody), random.IntN(4)
						if kind == 0 {
							req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
							want = want[from:]
						}
						resp, err := o.Client.Do(req)
						if err != nil {
							t.Error(err)
							return
						}
						if kind == 1 { // leaves in the middle
							want = want[:random.IntN(fewBody)]
						}
						got, err := io.ReadAll(io.LimitReader(resp.Body, int64(len(want))))
						resp.Body.Close()
						if resp.StatusCode != http.StatusServiceUnavailable && (err != nil || !bytes.Equal(got, want)) {
							t.Errorf("GET of %d from byte %d = %s with %d bytes, %v; want %d bytes of that segment", i, from, resp.Status, len(got), err, len(want))
						}
					}
				})
			}
			all.Wait()
			if err := o.ServeServer.Shutdown(t.Context()); err != nil { // waits for handlers whose readers have left
				t.Fatal(err)
			}
			s := o.Serve.Stats()
			if hot := (s.HotBytes + fewBody - 1) / fewBody * fewBuffer; s.Memory.Used != hot || s.Memory.MaxUsed > s.Memory.Limit {
				t.Errorf("memory in the end: %+v, want %d for the hot copy", s.Memory, hot)
			}
		})
	}
}

// TestStalledSenders: bodies that stall when a quarter has come take the memory of publishing and no other: whose body finds no room is
// told so, reading goes on, and when they have been cut off publishing does, too. A body of which nothing has come takes next to nothing.
func TestStalledSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := fewBodies(t, 20, config.Serving{}, config.Publishing{Memory: 5 << 20})
		var all sync.WaitGroup
		var mu sync.Mutex
		statuses := map[int]int{}
		for i := range 20 {
			all.Go(func() {
				body, sender := io.Pipe()
				defer sender.Close()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, fmt.Sprintf("%s/ev/b/r%d/init.mp4", o.PublishURL, i), body)
				if err != nil {
					t.Error(err)
					return
				}
				req.ContentLength = 1 << 20
				if i%2 == 0 {
					all.Go(func() { _, _ = sender.Write(make([]byte, 300<<10)) }) // ends when the request does
				}
				resp, err := o.Client.Do(req)
				if err != nil {
					return // cut off before it could read the answer
				}
				resp.Body.Close()
				mu.Lock()
				defer mu.Unlock()
				statuses[resp.StatusCode]++
			})
		}
		time.Sleep(2 * time.Second)
		m := o.Publish.Stats().Memory
		if room := m.Limit - m.Used; room < 0 || room > 1<<20 || m.MaxUsed > m.Limit || m.Refused < 5 || m.Refused > 6 {
			t.Errorf("memory with stalled bodies: %+v, want so much in use that no other megabyte fits, and the others of ten refused", m)
		}
		wantStatus(t, "GET meanwhile", get(t, o, "/ev/r3/init.mp4"), 200)
		all.Wait()
		if m := o.Publish.Stats().Memory; m.Used != 0 {
			t.Errorf("memory after they were cut off: %+v, want none in use; answers: %v", m, statuses)
		}
		wantStatus(t, "PUT afterwards", put(t, o, "/ev/b/r1/init.mp4", []byte("x")), http.StatusCreated)
		// A body of unknown length is counted as it grows.
		a := do(t, o, http.MethodPut, o.PublishURL+"/ev/b/r2/init.mp4", io.MultiReader(strings.NewReader("x"), bytes.NewReader(make([]byte, 900<<10))))
		wantStatus(t, "PUT of unknown length", a, http.StatusCreated)
		if m := o.Publish.Stats().Memory; m.Used != 0 {
			t.Errorf("memory after that: %+v, want none in use", m)
		}
		time.Sleep(time.Second) // a server lingers for half a second where it has cut a sender off
	})
}

// TestMemoryIsEnough: a node that could never serve its largest segments does not start.
func TestMemoryIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ev := origintest.Event(time.Now())
		ev.MaxSegment = 10
		_, err := newServe(ev, config.Serving{Hot: 100, Memory: 119})
		if err == nil || !strings.Contains(err.Error(), "serving.memory") {
			t.Errorf("NewServe with too little memory = %v, want an error that names serving.memory", err)
		}
		if _, err := newServe(ev, config.Serving{Hot: 100, Memory: 120}); err != nil {
			t.Errorf("NewServe with just enough memory = %v", err)
		}
	})
}

func newServe(ev config.Event, serving config.Serving) (*origin.Serve, error) {
	return origin.NewServe(origin.ServeConfig{Events: []config.Event{ev}, Segments: storage.New(storage.Config{}), Serving: serving})
}
