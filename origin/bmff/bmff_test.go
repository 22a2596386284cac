package bmff_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/bmff"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t testing.TB, b []byte) *bmff.Init {
	t.Helper()
	init, err := bmff.ParseInit(b)
	if err != nil {
		t.Fatalf("ParseInit: %v", err)
	}
	return init
}

func box(kind string, content ...[]byte) []byte {
	body := bytes.Join(content, nil)
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(8+len(body))), kind...), body...)
}

// words are 32-bit numbers, such as a full box's version and flags and what follows.
func words(v ...uint32) (b []byte) {
	for _, w := range v {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return b
}

func TestParseInitOfFFmpeg(t *testing.T) {
	for file, want := range map[string]bmff.Track{
		"avc":  {Handler: "vide", Timescale: 12800, Codec: "avc1.64000A", Width: 64, Height: 36},
		"hevc": {Handler: "vide", Timescale: 12800, Codec: "hvc1.1.6.L30.90", Width: 64, Height: 36},
		"av1":  {Handler: "vide", Timescale: 12800, Codec: "av01.0.00M.08", Width: 64, Height: 36},
		"vp9":  {Handler: "vide", Timescale: 12800, Codec: "vp09.00.10.08", Width: 64, Height: 36},
		"aac":  {Handler: "soun", Timescale: 48000, Codec: "mp4a.40.2", SampleRate: 48000, Channels: 2, Bitrate: 32000},
		"ac3":  {Handler: "soun", Timescale: 48000, Codec: "ac-3", SampleRate: 48000, Channels: 2, Bitrate: 96000},
		"eac3": {Handler: "soun", Timescale: 48000, Codec: "ec-3", SampleRate: 48000, Channels: 2, Bitrate: 96000},
		"opus": {Handler: "soun", Timescale: 48000, Codec: "Opus", SampleRate: 48000, Channels: 2, Bitrate: 16000},
	} {
		want.ID, want.Language = 1, "und"
		if got := parse(t, read(t, file+"-init.mp4")).Tracks; !reflect.DeepEqual(got, []bmff.Track{want}) {
			t.Errorf("ParseInit(%s-init.mp4) = %+v, want %+v", file, got, want)
		}
	}
}

func TestInspectFFmpeg(t *testing.T) {
	const start = 1764000000
	for _, tt := range []struct {
		file, init string
		want       bmff.Segment
	}{
		{"avc-0.m4s", "avc-init.mp4", bmff.Segment{Sequence: start / 2, Media: 1303, Tracks: []bmff.Span{{Decode: start * 12800, Duration: 2 * 12800, Samples: 50}}}},
		{"avc-1.m4s", "avc-init.mp4", bmff.Segment{Sequence: start/2 + 1, Media: 678, Tracks: []bmff.Span{{Decode: (start + 2) * 12800, Duration: 2 * 12800, Samples: 50}}}},
		{"aac-0.m4s", "aac-init.mp4", bmff.Segment{Sequence: start / 2, Media: 564, Tracks: []bmff.Span{{Decode: start*48000 - 1024, Duration: 94 * 1024, Samples: 94}}}},
		{"aac-1.m4s", "aac-init.mp4", bmff.Segment{Sequence: start/2 + 1, Media: 564, Tracks: []bmff.Span{{Decode: start*48000 + 93*1024, Duration: 94 * 1024, Samples: 94}}}},
	} {
		tt.want.Fragments, tt.want.Tracks[0].Track, tt.want.Tracks[0].Timed = 1, 1, true
		got, err := bmff.Inspect(read(t, tt.file), parse(t, read(t, tt.init)))
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Inspect(%s) = %+v, %v, want %+v", tt.file, got, err, tt.want)
		}
	}
}

// Boxes of a segment with defaults, several fragments and tracks.
func fragment(seq, track, at uint32, content ...[]byte) []byte {
	head := [][]byte{box("tfhd", words(0x020000, track)), box("tfdt", words(0, at))}
	return box("moof", box("mfhd", words(0, seq)), box("traf", append(head, content...)...))
}

