package origin_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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
)

// Bodies of five parts, the last of them shorter: net/http sends writes of this size at once.
const (
	partSize = 16 << 10
	parts    = 5
	partBody = parts*partSize - 1000
)

// partly is a store of chunks that come one after another, each 10 ms after the one before, and that can lose some.
type partly struct {
	mem.Store
	reads atomic.Int64

	mu    sync.Mutex // guards the following
	index map[kv.Key]int
	lost  map[kv.Key]error // what a read gets instead; nil: the value with a byte changed
}

// partTime is when part i is there, counted from the beginning of the read.
func partTime(i int) time.Duration { return time.Duration(i+1) * 10 * time.Millisecond }

// partKey is the key of part i of body, as docs/architecture.md has it.
func partKey(body []byte, i int) kv.Key {
	end := min(len(body), (i+1)*partSize)
	sum := sha256.Sum256(body[:end])
	return kv.Key{Part: fmt.Sprintf("%s/%d", hex.EncodeToString(sum[:]), end-i*partSize)}
}

// know has the parts of body come in order.
func (p *partly) know(body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.index == nil {
		p.index, p.lost = make(map[kv.Key]int), make(map[kv.Key]error)
	}
	for i := range parts {
		p.index[partKey(body, i)] = i
	}
}

// lose has reads of part i of body fail, or find it damaged if err is nil.
func (p *partly) lose(body []byte, i int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost[partKey(body, i)] = err
}

// find ends what lose began.
func (p *partly) find() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.lost)
}

