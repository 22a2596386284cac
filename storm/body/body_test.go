package body_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"origin-storm/origin/pairtest"
	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/body"
)

var (
	seven  = segment.ID{Event: "final", Pipeline: "a", Rendition: "video-7", Number: 7}
	cinema = segment.Template{Ticks: 120120, Timescale: 60000, StartNumber: 5}
)

// box is an ISO BMFF box, found by a reader that knows nothing of package body.
type box struct {
	kind    string
	content []byte
}

func boxes(t *testing.T, b []byte) (all []box) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 8 {
			t.Fatalf("%d bytes are left over after box %d", len(b), len(all))
		}
		n := int(binary.BigEndian.Uint32(b))
		if n < 8 || n > len(b) {
			t.Fatalf("box %q of %d bytes in %d", b[4:8], n, len(b))
		}
		all = append(all, box{string(b[4:8]), b[8:n]})
		b = b[n:]
	}
	return all
}

func kinds(all []box) string {
	var names []string
	for _, b := range all {
		names = append(names, b.kind)
	}
	return strings.Join(names, " ")
}

func child(t *testing.T, b []byte, path ...string) []byte {
	t.Helper()
	for _, kind := range path {
		i := 0
		all := boxes(t, b)
		for i < len(all) && all[i].kind != kind {
			i++
		}
		if i == len(all) {
			t.Fatalf("no %q among %s", kind, kinds(all))
		}
		b = all[i].content
	}
	return b
}

func TestFragmentIsValid(t *testing.T) {
	for _, size := range []int{0, body.MinSize, body.MinSize + 1, 100_007, 2 << 20} {
		b := body.New(seven, cinema, size)
		if len(b) != body.Size(size) {
			t.Fatalf("New(%v, %d) has %d bytes, want %d", seven, size, len(b), body.Size(size))
		}
		top := boxes(t, b)
		if got, want := kinds(top), "styp uuid moof mdat"; got != want {
			t.Fatalf("New(%v, %d) has boxes %q, want %q", seven, size, got, want)
		}
		if got := binary.BigEndian.Uint32(child(t, b, "moof", "mfhd")[4:]); got != 7 {
			t.Errorf("mfhd's sequence number = %d, want 7", got)
		}
		if got := binary.BigEndian.Uint64(child(t, b, "moof", "traf", "tfdt")[4:]); got != 2*120120 {
			t.Errorf("tfdt = %d, want %d: two segments after the start number", got, 2*120120)
		}
		trun := child(t, b, "moof", "traf", "trun")
		offset, duration, length := binary.BigEndian.Uint32(trun[8:]), binary.BigEndian.Uint32(trun[12:]), binary.BigEndian.Uint32(trun[16:])
		moof, media := bytes.Index(b, []byte("moof"))-4, len(b)-len(top[3].content)
		if moof+int(offset) != media || int(length) != len(top[3].content) || duration != 120120 {
			t.Errorf("trun points at %d for %d bytes and %d ticks, want %d, %d and %d", moof+int(offset), length, duration, media, len(top[3].content), 120120)
		}
		if media%64 != 0 {
			t.Errorf("media begins at %d, which is no line", media)
		}
	}
}

func TestInitIsValid(t *testing.T) {
	id := seven
	id.Number = segment.Init
	b := body.New(id, cinema, 1500)
	if got, want := kinds(boxes(t, b)), "ftyp uuid moov free"; got != want {
		t.Fatalf("New(%v) has boxes %q, want %q", id, got, want)
	}
	if got := binary.BigEndian.Uint32(child(t, b, "moov", "trak", "mdia", "mdhd")[12:]); got != 60000 {
		t.Errorf("mdhd's timescale = %d, want 60000", got)
	}
	child(t, b, "moov", "mvex", "trex")
	child(t, b, "moov", "trak", "mdia", "minf", "stbl", "stsd")
}

// TestFFprobeReads asks a second opinion where there is one; the structure is checked without it above.
func TestFFprobeReads(t *testing.T) {
	ffprobe, err := exec.LookPath("ffprobe")
	if err != nil {
		t.Log("no ffprobe on the PATH: structure is checked by TestFragmentIsValid alone")
		return
	}
	start := seven
	start.Number = segment.Init
	file := body.New(start, cinema, 0)
	for n := range int64(3) {
		id := seven
		id.Number += n
		file = body.Append(file, id, cinema, 50_000+int(n))
	}
	name := filepath.Join(t.TempDir(), "x.mp4")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), ffprobe, "-v", "error", "-show_entries", "packet=pts,size", "-of", "csv=p=0", name).CombinedOutput()
	want := "240240,49616\n360360,49617\n480480,49618\n"
	if err != nil || string(out) != want {
		t.Errorf("ffprobe says %v\n%s\nwant\n%s", err, out, want)
	}
}

