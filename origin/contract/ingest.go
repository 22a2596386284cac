package contract

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"slices"
	"strings"
)

// ingestCases are the rows about packagers that have habits of their own (DASH-IF Live Media Ingest).
func ingestCases() []Case {
	return []Case{
		{Row: "I1", Says: "the types of CMAF name the same segment as .m4s", run: func(p *probe) {
			for _, kind := range []string{".cmfv", ".mp4"} {
				id := p.pastName()
				body := p.bodyOf(p.first(id))
				path := strings.TrimSuffix(p.first(id).String(), ".m4s") + kind
				if p.status(p.put(path, body), http.StatusOK, http.StatusCreated) {
					p.bytes(p.read(id.String()), body)
				}
			}
		}},
		{Row: "I2", Says: "a type of media that is not taken: 415", run: func(p *probe) {
			id := p.pastName()
			p.status(p.put(strings.TrimSuffix(p.first(id).String(), ".m4s")+".webm", p.bodyOf(p.first(id))), http.StatusUnsupportedMediaType)
			p.absent(id)
		}},
		{Row: "I3", Says: "a path that leaves its publishing point: 403", run: func(p *probe) {
			id := p.pastName()
			last := strings.TrimPrefix(p.second(id).String(), "/"+p.Event+"/")
			p.status(p.put("/"+p.Event+"/"+p.Pipelines[0]+"/../"+last, p.bodyOf(p.first(id))), http.StatusForbidden)
			p.absent(id)
		}},
		{Row: "I4", Says: "a segment whose brand is slat is a slate: a sound copy is served before it, and it is marked", run: func(p *probe) {
			id := p.pastName()
			slate := slices.Concat(box("styp", []byte("slat\x00\x00\x00\x00msdhslat")), fragment(), box("mdat", bytes.Repeat([]byte("x"), 100)))
			p.publish(p.first(id), slate)
			a := p.read(id.String())
			p.header(a, headerSlate, "?1")
			p.publish(p.second(id), p.bodyOf(p.second(id)))
			p.soon("PUT "+p.second(id).String()+" beside a slate", id, p.bodyOf(p.second(id)))
		}},
	}
}

// box is an ISO BMFF box of that kind.
func box(kind string, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	return slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(8+len(body))), []byte(kind), body)
}

// fragment is a movie fragment of one sample (ISO/IEC 14496-12, 8.8).
func fragment() []byte {
	words := func(w ...uint32) (b []byte) {
		for _, v := range w {
			b = binary.BigEndian.AppendUint32(b, v)
		}
		return b
	}
	const defaults = 0x020008 // the base is the moof, and there is a default duration
	return box("moof", box("mfhd", words(0, 1)), box("traf",
		box("tfhd", words(defaults, 1, 1000)), box("tfdt", words(0, 0)), box("trun", words(0, 1))))
}
