package bmff

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Init is what an initialisation segment says.
type Init struct {
	Tracks []Track // in the order of their boxes
}

// Track is one track of an initialisation segment.
type Track struct {
	ID uint32
	// Handler is its kind: vide, soun, subt, text, meta, …
	Handler string
	// Timescale is the ticks per second of its decode times and durations; never 0.
	Timescale uint32
	// Language is its ISO 639-2 code, such as eng; und if it says none.
	Language string
	// Codec is what a manifest's CODECS says of it (RFC 6381), such as avc1.64001F or mp4a.40.2; of an encrypted track the
	// codec within. Where only the kind of its sample entry is known it is that alone.
	Codec string
	// Encrypted: its samples are (encv, enca).
	Encrypted bool
	// Width and Height are a video's in pixels, else 0.
	Width, Height int
	// SampleRate in Hz and Channels are an audio track's, else 0.
	SampleRate, Channels int
	// Bitrate is what its packager says it takes at most, in bit/s, or where only the mean is said (btrt) that; 0 if neither is.
	Bitrate int64
	// DefaultDuration, DefaultSize and DefaultFlags are of samples whose fragment does not say (trex).
	DefaultDuration, DefaultSize, DefaultFlags uint32
}

// Track returns the track of that ID, or nil. A nil Init has none.
func (i *Init) Track(id uint32) *Track {
	if i == nil {
		return nil
	}
	for t := range i.Tracks {
		if i.Tracks[t].ID == id {
			return &i.Tracks[t]
		}
	}
	return nil
}

func (i *Init) defaultDuration(track uint32) uint32 {
	if t := i.Track(track); t != nil {
		return t.DefaultDuration
	}
	return 0
}

// ParseInit returns what the initialisation segment b says. Its cost is bounded; it keeps nothing of b. The errors are as of
// Inspect.
func ParseInit(b []byte) (*Init, error) {
	if !begins(b) {
		return nil, ErrForeign
	}
	s := boxes{rest: b}
	for n := 0; s.next(); n++ {
		switch {
		case n == maxBoxes:
			return nil, fmt.Errorf("%w: more than %d boxes", ErrTooLong, maxBoxes)
		case s.kind != kind("moov"):
			continue
		case s.cut:
			return nil, fmt.Errorf("%w: the moov box is cut off", ErrMalformed)
		case len(s.body) > maxInit:
			return nil, fmt.Errorf("%w: a moov box of more than %d bytes", ErrTooLong, maxInit)
		}
		return movie(s.body)
	}
	if s.err != nil {
		return nil, s.err
	}
	return nil, fmt.Errorf("%w: no moov box", ErrMalformed)
}

