package config

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"origin-storm/origin/segment"
)

// Access says who may use a node's listeners. A list without credentials lets everybody in, which Validate permits on loopback
// only. The serving listener is for all: what it answers is what viewers see.
type Access struct {
	Publish  []Credential `yaml:"publish,omitempty"`
	Operator []Credential `yaml:"operator,omitempty"` // of /stats, /metrics and what changes an event; /healthz and /readyz are open
}

// Credential is one way to show who one is, and what may be done with it: User and Password (HTTP Basic), Bearer, or Certificate.
type Credential struct {
	// Name is what logs call it; empty means the user, the certificate's name or "bearer".
	Name     string `yaml:"name,omitempty"`
	User     string `yaml:"user,omitempty"`
	Password Secret `yaml:"password,omitempty"`
	Bearer   Secret `yaml:"bearer,omitempty"`
	// Certificate is a DNS name, URI or e-mail address in the subject's alternative names of a client certificate that client-ca
	// has signed, or the subject's common name.
	Certificate string `yaml:"certificate,omitempty"`
	// Events and Pipelines bound what may be published; empty means all.
	Events    []string `yaml:"events,omitempty"`
	Pipelines []string `yaml:"pipelines,omitempty"`
}

// Secret says how a secret is recognised without being one: "sha256:" with the hexadecimal SHA-256 of the secret, or "env:" with
// the name of an environment variable that holds it. A hash this fast protects long random secrets only, such as `origin secret`
// makes; one that is slow on purpose would let whoever guesses take the time that publishing needs.
type Secret string

// The forms of a Secret.
const (
	SecretSHA256 = "sha256:"
	SecretEnv    = "env:"
)

// Label is what logs and errors call the credential.
func (c Credential) Label() string {
	for _, s := range []string{c.Name, c.User, c.Certificate} {
		if s != "" {
			return s
		}
	}
	return "bearer"
}

func (c Credential) validate(at string, n *Node, bad func(field, format string, a ...any)) {
	kinds := 0
	for _, given := range []bool{c.User != "" || c.Password != "", c.Bearer != "", c.Certificate != ""} {
		if given {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		bad(at, "give one of user with password, bearer, certificate")
	case c.User != "" || c.Password != "":
		if c.User == "" || c.Password == "" || strings.Contains(c.User, ":") {
			bad(at, "user and password go together, and a user has no colon")
		}
		c.Password.validate(at+".password", bad)
	case c.Bearer != "":
		c.Bearer.validate(at+".bearer", bad)
	case n.ClientCA == "":
		bad(at+".certificate", "nobody signs client certificates: set client-ca")
	}
	for i, e := range c.Events {
		if !slices.ContainsFunc(n.Events, func(ev Event) bool { return ev.Name == e }) {
			bad(fmt.Sprintf("%s.events[%d]", at, i), "there is no event %q", e)
		}
	}
	for i, p := range c.Pipelines {
		if err := segment.CheckName(p); err != nil {
			bad(fmt.Sprintf("%s.pipelines[%d]", at, i), "%v", err)
		}
	}
}

// validate never quotes s: what does not have its form may be a secret in the clear.
func (s Secret) validate(field string, bad func(field, format string, a ...any)) {
	if digest, ok := strings.CutPrefix(string(s), SecretSHA256); ok {
		if b, err := hex.DecodeString(digest); err != nil || len(b) != 32 {
			bad(field, "after sha256: come 64 hexadecimal digits; `origin-storm origin secret` makes a secret and its hash")
		}
		return
	}
	if name, ok := strings.CutPrefix(string(s), SecretEnv); !ok || name == "" {
		bad(field, "a secret is never written here itself: give sha256:HEX or env:NAME; `origin-storm origin secret` makes one")
	}
}

// hidden is what is shown instead of a secret.
const hidden = "***"

// Redacted returns n as it may be shown: without secrets, and with hashes cut off, which tell an attacker when a guess is right.
func (n Node) Redacted() Node {
	hide := func(list []Credential) []Credential {
		list = slices.Clone(list)
		for i := range list {
			for _, s := range []*Secret{&list[i].Password, &list[i].Bearer} {
				if strings.HasPrefix(string(*s), SecretEnv) || *s == "" {
					continue
				}
				*s = SecretSHA256 + hidden
			}
		}
		return list
	}
	n.Access.Publish, n.Access.Operator = hide(n.Access.Publish), hide(n.Access.Operator)
	n.Backend.Store = n.Backend.Store.redacted()
	n.Backend.Zones = slices.Clone(n.Backend.Zones)
	for i := range n.Backend.Zones {
		n.Backend.Zones[i] = n.Backend.Zones[i].redacted()
	}
	n.Host.Stores = slices.Clone(n.Host.Stores)
	for i := range n.Host.Stores {
		n.Host.Stores[i].Store = n.Host.Stores[i].Store.redacted()
	}
	return n
}

func (s StoreAt) redacted() StoreAt {
	if s.Secret != "" && !strings.HasPrefix(s.Secret, SecretEnv) {
		s.Secret = hidden
	}
	s.Addresses = slices.Clone(s.Addresses)
	for i, a := range s.Addresses {
		scheme, rest, isURL := strings.Cut(a, "://")
		if user, host, ok := strings.Cut(rest, "@"); isURL && ok && user != "" {
			s.Addresses[i] = scheme + "://" + hidden + "@" + host
		}
	}
	return s
}
