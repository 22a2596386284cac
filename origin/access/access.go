// Package access says who may use a listener: it finds out who a request comes from (HTTP Basic, a bearer token, a client
// certificate), answers those it does not know, and knows what the others may publish. It also keeps the certificates of TLS,
// which prove the one side to the other. What a request means is the handlers' business.
package access

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"origin-storm/origin/config"
)

// Config is what a Guard needs.
type Config struct {
	// Credentials are those that let in; none lets everybody in.
	Credentials []config.Credential
	// Open reports whether a request needs no credentials; nil means that all do.
	Open func(*http.Request) bool
	Log  *slog.Logger // nil discards
}

// A Guard lets requests with the right credentials through to a handler. It is safe for concurrent use; make it with New.
type Guard struct {
	cfg         Config
	credentials []credential
	challenges  []string
	log         *slog.Logger
	attempts    attempts
	late        chan struct{} // one value for each refusal that is being put off

	missing, wrong, limited atomic.Int64
}

// Stats counts the requests that a Guard did not let through.
type Stats struct {
	Missing int64 `json:"missing"` // without credentials: the first half of a challenge's round trip
	Wrong   int64 `json:"wrong"`   // with wrong ones
	Limited int64 `json:"limited"` // with wrong ones, from an address that had sent too many
}

// credential is a config.Credential as it is compared.
type credential struct {
	config.Credential
	kind   kind
	user   [sha256.Size]byte // hashed, so that users of any length are compared in the same time
	secret [sha256.Size]byte
}

type kind int

const (
	basic kind = iota + 1
	bearer
	certificate
)

// shortest is how short a secret from the environment may be: too short to be guessed over a network, though not more.
const shortest = 16

// New returns a Guard, or what is wrong with cfg: an environment variable that is not set, or a secret that is there twice.
func New(cfg Config) (*Guard, error) {
	g := &Guard{cfg: cfg, log: cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)), late: make(chan struct{}, maxLate)}
	var kinds [certificate + 1]bool
	for _, c := range cfg.Credentials {
		k := credential{Credential: c, user: sha256.Sum256([]byte(c.User))}
		var err error
		switch {
		case c.User != "":
			k.kind = basic
			k.secret, err = digest(c.Password)
		case c.Bearer != "":
			k.kind = bearer
			k.secret, err = digest(c.Bearer)
		default:
			k.kind = certificate
		}
		if err != nil {
			return nil, fmt.Errorf("access: credential %q: %w", c.Label(), err)
		}
		if k.kind != certificate && slices.ContainsFunc(g.credentials, func(o credential) bool {
			return o.kind == k.kind && o.user == k.user && o.secret == k.secret
		}) {
			return nil, fmt.Errorf("access: credential %q: another one has the same secret; give one of them the events of both", c.Label())
		}
		kinds[k.kind] = true
		g.credentials = append(g.credentials, k)
	}
	if kinds[basic] {
		g.challenges = append(g.challenges, `Basic realm="origin-storm", charset="UTF-8"`)
	}
	if kinds[bearer] {
		g.challenges = append(g.challenges, `Bearer realm="origin-storm"`)
	}
	return g, nil
}

// digest returns the SHA-256 of the secret that s stands for.
func digest(s config.Secret) (sum [sha256.Size]byte, err error) {
	if h, ok := strings.CutPrefix(string(s), config.SecretSHA256); ok {
		if n, err := hex.Decode(sum[:], []byte(h[:min(len(h), 2*len(sum))])); err != nil || n != len(sum) || len(h) != 2*len(sum) {
			return sum, errors.New("after sha256: come 64 hexadecimal digits")
		}
		return sum, nil
	}
	name, ok := strings.CutPrefix(string(s), config.SecretEnv)
	if !ok {
		return sum, errors.New("a secret has the form sha256:HEX or env:NAME")
	}
	v := os.Getenv(name)
	if len(v) < shortest {
		return sum, fmt.Errorf("environment variable %s holds %d bytes, a secret needs at least %d", name, len(v), shortest)
	}
	return sha256.Sum256([]byte(v)), nil
}

// Stats returns the counts so far.
func (g *Guard) Stats() Stats {
	return Stats{Missing: g.missing.Load(), Wrong: g.wrong.Load(), Limited: g.limited.Load()}
}

// Handler returns h behind g. Who is let through is in the request's context, for Permit and Name.
func (g *Guard) Handler(h http.Handler) http.Handler {
	if len(g.credentials) == 0 {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.cfg.Open != nil && g.cfg.Open(r) {
			h.ServeHTTP(w, r)
			return
		}
		who := g.identify(r)
		if len(who) > 0 {
			h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identity{}, who)))
			return
		}
		g.refuse(w, r)
	})
}

