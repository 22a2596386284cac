package body

import (
	"encoding/binary"
	"math"

	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// mark is what a body says about itself, in a box of its own ahead of the media: enough to make the same body again.
type mark struct {
	id        segment.ID
	size      int
	decode    uint64 // decode time of the fragment's first sample, in ticks of timescale
	duration  uint32 // in ticks
	timescale uint32
	effect    storm.Effect // what a fault did to it
	variant   uint8        // of storm.Other: which other bytes
}

func newMark(id segment.ID, t segment.Template, size int) mark {
	m := mark{id: id, size: Size(size), duration: 2, timescale: 1}
	if t.Ticks > 0 && t.Timescale > 0 {
		m.duration, m.timescale = uint32(min(t.Ticks, math.MaxUint32)), uint32(t.Timescale)
	}
	if id.Number > t.StartNumber {
		m.decode = uint64(id.Number-t.StartNumber) * uint64(m.duration)
	}
	return m
}

// twist changes m as a fault of the scenario says. Effects that are not on bodies change nothing.
func (m *mark) twist(t storm.Twist) {
	if !t.Do.InBody() {
		return
	}
	m.effect = t.Do
	ticks := int64(math.Round(float64(t.By) * float64(m.timescale) / 1e9))
	switch t.Do {
	case storm.Shifted:
		m.decode = uint64(max(0, int64(min(m.decode, math.MaxInt64/2))+ticks))
	case storm.Shorter:
		m.duration = uint32(max(0, int64(m.duration)-ticks))
	case storm.Other:
		m.variant = uint8(t.By)
	}
}

// A key's upper half is the segment's, which is the same for all pipelines; of the lower, most bits are the pipeline's and the
// last are those of the size and of what a fault did. So a line that is out of place says whether it is another pipeline's of the same segment. Lines do not meet
// for all that: below 2^25 of them, n·gamma and n'·gamma are further apart than 2^37.
const (
	segmentBits  = uint64(0xffffffff) << 32
	pipelineBits = uint64(0xfffff) << 12
	sizeBits     = uint64(0xfff)
)

// key makes the bytes of two bodies differ wherever anything about them does.
func (m mark) key() uint64 {
	return hash(uint64(m.id.Number), m.id.Event, m.id.Rendition)&segmentBits |
		hash(0, m.id.Pipeline)&pipelineBits | mix(uint64(m.size)^uint64(m.effect)<<48^uint64(m.variant)<<56)&sizeBits
}

func hash(h uint64, names ...string) uint64 {
	for _, s := range names {
		h = mix(h + uint64(len(s))*gamma)
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 0x100000001b3 // FNV-1a's prime
		}
	}
	return mix(h)
}

// Lengths are fixed, so that the media begins on a line whatever the names are.
const (
	typeSize     = 24 // styp or ftyp
	markSize     = 256
	fragmentHead = 384 // up to and with mdat's header
	initHead     = 832 // up to and with the first bytes of the free box that fills an initialisation segment up

	markUser = "\x5c\x1a\x0e\xd4\x1f\x27\x4b\x6f\x9d\x52origin" // the user type of our uuid box
	nameRoom = 64
	effectAt = markSize - 2 // past the longest names
)

// appendHead appends everything ahead of the lines.
func (m mark) appendHead(b []byte) []byte {
	w, at := writer{b: b}, len(b)
	if m.id.Number == segment.Init {
		w.box("ftyp", func() { w.text("iso6").u32(0).text("iso6cmfc") })
		w.mark(m)
		w.box("moov", func() { w.movie(m) })
		w.u32(uint32(m.size - (len(w.b) - at))).text("free")
		return w.zero(initHead - (len(w.b) - at)).b
	}
	w.box("styp", func() { w.text("msdh").u32(0).text("msdh" + m.brand()) })
	w.mark(m)
	w.box("moof", func() {
		w.full("mfhd", 0, 0, func() { w.u32(uint32(m.id.Number)) })
		w.box("traf", func() {
			w.full("tfhd", 0, 0x020000, func() { w.u32(1) }) // default-base-is-moof; track 1
			w.full("tfdt", 1, 0, func() { w.u64(m.decode) })
			w.full("trun", 0, 0x000301, func() { // data offset; each sample's duration and size
				w.u32(1).u32(uint32(fragmentHead - typeSize - markSize)).u32(m.duration).u32(uint32(m.size - fragmentHead))
			})
		})
	})
	w.u32(uint32(m.size - fragmentHead + 8)).text("mdat")
	return w.b
}

// brand is what m's segment type says of it.
func (m mark) brand() string {
	switch m.effect {
	case storm.Slate:
		return "slat"
	case storm.Last:
		return "lmsg"
	}
	return "cmfs"
}