func withDefaults(t testing.TB) *bmff.Init {
	t.Helper()
	trak := func(id uint32) []byte {
		return box("trak", box("tkhd", words(0, 0, 0, id)), box("mdia", box("mdhd", words(0, 0, 0, 1000, 0, 0x15c70000)), box("hdlr", words(0, 0), []byte("soun"))))
	}
	return parse(t, box("moov", box("mvex", box("trex", words(0, 2, 1, 20, 4, 0))), trak(1), trak(2)))
}

func TestInspectBoxes(t *testing.T) {
	init := withDefaults(t)
	if init.Tracks[1].DefaultDuration != 20 || init.Tracks[0].Language != "eng" || init.Track(3) != nil {
		t.Fatalf("ParseInit = %+v", init)
	}
	mdat := box("mdat", make([]byte, 10))
	styp := func(brands string) []byte { return box("styp", []byte("msdh\x00\x00\x00\x00"+brands)) }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	trun := func(durations ...uint32) []byte {
		return box("trun", words(0x100, uint32(len(durations))), words(durations...))
	}
	for _, tt := range []struct {
		name string
		b    []byte
		want bmff.Segment
		err  error
	}{
		{"defaults of the init segment", join(fragment(9, 2, 100, box("trun", words(0, 5))), mdat),
			bmff.Segment{Sequence: 9, Fragments: 1, Media: 10, Tracks: []bmff.Span{{Track: 2, Decode: 100, Timed: true, Duration: 100, Samples: 5}}}, nil},
		{"all fields of a sample", join(fragment(9, 2, 100, box("trun", words(0xf05, 2, 0, 0, 7, 1, 2, 3, 8, 1, 2, 3))), mdat),
			bmff.Segment{Sequence: 9, Fragments: 1, Media: 10, Tracks: []bmff.Span{{Track: 2, Decode: 100, Timed: true, Duration: 15, Samples: 2}}}, nil},
		{"defaults of the fragment", join(box("moof", box("mfhd", words(0, 9)), box("traf", box("tfhd", words(0x2b, 2, 0, 0, 1, 30, 7)), box("tfdt", words(0x1000000, 1, 0)), box("trun", words(0, 5)))), mdat),
			bmff.Segment{Sequence: 9, Fragments: 1, Media: 10, Tracks: []bmff.Span{{Track: 2, Decode: 1 << 32, Timed: true, Duration: 150, Samples: 5}}}, nil},
		{"no time", join(box("moof", box("traf", box("tfhd", words(0, 2)))), mdat),
			bmff.Segment{Fragments: 1, Media: 10, Tracks: []bmff.Span{{Track: 2}}}, nil},
		{"chunks and two runs", join(styp("cmfs"), fragment(9, 1, 100, trun(40, 40), trun(40)), mdat, fragment(10, 1, 220, trun(40)), mdat),
			bmff.Segment{Sequence: 9, Fragments: 2, Media: 20, Tracks: []bmff.Span{{Track: 1, Decode: 100, Timed: true, Duration: 160, Samples: 4}}}, nil},
		{"a gap between chunks", join(fragment(9, 1, 100, trun(40)), mdat, fragment(10, 1, 180, trun(40)), mdat),
			bmff.Segment{Sequence: 9, Fragments: 2, Media: 20, Tracks: []bmff.Span{{Track: 1, Decode: 100, Timed: true, Duration: 80, Samples: 2, Broken: true}}}, nil},
		{"two tracks", join(fragment(9, 1, 100, trun(40)), mdat, fragment(9, 2, 50, trun(20)), mdat),
			bmff.Segment{Sequence: 9, Fragments: 2, Media: 20, Tracks: []bmff.Span{{Track: 1, Decode: 100, Timed: true, Duration: 40, Samples: 1}, {Track: 2, Decode: 50, Timed: true, Duration: 20, Samples: 1}}}, nil},
		{"slate, and the last one", join(styp("cmfsslatlmsg"), fragment(9, 1, 100), mdat),
			bmff.Segment{Slate: true, Last: true, Sequence: 9, Fragments: 1, Media: 10, Tracks: []bmff.Span{{Track: 1, Decode: 100, Timed: true}}}, nil},
		{"a reference time", join(box("prft", words(0, 1, 3972988800, 1<<31, 0)), fragment(9, 1, 100), mdat),
			bmff.Segment{Reference: time.Unix(1764000000, 5e8).UTC(), Sequence: 9, Fragments: 1, Media: 10, Tracks: []bmff.Span{{Track: 1, Decode: 100, Timed: true}}}, nil},
		{"media to the end", join(fragment(9, 1, 100), words(0), []byte("mdat"), make([]byte, 7)),
			bmff.Segment{Sequence: 9, Fragments: 1, Media: 7, Tracks: []bmff.Span{{Track: 1, Decode: 100, Timed: true}}}, nil},
		{"cut off in the media", join(fragment(9, 1, 100), mdat[:12]),
			bmff.Segment{Truncated: true, Sequence: 9, Fragments: 1, Media: 4, Tracks: []bmff.Span{{Track: 1, Decode: 100, Timed: true}}}, nil},
		{"cut off in a header", join(fragment(9, 1, 100), mdat[:6]),
			bmff.Segment{Truncated: true, Sequence: 9, Fragments: 1, Tracks: []bmff.Span{{Track: 1, Decode: 100, Timed: true}}}, nil},
		{"nonsense after the media", join(fragment(9, 1, 100), mdat, words(3), mdat), bmff.Segment{}, bmff.ErrMalformed},
		{"empty", nil, bmff.Segment{}, bmff.ErrForeign},
		{"MPEG-2 TS", bytes.Repeat([]byte("G\x40\x11\x10\x00BBB"), 400), bmff.Segment{}, bmff.ErrForeign},
		{"no fragment", styp("cmfs"), bmff.Segment{}, bmff.ErrMalformed},
		{"a box shorter than its header", join(styp("cmfs"), words(7), []byte("moof")), bmff.Segment{}, bmff.ErrMalformed},
		{"a large size that is none", join(styp("cmfs"), words(1), []byte("moof"), words(0, 15)), bmff.Segment{}, bmff.ErrMalformed},
		{"a size of 2⁶⁴-1", join(styp("cmfs"), words(1), []byte("mdat"), words(1<<32-1, 1<<32-1)), bmff.Segment{}, bmff.ErrMalformed},
		{"inner beyond outer", join(box("moof", words(100), []byte("traf")), mdat), bmff.Segment{}, bmff.ErrMalformed},
		{"a traf without head", box("moof", box("traf", box("tfdt", words(0, 1)))), bmff.Segment{}, bmff.ErrMalformed},
		{"samples ahead of the head", box("moof", box("traf", trun(1), box("tfhd", words(0, 1)))), bmff.Segment{}, bmff.ErrMalformed},
		{"more samples than bytes", fragment(9, 1, 100, box("trun", words(0x100, 1<<30, 1))), bmff.Segment{}, bmff.ErrMalformed},
		{"a duration without end", fragment(9, 1, 100, box("tfhd", words(8, 1, 1<<32-1)), box("trun", words(0, 1<<31-1)), box("trun", words(0, 1))), bmff.Segment{}, bmff.ErrMalformed},
		{"a time without end", box("moof", box("traf", box("tfhd", words(0, 1)), box("tfdt", words(0x1000000, 1<<31, 0)))), bmff.Segment{}, bmff.ErrMalformed},
		{"a head that is too short", box("moof", box("traf", box("tfhd", words(8, 1)))), bmff.Segment{}, bmff.ErrMalformed},
		{"ten thousand boxes", bytes.Repeat(box("free"), 10_000), bmff.Segment{}, bmff.ErrTooLong},
		{"a moof of 2 MiB", box("moof", box("free", make([]byte, 2<<20))), bmff.Segment{}, bmff.ErrTooLong},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := bmff.Inspect(tt.b, init)
			if !errors.Is(err, tt.err) || err == nil && !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Inspect = %+v, %v, want %+v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

// TestCodecs: sample entries that ffmpeg's test files do not have.
func TestCodecs(t *testing.T) {
	entry := func(handler string, sampleEntry []byte) []byte {
		return box("moov", box("trak", box("tkhd", words(0, 0, 0, 1)), box("mdia", box("mdhd", words(0, 0, 0, 96000, 0, 0)), box("hdlr", words(0, 0), []byte(handler)),
			box("minf", box("stbl", box("stsd", words(0, 1), sampleEntry))))))
	}
	video := func(kind string, config ...[]byte) []byte {
		return entry("vide", box(kind, append([][]byte{make([]byte, 24), words(1920<<16 | 1080), make([]byte, 50)}, config...)...))
	}
	audio := func(kind string, config ...[]byte) []byte {
		return entry("soun", box(kind, append([][]byte{make([]byte, 28)}, config...)...))
	}
	esds := func(object byte, config ...byte) []byte {
		c := append([]byte{4, 15 + byte(len(config)), object}, make([]byte, 12)...)
		if len(config) > 0 {
			c = append(append(c, 5, byte(len(config))), config...)
		}
		return box("esds", words(0), []byte{3, 0x80, 0x80, byte(len(c) + 3), 0, 1, 0}, c)
	}
	for _, tt := range []struct {
		name string
		init []byte
		want bmff.Track
	}{
		{"H.264 main", video("avc3", box("avcC", []byte{1, 0x4d, 0x40, 0x28})), bmff.Track{Codec: "avc3.4D4028"}},
		{"H.264 without configuration", video("avc1"), bmff.Track{Codec: "avc1"}},
		{"HEVC main 10, high tier", video("hev1", box("hvcC", []byte{1, 0x62, 0x20, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 153})), bmff.Track{Codec: "hev1.A2.4.H153.B0"}},
		{"AV1 10 bit", video("av01", box("av1C", []byte{0x81, 0x0d, 0xc0, 0})), bmff.Track{Codec: "av01.0.13H.10"}},
		{"encrypted", video("encv", box("avcC", []byte{1, 0x64, 0, 0x28}), box("sinf", box("frma", []byte("avc1")))), bmff.Track{Codec: "avc1.640028", Encrypted: true}},
		{"unknown video", video("zz\"\x01"), bmff.Track{Codec: "zz.."}},
		{"HE-AAC", audio("mp4a", esds(0x40, 0x2b, 0x11)), bmff.Track{Codec: "mp4a.40.5"}},
		{"xHE-AAC", audio("mp4a", esds(0x40, 0xf9, 0x40)), bmff.Track{Codec: "mp4a.40.42"}},
		{"MP3", audio("mp4a", esds(0x6b)), bmff.Track{Codec: "mp4a.6B"}},
		{"encrypted AAC", audio("enca", esds(0x40, 0x12, 0x10), box("sinf", box("frma", []byte("mp4a")))), bmff.Track{Codec: "mp4a.40.2", Encrypted: true}},
		{"subtitles", entry("subt", box("stpp", make([]byte, 8))), bmff.Track{Codec: "stpp"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			init, err := bmff.ParseInit(tt.init)
			if err != nil {
				t.Fatalf("ParseInit: %v", err)
			}
			got := init.Tracks[0]
			if got.Codec != tt.want.Codec || got.Encrypted != tt.want.Encrypted {
				t.Errorf("ParseInit = %+v, want codec %q, encrypted %v", got, tt.want.Codec, tt.want.Encrypted)
			}
			if got.Handler == "vide" && (got.Width != 1920 || got.Height != 1080) || got.Handler == "soun" && got.SampleRate != 96000 {
				t.Errorf("ParseInit = %+v, want 1920x1080 or 96 kHz", got)
			}
		})
	}
}

func TestParseInitRefuses(t *testing.T) {
	trak := func(id, timescale uint32) []byte {
		return box("trak", box("tkhd", words(0, 0, 0, id)), box("mdia", box("mdhd", words(0, 0, 0, timescale, 0, 0))))
	}
	for name, b := range map[string][]byte{
		"empty":             nil,
		"text":              []byte("<?xml version=\"1.0\"?>"),
		"no movie":          box("ftyp", []byte("iso6\x00\x00\x00\x00")),
		"no track":          box("moov"),
		"a movie cut off":   box("moov", trak(1, 1))[:40],
		"no timescale":      box("moov", trak(1, 0)),
		"no number":         box("moov", trak(0, 1)),
		"one number twice":  box("moov", trak(1, 1), trak(1, 1)),
		"too many tracks":   box("moov", manyTracks(trak)),
		"a movie of 2 MiB":  box("moov", box("free", make([]byte, 2<<20)), trak(1, 1)),
		"ten thousand free": bytes.Repeat(box("free"), 10_000),
	} {
		if init, err := bmff.ParseInit(b); err == nil {
			t.Errorf("%s: ParseInit = %+v, want an error", name, init)
		}
	}
}

func manyTracks(trak func(id, timescale uint32) []byte) (b []byte) {
	for id := range uint32(100) {
		b = append(b, trak(id+2, 1)...)
	}
	return b
}

// TestNestingCostsNothing: boxes in boxes are looked into no deeper than the parser knows them.
func TestNestingCostsNothing(t *testing.T) {
	const size = 1 << 20
	for _, kind := range []string{"moof", "moov", "traf", "free"} {
		b := make([]byte, size)
		for i := 0; i < size; i += 8 {
			binary.BigEndian.PutUint32(b[i:], uint32(size-i))
			copy(b[i+4:], kind)
		}
		for what, f := range map[string]func(){
			"Inspect":   func() { _, _ = bmff.Inspect(b, nil) },
			"ParseInit": func() { _, _ = bmff.ParseInit(b) },
		} {
			if n := testing.AllocsPerRun(3, f); n > 20 {
				t.Errorf("%s of 1 MiB of %q in %q allocates %v times", what, kind, kind, n)
			}
		}
	}
}

func FuzzInspect(f *testing.F) {
	init := parse(f, read(f, "aac-init.mp4"))
	for _, name := range []string{"avc-0.m4s", "aac-3.m4s", "avc-init.mp4"} {
		b := read(f, name)
		f.Add(b[:min(len(b), 800)])
	}
	f.Add(fragment(1, 1, 0, box("trun", words(0x100, 2, 3, 4))))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, init := range []*bmff.Init{nil, init} {
			seg, err := bmff.Inspect(b, init)
			if err != nil {
				if !errors.Is(err, bmff.ErrForeign) && !errors.Is(err, bmff.ErrMalformed) && !errors.Is(err, bmff.ErrTooLong) {
					t.Fatalf("Inspect: %v wraps none of the errors that it promises", err)
				}
				continue
			}
			if seg.Fragments == 0 || seg.Media > int64(len(b)) || len(seg.Tracks) > len(b)/8 {
				t.Fatalf("Inspect(%d bytes) = %+v", len(b), seg)
			}
			for _, s := range seg.Tracks {
				if s.Samples < 0 || s.End() < s.Decode {
					t.Fatalf("Inspect = %+v: overflow", seg)
				}
			}
		}
	})
}

func FuzzParseInit(f *testing.F) {
	files, err := filepath.Glob("testdata/*-init.mp4")
	if err != nil || len(files) < 8 {
		f.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		f.Add(read(f, filepath.Base(file)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		init, err := bmff.ParseInit(b)
		if err != nil {
			return
		}
		for _, track := range init.Tracks {
			if track.ID == 0 || track.Timescale == 0 || init.Track(track.ID) == nil || strings.ContainsAny(track.Codec+track.Handler+track.Language, "\"<>&\r\n\x00 ") {
				t.Fatalf("ParseInit = %+v", track)
			}
		}
	})
}

// BenchmarkInspect: what looking at a segment of 2 s costs a publishing node.
func BenchmarkInspect(b *testing.B) {
	init, seg := parse(b, read(b, "avc-init.mp4")), read(b, "avc-0.m4s")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bmff.Inspect(seg, init); err != nil {
			b.Fatal(err)
		}
	}
}
