package config

import (
	"regexp"
)

// Rendition is one quality of an event: a name in paths, and what manifests tell players of it. In YAML a name alone will do:
// whatever else is left out is learned from the initialisation segment once that is published, and what is written here wins
// over what is learned.
type Rendition struct {
	Name string `yaml:"name"`
	// Kind is what it carries; empty means that the initialisation segment says so.
	Kind Kind `yaml:"kind,omitempty"`
	// Bandwidth is the bit rate that players budget for, the peak over segments, in bit/s. Where neither this nor the
	// initialisation segment says it, it is that of the largest segment that a node has served.
	Bandwidth int64 `yaml:"bandwidth,omitempty"`
	// Codecs as in RFC 6381, such as avc1.64001f.
	Codecs string `yaml:"codecs,omitempty"`
	// Width and Height of video, in pixels.
	Width  int `yaml:"width,omitempty"`
	Height int `yaml:"height,omitempty"`
	// FrameRate of video in frames per second, an integer or a fraction: 25 or 60000/1001. No header carries it.
	FrameRate string `yaml:"frame-rate,omitempty"`
	// SampleRate of audio in Hz, and how many Channels it has.
	SampleRate int `yaml:"sample-rate,omitempty"`
	Channels   int `yaml:"channels,omitempty"`
	// Language as in BCP 47, such as en or pt-BR.
	Language string `yaml:"language,omitempty"`
	// Timescale is how many ticks a second the media's own clock has.
	Timescale int64 `yaml:"timescale,omitempty"`
	// TimeNames says that packagers name segments by the decode time they begin with, in ticks of Timescale ($Time$ of DASH),
	// instead of by number.
	TimeNames bool `yaml:"time-names,omitempty"`
}

// Kind is what a rendition carries.
type Kind string

// The kinds that manifests know.
const (
	Video Kind = "video"
	Audio Kind = "audio"
	Text  Kind = "text"
)

// Renditions returns renditions of which nothing but the name is known yet.
func Renditions(names ...string) []Rendition {
	list := make([]Rendition, len(names))
	for i, name := range names {
		list[i].Name = name
	}
	return list
}

// UnmarshalYAML reads a name or a mapping.
func (r *Rendition) UnmarshalYAML(unmarshal func(any) error) error {
	*r = Rendition{}
	if err := unmarshal(&r.Name); err == nil {
		return nil
	}
	type plain Rendition // without this method
	return unmarshal((*plain)(r))
}

// MarshalYAML writes a rendition as UnmarshalYAML reads it, in the shorter of the two forms.
func (r Rendition) MarshalYAML() (any, error) {
	if r == (Rendition{Name: r.Name}) {
		return r.Name, nil
	}
	type plain Rendition
	return plain(r), nil
}

var (
	// codecsForm admits a list of RFC 6381 codecs, and no character that would end an attribute of a playlist.
	codecsForm    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.,_-]*$`)
	frameRateForm = regexp.MustCompile(`^[1-9][0-9]{0,5}(/[1-9][0-9]{0,5})?$`)
	languageForm  = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)
)

func (r Rendition) validate(at string, bad func(field, format string, a ...any)) {
	switch r.Kind {
	case "", Video, Audio, Text:
	default:
		bad(at+".kind", "%q is not a kind of rendition; use video, audio or text", r.Kind)
	}
	if r.Bandwidth < 0 || r.Width < 0 || r.Height < 0 || r.SampleRate < 0 || r.Channels < 0 || r.Timescale < 0 {
		bad(at, "bandwidth, width, height, sample-rate, channels and timescale must not be negative")
	}
	if r.TimeNames && (r.Timescale < 1 || r.Timescale > 10_000_000) {
		bad(at+".time-names", "times need a timescale of 1 to 10,000,000 ticks a second, not %d", r.Timescale)
	}
	for _, c := range []struct {
		field, value string
		form         *regexp.Regexp
		example      string
	}{
		{"codecs", r.Codecs, codecsForm, "avc1.64001f"},
		{"frame-rate", r.FrameRate, frameRateForm, "25 or 60000/1001"},
		{"language", r.Language, languageForm, "en or pt-BR"},
	} {
		if c.value != "" && !c.form.MatchString(c.value) {
			bad(at+"."+c.field, "%.60q does not look like %s", c.value, c.example)
		}
	}
}