func movie(b []byte) (*Init, error) {
	init := &Init{}
	err := within(b, func(k fourCC, body []byte) error {
		if k != kind("trak") {
			return nil
		}
		if len(init.Tracks) == maxTracks {
			return fmt.Errorf("%w: more than %d tracks", ErrTooLong, maxTracks)
		}
		t, err := track(body)
		if err == nil && init.Track(t.ID) != nil {
			err = fmt.Errorf("%w: track %d is there twice", ErrMalformed, t.ID)
		}
		init.Tracks = append(init.Tracks, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(init.Tracks) == 0 {
		return nil, fmt.Errorf("%w: no track", ErrMalformed)
	}
	// mvex may come ahead of the tracks.
	err = within(b, func(k fourCC, body []byte) error {
		if k != kind("mvex") {
			return nil
		}
		return within(body, func(k fourCC, body []byte) error {
			if k != kind("trex") {
				return nil
			}
			f := fields{rest: body}
			f.full()
			t := init.Track(f.u32())
			f.skip(4) // sample description index
			duration, size, flags := f.u32(), f.u32(), f.u32()
			if t != nil {
				t.DefaultDuration, t.DefaultSize, t.DefaultFlags = duration, size, flags
			}
			return f.done("trex")
		})
	})
	return init, err
}

func track(b []byte) (Track, error) {
	t := Track{Language: "und"}
	err := within(b, func(k fourCC, body []byte) error {
		switch k.String() {
		case "tkhd":
			f := fields{rest: body}
			version, _ := f.full()
			f.sized(version) // creation
			f.sized(version) // modification
			t.ID = f.u32()
			return f.done("tkhd")
		case "mdia":
			return t.media(body)
		}
		return nil
	})
	switch {
	case err != nil:
		return t, err
	case t.ID == 0:
		return t, fmt.Errorf("%w: a track without a number", ErrMalformed)
	case t.Timescale == 0:
		return t, fmt.Errorf("%w: track %d has no timescale", ErrMalformed, t.ID)
	}
	if t.Handler == "soun" && t.SampleRate == 0 {
		t.SampleRate = int(t.Timescale) // the sample entry's field ends at 65,535 Hz
	}
	return t, nil
}

func (t *Track) media(b []byte) error {
	return within(b, func(k fourCC, body []byte) error {
		f := fields{rest: body}
		switch k.String() {
		case "mdhd":
			version, _ := f.full()
			f.sized(version)
			f.sized(version)
			t.Timescale = f.u32()
			f.sized(version) // duration
			t.Language = language(f.u16())
			return f.done("mdhd")
		case "hdlr":
			f.full()
			f.skip(4)
			t.Handler = printable(f.fourCC())
			return f.done("hdlr")
		case "minf":
			return within(body, func(k fourCC, body []byte) error {
				if k != kind("stbl") {
					return nil
				}
				return within(body, func(k fourCC, body []byte) error {
					if k != kind("stsd") {
						return nil
					}
					return t.sampleEntry(body)
				})
			})
		}
		return nil
	})
}

// language is three letters of five bits each.
func language(packed uint16) string {
	b := []byte{byte(packed>>10&31) + 0x60, byte(packed>>5&31) + 0x60, byte(packed&31) + 0x60}
	for _, c := range b {
		if c < 'a' || c > 'z' {
			return "und"
		}
	}
	return string(b)
}

// printable is k as a manifest may carry it: what is no letter, digit or one of -_+ becomes a dot.
func printable(k fourCC) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '+':
			return r
		}
		return '.'
	}, strings.TrimRight(k.String(), " \x00"))
}

// sampleEntry reads the first entry of a stsd box; CMAF has but one.
func (t *Track) sampleEntry(b []byte) error {
	f := fields{rest: b}
	f.full()
	f.skip(4) // count
	if err := f.done("stsd"); err != nil {
		return err
	}
	s := boxes{rest: f.rest}
	if !s.next() {
		return s.err
	}
	if s.cut {
		return fmt.Errorf("%w: sample entry %q is cut off", ErrMalformed, s.kind)
	}
	format := s.kind
	f = fields{rest: s.body}
	f.skip(8) // reserved, data reference
	switch t.Handler {
	case "vide":
		f.skip(16)
		t.Width, t.Height = int(f.u16()), int(f.u16())
		f.skip(50)
	case "soun":
		quicktime := f.u16()
		f.skip(6)
		t.Channels = int(f.u16())
		f.skip(6)
		t.SampleRate = int(f.u32() >> 16)
		switch quicktime { // not in CMAF, but some packagers write QuickTime's older entries
		case 1:
			f.skip(16)
		case 2:
			f.skip(36)
		}
	default:
		t.Codec = printable(format) // metadata and text need no more
		return nil
	}
	if err := f.done(format.String()); err != nil {
		return err
	}
	var avcC, hvcC, av1C, vpcC, esds []byte
	err := within(f.rest, func(k fourCC, body []byte) error {
		switch k.String() {
		case "avcC":
			avcC = body
		case "hvcC":
			hvcC = body
		case "av1C":
			av1C = body
		case "vpcC":
			vpcC = body
		case "esds":
			esds = body
		case "btrt":
			f := fields{rest: body}
			f.skip(4) // buffer
			most, mean := f.u32(), f.u32()
			t.Bitrate = int64(max(most, mean))
			return f.done("btrt")
		case "sinf":
			return within(body, func(k fourCC, body []byte) error {
				if k != kind("frma") {
					return nil
				}
				f := fields{rest: body}
				format, t.Encrypted = f.fourCC(), true
				return f.done("frma")
			})
		}
		return nil
	})
	if err != nil {
		return err
	}
	t.Codec = printable(format)
	var more string
	switch format.String() {
	case "avc1", "avc2", "avc3", "avc4":
		more = avc(avcC)
	case "hvc1", "hev1":
		more = hevc(hvcC)
	case "av01":
		more = av1(av1C)
	case "vp08", "vp09":
		more = vp(vpcC)
	case "mp4a":
		more = mpeg4(esds)
	}
	t.Codec += more
	return nil
}

