package config

import "time"

// Limits bounds what clients may take of each listener.
type Limits struct {
	Publish  Limit `yaml:"publish,omitempty"`
	Serve    Limit `yaml:"serve,omitempty"` // and of what a node of role Store hosts
	Operator Limit `yaml:"operator,omitempty"`
}

// Limit bounds what clients may take of one listener. How long a body or an answer may take is bounded by its progress, in the
// handlers: a packager opens its request when the segment begins and ends it when the segment does.
type Limit struct {
	// Connections at a time; one more is closed at once. 0 means 4,096 for publish, 16,384 for serve and 256 for the operator.
	Connections int `yaml:"connections,omitempty"`
	// PerAddress is how many of them one remote address may have; 0 means as many as there are, because one address may be all of
	// a CDN's shield.
	PerAddress int `yaml:"connections-per-address,omitempty"`
	// HeaderBytes bounds the header of a request, which gets 431 beyond it; 0 means 16 KiB. A few KiB above it are let through.
	HeaderBytes int `yaml:"header-bytes,omitempty"`
	// HeaderTime is how long a request's header, and a TLS handshake, may take; 0 means 10 s.
	HeaderTime time.Duration `yaml:"header-time,omitempty"`
	// Idle is how long a connection stays open between requests; 0 means 2 min.
	Idle time.Duration `yaml:"idle,omitempty"`
}

func (l Limit) validate(field string, bad func(field, format string, a ...any)) {
	if l.Connections < 0 || l.PerAddress < 0 || l.HeaderBytes < 0 || l.HeaderTime < 0 || l.Idle < 0 {
		bad(field, "must not be negative; leave out what shall have its default")
	}
}

// Log says what a node writes to its standard error.
type Log struct {
	// Format is text or json; empty means text.
	Format string `yaml:"format,omitempty"`
	// Level is debug, info, warn or error; empty means info.
	Level string `yaml:"level,omitempty"`
	// Access adds a line for each request that the publish and serve listeners let in: without query, and without any header that could
	// hold a secret.
	Access bool `yaml:"access,omitempty"`
}

func (l Log) validate(bad func(field, format string, a ...any)) {
	switch l.Format {
	case "", "text", "json":
	default:
		bad("log.format", "%q is not a format; use text or json", l.Format)
	}
	switch l.Level {
	case "", "debug", "info", "warn", "error":
	default:
		bad("log.level", "%q is not a level; use debug, info, warn or error", l.Level)
	}
}