// movie writes the content of moov: one track of timed metadata of no further known kind, which is what the noise is.
func (w *writer) movie(m mark) {
	matrix := func() {
		for _, v := range [9]uint32{0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000} {
			w.u32(v)
		}
	}
	w.full("mvhd", 0, 0, func() {
		w.u32(0).u32(0).u32(m.timescale).u32(0).u32(0x10000).u32(0x01000000).u32(0).u32(0)
		matrix()
		w.zero(24).u32(2) // next track
	})
	w.box("trak", func() {
		w.full("tkhd", 0, 7, func() {
			w.u32(0).u32(0).u32(1).u32(0).u32(0).zero(8).zero(8)
			matrix()
			w.zero(8)
		})
		w.box("mdia", func() {
			w.full("mdhd", 0, 0, func() { w.u32(0).u32(0).u32(m.timescale).u32(0).u32(0x55c40000) }) // language "und"
			w.full("hdlr", 0, 0, func() { w.u32(0).text("meta").zero(12).text("storm\x00") })
			w.box("minf", func() {
				w.full("nmhd", 0, 0, func() {})
				w.box("dinf", func() {
					w.full("dref", 0, 0, func() {
						w.u32(1)
						w.full("url ", 0, 1, func() {})
					})
				})
				w.box("stbl", func() {
					w.full("stsd", 0, 0, func() {
						w.u32(1)
						w.box("mett", func() { w.zero(6).u16(1).text("\x00application/octet-stream\x00") })
					})
					w.full("stts", 0, 0, func() { w.u32(0) })
					w.full("stsc", 0, 0, func() { w.u32(0) })
					w.full("stsz", 0, 0, func() { w.u32(0).u32(0) })
					w.full("stco", 0, 0, func() { w.u32(0) })
				})
			})
		})
	})
	w.box("mvex", func() {
		w.full("trex", 0, 0, func() { w.u32(1).u32(1).u32(0).u32(0).u32(0) })
	})
}

// mark writes m's box. A name that is longer than segment.CheckName allows is cut.
func (w *writer) mark(m mark) {
	at := len(w.b)
	names := [...]string{m.id.Event, m.id.Pipeline, m.id.Rendition}
	w.u32(markSize).text("uuid").text(markUser)
	for i, s := range names {
		names[i] = s[:min(len(s), nameRoom)]
		w.b = append(w.b, byte(len(names[i])))
	}
	w.b = append(w.b, 1) // version
	w.u64(uint64(m.id.Number)).u64(m.decode).u32(uint32(m.size)).u32(m.duration).u32(m.timescale)
	for _, s := range names {
		w.text(s)
	}
	w.zero(at + effectAt - len(w.b))
	w.b = append(w.b, byte(m.effect), m.variant)
}

// readMark reads the mark of a body from its front; ok is false if there is none that newMark could have made.
func readMark(b []byte) (m mark, ok bool) {
	if len(b) < typeSize+markSize {
		return mark{}, false
	}
	b = b[typeSize : typeSize+markSize]
	if string(b[4:8]) != "uuid" || string(b[8:24]) != markUser || b[27] != 1 {
		return mark{}, false
	}
	lengths, fields, names := b[24:27], b[28:56], b[56:effectAt]
	m.effect, m.variant = storm.Effect(b[effectAt]), b[effectAt+1]
	m.id.Number = int64(binary.BigEndian.Uint64(fields))
	m.decode = binary.BigEndian.Uint64(fields[8:])
	m.size = int(binary.BigEndian.Uint32(fields[16:]))
	m.duration = binary.BigEndian.Uint32(fields[20:])
	m.timescale = binary.BigEndian.Uint32(fields[24:])
	for i, s := range [...]*string{&m.id.Event, &m.id.Pipeline, &m.id.Rendition} {
		n := int(lengths[i])
		if n > nameRoom {
			return mark{}, false
		}
		*s, names = string(names[:n]), names[n:]
		if segment.CheckName(*s) != nil && !(i == 1 && n == 0) {
			return mark{}, false
		}
	}
	return m, m.size == Size(m.size) && m.id.Number >= segment.Init && (m.effect == storm.Plain && m.variant == 0 || m.effect.InBody())
}

// writer builds boxes; a box's length is known once its content is written.
type writer struct{ b []byte }

func (w *writer) box(kind string, content func()) {
	at := len(w.b)
	w.u32(0).text(kind)
	content()
	binary.BigEndian.PutUint32(w.b[at:], uint32(len(w.b)-at))
}

func (w *writer) full(kind string, version byte, flags uint32, content func()) {
	w.box(kind, func() {
		w.u32(uint32(version)<<24 | flags)
		content()
	})
}

func (w *writer) u16(v uint16) *writer  { w.b = binary.BigEndian.AppendUint16(w.b, v); return w }
func (w *writer) u32(v uint32) *writer  { w.b = binary.BigEndian.AppendUint32(w.b, v); return w }
func (w *writer) u64(v uint64) *writer  { w.b = binary.BigEndian.AppendUint64(w.b, v); return w }
func (w *writer) text(s string) *writer { w.b = append(w.b, s...); return w }
func (w *writer) zero(n int) *writer    { w.b = append(w.b, make([]byte, n)...); return w }