func TestReaderEqualsNew(t *testing.T) {
	want := body.New(seven, cinema, 70_001)
	if err := iotest.TestReader(body.NewReader(seven, cinema, 70_001), want); err != nil {
		t.Error(err)
	}
	for _, step := range []int{1, 7, 64, 383, 385, 32 << 10} {
		r, got := body.NewReader(seven, cinema, 70_001), []byte(nil)
		for buf := make([]byte, step); r.Len() > 0; {
			n, err := r.Read(buf)
			if err != nil {
				t.Fatalf("Read of %d = %v", step, err)
			}
			got = append(got, buf[:n]...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("read %d bytes at a time, a Reader's bytes differ from New's", step)
		}
	}
}

func TestEveryLineDependsOnEverything(t *testing.T) {
	lines := map[string]string{}
	other := []segment.ID{seven, seven, seven, seven, seven}
	other[1].Event, other[2].Pipeline, other[3].Rendition, other[4].Number = "finale", "b", "video-8", 8
	for i, id := range other {
		for _, size := range []int{20_032, 20_096} {
			b := body.New(id, cinema, size)
			for at := 384; at < len(b); at += 64 {
				where := fmt.Sprintf("%v, size %d, offset %d", id, size, at)
				if also, ok := lines[string(b[at:at+64])]; ok {
					t.Fatalf("case %d: the line of %s is also that of %s", i, where, also)
				}
				lines[string(b[at:at+64])] = where
			}
		}
	}
}

func TestVerify(t *testing.T) {
	a := body.New(seven, cinema, 200_000)
	id := seven
	id.Pipeline = "b"
	b, longer, again := body.New(id, cinema, 200_000), body.New(id, cinema, 201_000), body.New(seven, cinema, 201_000)
	id = seven
	id.Number = 8
	next := body.New(id, cinema, 200_000)
	shared := body.New(seven.Asked(), cinema, 5000)
	id.Number = segment.Init
	start := body.New(id, cinema, 0)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	flip := bytes.Clone(a)
	flip[150_003] ^= 4
	headless := bytes.Clone(a)
	headless[300] ^= 1
	asked := seven.Asked()
	tests := []struct {
		name  string
		bytes []byte
		want  segment.ID
		size  int64
		out   storm.Damage
	}{
		{"whole", a, asked, 200_000, storm.None},
		{"whole, length unknown", a, asked, -1, storm.None},
		{"whole, pipeline named", a, seven, -1, storm.None},
		{"the init segment", start, segment.ID{Event: "final", Rendition: "video-7", Number: segment.Init}, -1, storm.None},
		{"bytes that pipelines share", shared, seven, -1, storm.None},
		{"empty", nil, asked, 0, storm.Torn},
		{"cut in the type", a[:10], asked, -1, storm.Torn},
		{"cut in the mark", a[:100], asked, -1, storm.Torn},
		{"cut in the head", a[:330], asked, -1, storm.Torn},
		{"cut after the head", a[:384], asked, -1, storm.Torn},
		{"cut on a line", a[:64_000], asked, 64_000, storm.Torn},
		{"cut in a line", a[:150_001], asked, -1, storm.Torn},
		{"one byte short", a[:199_999], asked, -1, storm.Torn},
		{"one byte too many", join(a, []byte{0}), asked, -1, storm.Torn},
		{"twice", join(a, a), asked, -1, storm.Torn},
		{"two pipelines mixed", join(a[:64_000], b[64_000:]), asked, -1, storm.Cross},
		{"two pipelines of different lengths mixed", join(a[:64_000], longer[64_000:]), asked, -1, storm.Cross},
		{"the other pipeline's end", join(a[:199_936], b[199_936:]), asked, -1, storm.Cross},
		{"another version of the same copy", join(a[:64_000], again[64_000:]), asked, -1, storm.Torn},
		{"the other pipeline's line", join(a[:64_000], b[64_000:64_064], a[64_064:]), asked, -1, storm.Cross},
		{"two numbers mixed", join(a[:100_000], next[100_000:]), asked, -1, storm.Torn},
		{"lines swapped", join(a[:6400], a[6464:6528], a[6400:6464], a[6528:]), asked, -1, storm.Torn},
		{"bytes missing in the middle", join(a[:50_000], a[50_008:], make([]byte, 8)), asked, -1, storm.Torn},
		{"the front missing", a[1000:], asked, -1, storm.Torn},
		{"shifted", a[3:], asked, -1, storm.Torn},
		{"something in front", join([]byte("<html>"), a), asked, -1, storm.Torn},
		{"one bit", flip, asked, -1, storm.Torn},
		{"one bit in the head", headless, asked, -1, storm.Torn},
		{"header and body disagree", a, asked, 200_001, storm.Torn},
		{"another number", next, asked, -1, storm.Wrong},
		{"another rendition", a, segment.ID{Event: "final", Rendition: "video-8", Number: 7}, -1, storm.Wrong},
		{"another event", a, segment.ID{Event: "semifinal", Rendition: "video-7", Number: 7}, -1, storm.Wrong},
		{"somebody else's bytes", bytes.Repeat([]byte("not found\n"), 500), asked, -1, storm.Wrong},
		{"a page", []byte("<html>busy</html>"), asked, -1, storm.Wrong},
		{"the other pipeline", b, seven, -1, storm.Cross},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"at once": bytes.NewReader(tt.bytes), "byte by byte": iotest.OneByteReader(bytes.NewReader(tt.bytes)),
				"by halves": iotest.HalfReader(bytes.NewReader(tt.bytes)), "with its end": iotest.DataErrReader(bytes.NewReader(tt.bytes)),
			} {
				got, err := body.Verify(r, tt.want, tt.size)
				if got.Damage != tt.out || got.Bytes != int64(len(tt.bytes)) || (got.Flaw != "") != (tt.out != storm.None) || err != nil {
					t.Errorf("Verify, read %s = %+v, %v, want %d bytes, %q and why", name, got, err, len(tt.bytes), tt.out)
				}
			}
		})
	}
}