// avc is the profile, its constraints and the level in hexadecimal (RFC 6381, 3.3).
func avc(b []byte) string {
	if len(b) < 4 {
		return ""
	}
	return fmt.Sprintf(".%X", [3]byte(b[1:4]))
}

// hevc follows ISO/IEC 14496-15, Annex E.3: profile space and profile, compatibility flags with their bits reversed, tier and
// level, and the constraint bytes without trailing zeros.
func hevc(b []byte) string {
	if len(b) < 13 {
		return ""
	}
	space := [...]string{"", "A", "B", "C"}[b[1]>>6]
	tier := [...]string{"L", "H"}[b[1]>>5&1]
	compatible := bits.Reverse32(binary.BigEndian.Uint32(b[2:]))
	out := fmt.Sprintf(".%s%d.%X.%s%d", space, b[1]&31, compatible, tier, b[12])
	constraints := b[6:12]
	for len(constraints) > 0 && constraints[len(constraints)-1] == 0 {
		constraints = constraints[:len(constraints)-1]
	}
	for _, c := range constraints {
		out += fmt.Sprintf(".%X", c)
	}
	return out
}

// av1 follows "AV1 Codec ISO Media File Format Binding", 5: profile, level with tier, bit depth.
func av1(b []byte) string {
	if len(b) < 4 {
		return ""
	}
	depth := 8
	if b[2]&0x40 != 0 { // high bit depth
		depth = 10
		if b[2]&0x20 != 0 {
			depth = 12
		}
	}
	tier := [...]string{"M", "H"}[b[2]>>7]
	return fmt.Sprintf(".%d.%02d%s.%02d", b[1]>>5, b[1]&31, tier, depth)
}

// vp follows "VP Codec ISO Media File Format Binding": profile, level, bit depth.
func vp(b []byte) string {
	if len(b) < 7 {
		return ""
	}
	return fmt.Sprintf(".%02d.%02d.%02d", b[4], b[5], b[6]>>4)
}

// mpeg4 reads the object type of an esds box (ISO/IEC 14496-1, 7.2.6), and for MPEG-4 audio (0x40) the audio object type that
// its configuration begins with.
func mpeg4(b []byte) string {
	const esDescriptor, decoderConfig, decoderSpecific = 3, 4, 5
	f := fields{rest: b}
	f.full()
	if f.u8() != esDescriptor {
		return ""
	}
	f.descriptorLength()
	f.skip(2)
	flags := f.u8()
	if flags&0x80 != 0 { // depends on another stream
		f.skip(2)
	}
	if flags&0x40 != 0 { // URL
		f.skip(int(f.u8()))
	}
	if flags&0x20 != 0 { // clock of another stream
		f.skip(2)
	}
	if f.u8() != decoderConfig {
		return ""
	}
	f.descriptorLength()
	object := f.u8()
	f.skip(12)
	if f.short {
		return ""
	}
	out := fmt.Sprintf(".%02X", object)
	if object != 0x40 || f.u8() != decoderSpecific {
		return out
	}
	f.descriptorLength()
	config := f.u16()
	if f.short {
		return out
	}
	audio := int(config >> 11)
	if audio == 31 { // 6 more bits
		audio = 32 + int(config>>5&63)
	}
	return out + "." + strconv.Itoa(audio)
}

// descriptorLength passes over a length of up to four bytes of seven bits.
func (f *fields) descriptorLength() {
	for range 4 {
		if f.u8()&0x80 == 0 {
			return
		}
	}
}
