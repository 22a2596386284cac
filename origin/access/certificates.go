package access

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Certificates are the files of one side of TLS, read again when they have changed, so that a renewal needs no restart. They are
// safe for concurrent use; make them with Load.
type Certificates struct {
	files Files
	log   *slog.Logger

	mu      sync.Mutex // guards the following
	config  *tls.Config
	state   [3]version // of the files that config was read from,
	failed  [3]version // and of those that could not be used
	checked time.Time
}

// Files names PEM files: a certificate with its chain, its key, and, if client certificates are asked for, the authorities that
// sign them.
type Files struct{ Cert, Key, ClientCA string }

// version tells whether a file has changed.
type version struct {
	at   time.Time
	size int64
}

// checkEvery is how often the files are looked at, at most.
const checkEvery = time.Second

// Load reads files. A nil log discards.
func Load(files Files, log *slog.Logger) (*Certificates, error) {
	c := &Certificates{files: files, log: cmp.Or(log, slog.New(slog.DiscardHandler)), checked: time.Now()}
	c.state = c.versions()
	var err error
	c.config, err = files.load()
	return c, err
}

// Config returns the server's side of TLS, at least version 1.2. It speaks HTTP/1.1 alone: packagers and CDNs do, and each
// connection then has deadlines of its own, so that one slow reader holds up nobody but himself.
func (c *Certificates) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(), nil },
	}
}

// current returns what the files say, or, where they cannot be used, what they said before.
func (c *Certificates) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) < checkEvery {
		return c.config
	}
	c.checked = time.Now()
	now := c.versions()
	if now == c.state {
		return c.config
	}
	config, err := c.files.load()
	if err != nil {
		// A renewal writes one file after the other; what does not fit together yet is tried again.
		if now != c.failed {
			c.log.Error("changed certificates can not be used; the old ones stay", "err", err)
		}
		c.failed = now
		return c.config
	}
	c.config, c.state = config, now
	c.log.Info("certificates were read again", "cert", c.files.Cert)
	return c.config
}

func (c *Certificates) versions() (v [3]version) {
	for i, file := range [...]string{c.files.Cert, c.files.Key, c.files.ClientCA} {
		if info, err := os.Stat(file); err == nil {
			v[i] = version{info.ModTime(), info.Size()}
		}
	}
	return v
}

func (f Files) load() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("tls-cert %s, tls-key %s: %w; both must be PEM files of one pair", f.Cert, f.Key, err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{cert}}
	if f.ClientCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(f.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("client-ca: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("client-ca %s: there is no PEM certificate in it", f.ClientCA)
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven // who has none may show something else
	return config, nil
}