func (p *partly) Get(ctx context.Context, key kv.Key) ([]byte, error) {
	p.reads.Add(1)
	p.mu.Lock()
	i, known := p.index[key]
	err, lost := p.lost[key]
	p.mu.Unlock()
	if !known {
		return nil, fmt.Errorf("partly: a key that nobody knows: %w", kv.ErrNotFound)
	}
	select {
	case <-time.After(partTime(i)):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if lost && err != nil {
		return nil, err
	}
	val, err := p.Store.Get(ctx, key)
	if lost && err == nil {
		val = bytes.Clone(val)
		val[len(val)/2] ^= 1
	}
	return val, err
}

// partOrigin starts an origin over p whose event has begun; pipelines a and b have published other bytes under v1/0.
func partOrigin(t *testing.T, p *partly, start time.Time, serving config.Serving) (o *origintest.Origin, a, b []byte) {
	t.Helper()
	o = origintest.Start(t, origintest.Config{Events: []config.Event{origintest.Event(start)}, Chunks: p, ChunkSize: partSize, Serving: serving})
	a, b = bytesOf("a", partBody), bytesOf("b", partBody)
	p.know(a)
	p.know(b)
	return o, a, b
}

// receipt is what a reader has received.
type receipt struct {
	status int
	header http.Header
	body   []byte
	reads  []read
	err    error // that ended the body; nil at its end
}

// read says that a body had come as far as end at a time since the request.
type read struct {
	end int
	at  time.Duration
}

// when is when byte i came.
func (r receipt) when(i int) time.Duration {
	for _, read := range r.reads {
		if i < read.end {
			return read.at
		}
	}
	return -1
}

// receive reads an answer as it comes; pause is what it waits after each read, and most how many bytes it takes before it leaves.
func receive(ctx context.Context, o *origintest.Origin, method, path string, most int, pause time.Duration, header ...string) (r receipt) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	req, err := http.NewRequestWithContext(ctx, method, o.ServeURL+path, nil)
	if err != nil {
		return receipt{err: err}
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	began := time.Now()
	resp, err := o.Client.Do(req)
	if err != nil {
		return receipt{err: err}
	}
	defer resp.Body.Close()
	r = receipt{status: resp.StatusCode, header: resp.Header}
	buf := make([]byte, partSize)
	for r.err == nil && len(r.body) < most {
		var n int
		n, r.err = resp.Body.Read(buf[:min(len(buf), most-len(r.body))])
		r.body = append(r.body, buf[:n]...)
		r.reads = append(r.reads, read{len(r.body), time.Since(began)})
		if pause > 0 && r.err == nil {
			time.Sleep(pause)
		}
	}
	if r.err == io.EOF {
		r.err = nil
	}
	return r
}

const all = 1 << 30

// wantPaced fails t unless r is want, from byte from of the body on, each part of it when it was there.
func wantPaced(t *testing.T, what string, r receipt, want []byte, from int, begun time.Duration) {
	t.Helper()
	if r.err != nil || !bytes.Equal(r.body, want) {
		t.Errorf("%s = %d with %d bytes, %v; want the %d of the segment", what, r.status, len(r.body), r.err, len(want))
		return
	}
	for i := range r.body {
		if at, there := r.when(i), max(0, partTime((from+i)/partSize)-begun); at != there {
			t.Errorf("%s: byte %d came after %v, want %v", what, from+i, at, there)
			return
		}
	}
}

// TestSentAsItArrives: each byte of an answer is sent when its part is there, whoever asks, and nothing waits for bytes it does not need.
func TestSentAsItArrives(t *testing.T) {
	for name, serving := range map[string]config.Serving{"alone": {}, "collapsed": {Collapse: true}, "hot": {Collapse: true, Hot: 1 << 20}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				p := &partly{}
				o, a, _ := partOrigin(t, p, start, serving)
				at(start, time.Second)
				var held sync.WaitGroup
				for range 3 {
					held.Go(func() {
						r := receive(t.Context(), o, "GET", "/ev/v1/0.m4s", all, 0)
						if r.err != nil || !bytes.Equal(r.body, a) || r.when(len(a)-1)-r.when(0) != 40*time.Millisecond {
							t.Errorf("held GET = %d with %d bytes from %v to %v, %v; want the segment over 40ms", r.status, len(r.body), r.when(0), r.when(len(a)-1), r.err)
						}
					})
				}
				at(start, 1500*time.Millisecond)
				put(t, o, "/ev/a/v1/0.m4s", a)
				at(start, 1545*time.Millisecond) // 25 ms after the next poll of the store: those who were held have had two parts
				late := receive(t.Context(), o, "GET", "/ev/v1/0.m4s", all, 0)
				wantPaced(t, "GET while it comes for others", late, a, 0, 25*time.Millisecond)
				held.Wait()
				if n := p.reads.Load(); n != parts {
					t.Errorf("%d chunks were read for those who were held and who came while they were answered, want %d", n, parts)
				}
				if serving.Hot > 0 {
					hit := receive(t.Context(), o, "GET", "/ev/v1/0.m4s", all, 0)
					if !bytes.Equal(hit.body, a) || hit.when(len(a)-1) != 0 || hit.header.Get("Cache-Status") != "origin; hit" {
						t.Errorf("GET afterwards = %d, %q, want a hit at once", hit.status, hit.header.Get("Cache-Status"))
					}
					return
				}
				at(start, 7*time.Second)
				wantPaced(t, "GET", receive(t.Context(), o, "GET", "/ev/v1/0.m4s", all, 0), a, 0, 0)
				wantPaced(t, "GET of one byte", receive(t.Context(), o, "GET", "/ev/v1/0.m4s", 1, 0), a[:1], 0, 0)
				synctest.Wait() // until the server has seen that its reader is gone, others would join the read
				for _, from := range []int{0, 1, partSize - 11, partSize, 3*partSize + 5, partBody - 1} {
					r := receive(t.Context(), o, "GET", "/ev/v1/0.m4s", all, 0, "Range", fmt.Sprintf("bytes=%d-%d", from, from+10))
					wantPaced(t, fmt.Sprintf("range from %d", from), r, a[from:min(from+11, partBody)], from, 0)
					synctest.Wait()
				}
				began := time.Now()
				if r := receive(t.Context(), o, "HEAD", "/ev/v1/0.m4s", all, 0); r.status != 200 || r.header.Get("Content-Length") != fmt.Sprint(partBody) || time.Since(began) != partTime(0) {
					t.Errorf("HEAD = %d, %v after %v, want 200 after %v", r.status, r.header, time.Since(began), partTime(0))
				}
				synctest.Wait()
				began = time.Now()
				if r := receive(t.Context(), o, "GET", "/ev/v1/0.m4s", all, 0, "If-None-Match", etagOf(a)); r.status != 304 || time.Since(began) != partTime(0) {
					t.Errorf("GET If-None-Match = %d after %v, want 304 after %v", r.status, time.Since(began), partTime(0))
				}
				synctest.Wait()
				if m := o.Serve.Stats().Memory; m.Used != 0 {
					t.Errorf("memory in the end: %+v, want none: who leaves early ends the read", m)
				}
			})
		})
	}
}