func TestVerifyNamesWhatCame(t *testing.T) {
	a, b := body.New(seven, cinema, 5000), body.New(seven.Asked().Candidate("b"), cinema, 5000)
	got, _ := body.Verify(bytes.NewReader(a), segment.ID{Event: "other", Rendition: "r", Number: 1}, -1)
	if got.ID != seven || !strings.Contains(got.Flaw, seven.String()) {
		t.Errorf("Verify says that %v came (%s), want %v", got.ID, got.Flaw, seven)
	}
	got, _ = body.Verify(bytes.NewReader(slices.Concat(a[:640], b[640:])), seven, -1)
	if want := "from byte 640 on"; !strings.Contains(got.Flaw, want) {
		t.Errorf("Verify says %q of a body that turns into another's at byte 640, want %q", got.Flaw, want)
	}
}

// TestBrokenConnection: what the network cut short is the network's error; a difference before the cut stays damage.
func TestBrokenConnection(t *testing.T) {
	a := body.New(seven, cinema, 100_000)
	broken := errors.New("reset")
	for _, at := range []int{0, 100, 500, 50_000, 100_000} {
		got, err := body.Verify(io.MultiReader(bytes.NewReader(a[:at]), iotest.ErrReader(broken)), seven, 100_000)
		if got.Damage != storm.None || got.Flaw != "" || !errors.Is(err, broken) {
			t.Errorf("Verify of %d bytes and a reset = %+v, %v, want the reset alone", at, got, err)
		}
	}
	a[40_000]++
	if got, err := body.Verify(io.MultiReader(bytes.NewReader(a[:50_000]), iotest.ErrReader(broken)), seven, 100_000); got.Damage != storm.Torn || !errors.Is(err, broken) {
		t.Errorf("Verify of a changed byte and a reset = %+v, %v, want torn and the reset", got, err)
	}
}

func FuzzVerify(f *testing.F) {
	a := body.New(seven, cinema, 3000)
	for _, b := range [][]byte{nil, a, a[:300], a[5:], body.New(segment.ID{Event: "e", Rendition: "r", Number: segment.Init}, cinema, 0), []byte("<html>")} {
		f.Add(b, int64(-1))
	}
	f.Fuzz(func(t *testing.T, b []byte, length int64) {
		got, err := body.Verify(bytes.NewReader(b), seven, length)
		if got.Bytes != int64(len(b)) || err != nil {
			t.Fatalf("Verify = %+v, %v, want %d bytes", got, err, len(b))
		}
		if got.Damage == storm.None && (got.ID.Asked() != seven.Asked() || length >= 0 && length != got.Bytes) {
			t.Fatalf("Verify finds no damage: %+v", got)
		}
		if again, _ := body.Verify(iotest.OneByteReader(bytes.NewReader(b)), seven, length); again != got {
			t.Fatalf("Verify depends on how the body is read: %+v, then %+v", got, again)
		}
	})
}

// The machine's own measure of 2 MiB: moving them through a buffer, and no more.
func plain(buf []byte) pairtest.Side {
	whole := body.New(seven, cinema, 2<<20) // memory that was never written would be one page, always in the cache
	return pairtest.Side{Name: "copy", Do: func(int) time.Duration {
		start := time.Now()
		for r := bytes.NewReader(whole); r.Len() > 0; {
			r.Read(buf)
		}
		return time.Since(start)
	}}
}

func BenchmarkMakeAgainstCopy(b *testing.B) {
	buf := make([]byte, 32<<10)
	pairtest.Compare(b, 1000, pairtest.Side{Name: "make", Do: func(int) time.Duration {
		start := time.Now()
		for r := body.NewReader(seven, cinema, 2<<20); r.Len() > 0; {
			r.Read(buf)
		}
		return time.Since(start)
	}}, plain(buf))
}

// Verifying copies too: the bytes come from a reader.
func BenchmarkVerifyAgainstCopy(b *testing.B) {
	whole := body.New(seven, cinema, 2<<20)
	pairtest.Compare(b, 1000, pairtest.Side{Name: "verify", Do: func(int) time.Duration {
		start := time.Now()
		if got, _ := body.Verify(bytes.NewReader(whole), seven, -1); got.Damage != storm.None {
			b.Fatal(got.Flaw)
		}
		return time.Since(start)
	}}, plain(make([]byte, 128<<10)))
}