// identity is the key of a request's []*credential in its context.
type identity struct{}

// Permit reports whether the sender of a request may publish to a pipeline of an event, given the request's context. Where no
// Guard asked for credentials, all may.
func Permit(ctx context.Context, event, pipeline string) bool {
	who, guarded := ctx.Value(identity{}).([]*credential)
	return !guarded || slices.ContainsFunc(who, func(c *credential) bool {
		return within(c.Events, event) && within(c.Pipelines, pipeline)
	})
}

func within(scope []string, name string) bool { return len(scope) == 0 || slices.Contains(scope, name) }

// Name returns what the configuration calls the sender of a request, given the request's context; "" if nobody asked.
func Name(ctx context.Context) string {
	if who, _ := ctx.Value(identity{}).([]*credential); len(who) > 0 {
		return who[0].Label()
	}
	return ""
}

// identify returns the credentials that r shows. All are compared, whatever the first ones gave, so that the time says nothing about
// which users there are.
func (g *Guard) identify(r *http.Request) (who []*credential) {
	names := certified(r)
	shown, user, secret := parse(r.Header)
	for i := range g.credentials {
		c := &g.credentials[i]
		if c.kind == certificate {
			if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, c.Certificate) }) {
				who = append(who, c)
			}
			continue
		}
		same := subtle.ConstantTimeEq(int32(c.kind), int32(shown)) &
			subtle.ConstantTimeCompare(c.user[:], user[:]) & subtle.ConstantTimeCompare(c.secret[:], secret[:])
		if same == 1 {
			who = append(who, c)
		}
	}
	return who
}

// certified returns the names of the client's certificate, if it was verified.
func certified(r *http.Request) []string {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil
	}
	leaf := r.TLS.PeerCertificates[0]
	names := slices.Concat(leaf.DNSNames, leaf.EmailAddresses)
	for _, u := range leaf.URIs {
		names = append(names, u.String())
	}
	if cn := leaf.Subject.CommonName; cn != "" {
		names = append(names, cn)
	}
	return names
}

// parse returns what the Authorization field shows, hashed; kind 0 is nothing that could be right.
func parse(h http.Header) (shown kind, user, secret [sha256.Size]byte) {
	user = sha256.Sum256(nil) // of a bearer
	fields := h.Values("Authorization")
	if len(fields) != 1 {
		return 0, user, secret
	}
	scheme, token, _ := strings.Cut(fields[0], " ")
	if strings.EqualFold(scheme, "Bearer") {
		return bearer, user, sha256.Sum256([]byte(strings.TrimLeft(token, " ")))
	}
	name, password, ok := (&http.Request{Header: h}).BasicAuth()
	if !ok {
		return 0, user, secret
	}
	return basic, sha256.Sum256([]byte(name)), sha256.Sum256([]byte(password))
}

// How wrong credentials are answered. Right ones are never slowed, whoever else comes from their address: they are compared
// before anything is counted, which costs a microsecond.
const (
	lateBy  = time.Second // how long an answer is put off to an address that has sent too many
	maxLate = 256         // so many at a time; beyond that the answer comes at once
	// bodyFor is how long the body of a refused request is read, unseen, so that its sender gets to the answer.
	bodyFor = 2 * time.Second
)

// refuse answers a request without credentials, or with wrong ones, before its body is read.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	status, text := http.StatusUnauthorized, "credentials are needed here"
	if len(r.Header.Values("Authorization")) == 0 {
		g.missing.Add(1)
	} else {
		text = "these credentials are not known here"
		g.wrong.Add(1)
		if g.attempts.allow(r.RemoteAddr, time.Now()) {
			// What was sent is not logged: people type passwords into the wrong field.
			g.log.Warn("wrong credentials", "remote", r.RemoteAddr, "method", r.Method, "path", r.URL.Path)
		} else {
			g.limited.Add(1)
			status, text = http.StatusTooManyRequests, "too many wrong credentials from this address"
			h.Set("Retry-After", strconv.Itoa(int(lateBy/time.Second)))
			g.putOff(r.Context())
		}
	}
	if status == http.StatusUnauthorized {
		for _, c := range g.challenges {
			h.Add("WWW-Authenticate", c)
		}
		if len(g.challenges) == 0 { // there is no challenge for a certificate in HTTP
			status, text = http.StatusForbidden, "a client certificate is needed here"
		}
	}
	// Without this the server would read the body before it answers, and a packager sends that two seconds later.
	h.Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyFor)) // not supported: then there is no connection
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}

// putOff waits, if not too many do already.
func (g *Guard) putOff(ctx context.Context) {
	select {
	case g.late <- struct{}{}:
		defer func() { <-g.late }()
	default:
		return
	}
	t := time.NewTimer(lateBy)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