// TestBrokenOff: a copy of which a part can not be had is turned away from before its answer begins, and cuts the connection after that, for all
// who are being answered with it; it is answered with again when it can be read as a whole. The other pipeline's copy is taken meanwhile.
func TestBrokenOff(t *testing.T) {
	causes := map[string]error{"lost": kv.ErrNotFound, "damaged": nil, "unreachable": errors.New("connection refused")}
	for name, serving := range map[string]config.Serving{"alone": {}, "collapsed": {Collapse: true}, "hot": {Collapse: true, Hot: 1 << 20}} {
		for cause, err := range causes {
			for _, other := range []bool{false, true} {
				for _, held := range []bool{false, true} {
					for i := range parts {
						t.Run(fmt.Sprintf("%s, part %d %s, other copy %v, held %v", name, i, cause, other, held), func(t *testing.T) {
							synctest.Test(t, func(t *testing.T) { brokenOff(t, serving, i, err, other, held) })
						})
					}
				}
			}
		}
	}
}

func brokenOff(t *testing.T, serving config.Serving, broken int, cause error, other, held bool) {
	const readers = 3
	start := time.Now()
	p := &partly{}
	o, a, b := partOrigin(t, p, start, serving)
	publish := func() {
		if other {
			put(t, o, "/ev/b/v1/0.m4s", b)
		}
		put(t, o, "/ev/a/v1/0.m4s", a)
		p.lose(a, broken, cause)
	}
	var asking sync.WaitGroup
	var got [readers]receipt
	ask := func() {
		for i := range got {
			asking.Go(func() { got[i] = receive(t.Context(), o, "GET", "/ev/v1/0.m4s", all, 0) })
		}
	}
	if held {
		at(start, 500*time.Millisecond)
		ask()
		at(start, 1510*time.Millisecond) // between two polls
		publish()
	} else {
		at(start, time.Second)
		publish()
		at(start, 7*time.Second)
		ask()
	}
	asking.Wait()
	whole := b
	if !other {
		whole = nil
	}
	cut := int64(0)
	for _, r := range got {
		switch {
		case broken > 0: // the answer began
			cut++
			if r.status != 200 || !errors.Is(r.err, io.ErrUnexpectedEOF) || !bytes.Equal(r.body, a[:broken*partSize]) || r.header.Get("Content-Length") != fmt.Sprint(partBody) {
				t.Errorf("GET = %d with %d bytes, %v; want the first %d parts of the segment and then a cut", r.status, len(r.body), r.err, broken)
			}
		case other:
			if r.status != 200 || r.err != nil || !bytes.Equal(r.body, b) {
				t.Errorf("GET = %d with %d bytes, %v; want the other copy", r.status, len(r.body), r.err)
			}
		case r.status != 503 && r.status != 504 || r.header.Get("Cache-Control") != "no-store" || r.err != nil:
			t.Errorf("GET = %d, %v, %v; want 503 or 504", r.status, r.header, r.err)
		}
	}
	if n := o.Serve.Stats().BrokenOff; n != cut {
		t.Errorf("%d answers broken off by the count, want %d", n, cut)
	}
	// The next ones are not begun with what can not be ended.
	if !held {
		for range 2 {
			switch r := receive(t.Context(), o, "GET", "/ev/v1/0.m4s", all, 0); {
			case r.err != nil || !bytes.Equal(r.body, whole) && r.status == 200:
				t.Errorf("GET after that = %d with %d bytes, %v; want the other copy or a refusal", r.status, len(r.body), r.err)
			case other && r.status != 200, !other && r.status != 503:
				// A store that can not be asked is no reason to leave a copy that was chosen.
				if cause == nil || errors.Is(cause, kv.ErrNotFound) || r.status != 503 {
					t.Errorf("GET after that = %d, want the other copy (published: %v)", r.status, other)
				}
			}
		}
	}
	if n := o.Serve.Stats().BrokenOff; n != cut {
		t.Errorf("%d more answers were broken off, want none", n-cut)
	}
	if s := o.Serve.Stats(); !other && s.HotBytes != 0 {
		t.Errorf("%d bytes in the hot copy, want none of what never was whole", s.HotBytes)
	}
	p.find()
	for range 2 {
		if r := receive(t.Context(), o, "GET", "/ev/v1/0.m4s", all, 0); r.status != 200 || r.err != nil || !bytes.Equal(r.body, a) && !bytes.Equal(r.body, whole) {
			t.Errorf("GET when all can be read again = %d with %d bytes, %v; want the segment", r.status, len(r.body), r.err)
		}
	}
	if serving.Hot == 0 && (!other || broken == 0) {
		r := receive(t.Context(), o, "GET", "/ev/v1/0.m4s", 1, 0)
		if want := partTime(0); r.when(0) != want {
			t.Errorf("the first byte of a copy that was whole again comes after %v, want %v", r.when(0), want)
		}
	}
	synctest.Wait()
	s := o.Serve.Stats()
	if kept := (s.HotBytes + partBody - 1) / partBody * (256 << 10); s.Memory.Used != kept {
		t.Errorf("memory in the end: %+v, want %d for the hot copy", s.Memory, kept)
	}
}

// TestReadersComeAndGo: readers of one flight that are slow, come late and leave after any number of bytes do not touch each other; the last one to
// leave ends the read and frees its memory at once.
func TestReadersComeAndGo(t *testing.T) {
	for _, most := range []int{1, partSize, partSize + 1, 2 * partSize, 3*partSize - 1, 4 * partSize, partBody - 1} {
		t.Run(fmt.Sprintf("after %d bytes", most), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				p := &partly{}
				o, a, _ := partOrigin(t, p, start, config.Serving{Collapse: true, Memory: 128 << 20})
				put(t, o, "/ev/a/v1/0.m4s", a)
				at(start, 7*time.Second)
				alone := receive(t.Context(), o, "GET", "/ev/v1/0.m4s", most, 0)
				wantPaced(t, "GET of who leaves", alone, a[:most], 0, 0)
				synctest.Wait()
				if m := o.Serve.Stats().Memory; m.Used != 0 {
					t.Errorf("memory when the only reader has left: %+v, want none", m)
				}
				p.reads.Store(0)
				var readers sync.WaitGroup
				for i := range 12 {
					readers.Go(func() {
						came := time.Duration(i) * 4 * time.Millisecond
						time.Sleep(came)
						if i%3 == 0 {
							left := receive(t.Context(), o, "GET", "/ev/v1/0.m4s", most, 0)
							wantPaced(t, "GET of who leaves", left, a[:most], 0, came)
							return
						}
						pause := time.Duration(i%3-1) * 50 * time.Millisecond
						r := receive(t.Context(), o, "GET", "/ev/v1/0.m4s", all, pause)
						if pause == 0 {
							wantPaced(t, "GET beside a slow one", r, a, 0, came)
						} else if r.err != nil || !bytes.Equal(r.body, a) {
							t.Errorf("a slow GET = %d with %d bytes, %v", r.status, len(r.body), r.err)
						}
					})
				}
				readers.Wait()
				synctest.Wait()
				s := o.Serve.Stats()
				if n := p.reads.Load(); n != parts || s.Memory.Used != 0 || s.Memory.MaxUsed != 256<<10 || s.BrokenOff != 0 || s.CutReaders != 0 {
					t.Errorf("%d chunks read, %+v; want %d, the memory of one body at most and none in the end", n, s, parts)
				}
			})
		})
	}
}

// TestMaskedWhileHeldCopyComes: what is masked while it comes for those who were held goes to none of those who have not had its first byte.
func TestMaskedWhileHeldCopyComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := &partly{}
		a, b := bytesOf("a", partBody), bytesOf("b", partBody)
		p.know(a)
		p.know(b)
		o := origintest.Start(t, origintest.Config{
			Events: []config.Event{origintest.Event(start)}, Control: &mem.Store{}, Node: "w", Chunks: p, ChunkSize: partSize, Serving: config.Serving{Collapse: true},
		})
		var held sync.WaitGroup
		for range 3 {
			held.Go(func() {
				r := receive(t.Context(), o, "GET", "/ev/v1/0.m4s", all, 0)
				if r.status != 200 || !bytes.Equal(r.body, b) {
					t.Errorf("held GET = %d with %d bytes of pipeline %q, want b's", r.status, len(r.body), r.header.Get("Origin-Pipeline"))
				}
			})
		}
		at(start, time.Second)
		put(t, o, "/ev/a/v1/0.m4s", a)
		at(start, 1025*time.Millisecond) // it was found 5 ms ago, and its first part is on its way
		change(t, o, masking("a"))
		put(t, o, "/ev/b/v1/0.m4s", b)
		held.Wait()
	})
}

// TestGiveUpWhileSending: a node that shuts down ends the answers that it has begun.
func TestGiveUpWhileSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := &partly{}
		o, a, _ := partOrigin(t, p, start, config.Serving{})
		put(t, o, "/ev/a/v1/0.m4s", a)
		at(start, 7*time.Second)
		time.AfterFunc(25*time.Millisecond, o.ServeServer.GiveUp)
		wantPaced(t, "GET", receive(t.Context(), o, "GET", "/ev/v1/0.m4s", all, 0), a, 0, 0)
	})
}

// TestArrivingUnderFaults: readers that leave, dawdle and ask for parts, over a store that loses a part of one read in thirty, get right bytes or a cut;
// memory stays within its bounds and is all given back. Run with -race.
func TestArrivingUnderFaults(t *testing.T) {
	const renditions = 12
	for name, serving := range map[string]config.Serving{
		"alone":     {Memory: 6 * fewBuffer},
		"collapsed": {Memory: 6 * fewBuffer, Collapse: true},
		"hot":       {Memory: 8 * fewBuffer, Collapse: true, Hot: 3 * fewBody},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex // guards faults
			faults := rand.New(rand.NewPCG(3, 1))
			chunks := kv.Inject(&mem.Store{}, func(ctx context.Context, op kv.Op, do func(context.Context) error) error {
				if op.Write {
					return do(ctx)
				}
				mu.Lock()
				wait, lost := time.Duration(faults.IntN(3000))*time.Microsecond, faults.IntN(30) == 0
				mu.Unlock()
				select {
				case <-time.After(wait):
				case <-ctx.Done():
					return ctx.Err()
				}
				if lost {
					return kv.ErrNotFound
				}
				return do(ctx)
			})
			ev := origintest.Event(time.Now())
			ev.MaxSegment, ev.Renditions = 1<<20, nil
			var bodies [renditions][]byte
			for i := range bodies {
				ev.Renditions = append(ev.Renditions, config.Rendition{Name: fmt.Sprintf("r%d", i)})
				bodies[i] = bytesOf(fmt.Sprint(i), fewBody)
			}
			o := origintest.Start(t, origintest.Config{Events: []config.Event{ev}, Serving: serving, Chunks: chunks, ChunkSize: 64 << 10})
			for i := range bodies {
				wantStatus(t, "PUT", put(t, o, fmt.Sprintf("/ev/a/r%d/init.mp4", i), bodies[i]), http.StatusCreated)
			}
			var cut, whole atomic.Int64
			var readers sync.WaitGroup
			for n := range 16 {
				random := rand.New(rand.NewPCG(7, uint64(n)))
				readers.Go(func() {
					for range 10 {
						i, from, most := random.IntN(renditions), 0, all
						var header []string
						switch random.IntN(4) {
						case 0:
							from = random.IntN(fewBody)
							header = []string{"Range", fmt.Sprintf("bytes=%d-", from)}
						case 1:
							most = random.IntN(fewBody) + 1
						}
						r := receive(t.Context(), o, "GET", fmt.Sprintf("/ev/r%d/init.mp4", i), most, 0, header...)
						want := bodies[i][from:]
						switch {
						case r.status == 503, r.status == 504: // refused, or the store was too slow
						case r.err != nil: // the header of a range may not have come
							cut.Add(1)
							if !bytes.HasPrefix(want, r.body) || len(r.body) == len(want) {
								t.Errorf("GET of %d from byte %d, cut = %d with %d bytes, %v; want the beginning of what was asked for", i, from, r.status, len(r.body), r.err)
							}
						case !bytes.Equal(r.body, want[:min(most, len(want))]):
							t.Errorf("GET of %d from byte %d = %d with %d bytes; want %d bytes of that segment", i, from, r.status, len(r.body), min(most, len(want)))
						default:
							whole.Add(1)
						}
					}
				})
			}
			readers.Wait()
			if err := o.ServeServer.Shutdown(t.Context()); err != nil { // waits for handlers whose readers have left
				t.Fatal(err)
			}
			o.Serve.Close() // waits for reads that nobody wants any more
			s := o.Serve.Stats()
			if hot := (s.HotBytes + fewBody - 1) / fewBody * fewBuffer; s.Memory.Used != hot || s.Memory.MaxUsed > s.Memory.Limit {
				t.Errorf("memory in the end: %+v, want %d for the hot copy", s.Memory, hot)
			}
			// Whoever leaves at the same moment does not see the cut, and may be counted.
			if cut.Load() > s.BrokenOff || s.BrokenOff == 0 || whole.Load() == 0 {
				t.Errorf("%d readers saw a cut and %d all they wanted, %d cuts counted; want some of each", cut.Load(), whole.Load(), s.BrokenOff)
			}
		})
	}
}
