package access_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"origin-storm/origin"
	"origin-storm/origin/access"
	"origin-storm/origin/config"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// sign returns a certificate and its key as PEM.
func (a *authority) sign(t *testing.T, template x509.Certificate) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(time.Hour)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, &template, a.cert, k.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

func write(t *testing.T, file string, b []byte, at time.Time) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
}

// secure is a server behind TLS and a guard.
type secure struct {
	authority *authority
	files     access.Files
	addr      string
}

func startSecure(t *testing.T, list []config.Credential) secure {
	t.Helper()
	dir := t.TempDir()
	s := secure{newAuthority(t), access.Files{Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), ClientCA: filepath.Join(dir, "ca")}, ""}
	s.renew(t, "first.example", time.Now().Add(-time.Hour))
	write(t, s.files.ClientCA, s.authority.pem, time.Now().Add(-time.Hour))
	certificates, err := access.Load(s.files, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := origin.NewServer(guard(t, access.Config{Credentials: list}).Handler(http.HandlerFunc(who)), config.Limit{}, nil)
	server.TLSConfig = certificates.Config()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.ServeTLS(l, "", "") })
	t.Cleanup(func() { server.Close(); serving.Wait() })
	s.addr = l.Addr().String()
	return s
}

// renew writes a new certificate of the server for a name.
func (s secure) renew(t *testing.T, name string, at time.Time) {
	t.Helper()
	cert, key := s.authority.sign(t, x509.Certificate{DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	write(t, s.files.Cert, cert, at)
	write(t, s.files.Key, key, at)
}

// get asks with a client certificate, if there is one, and returns the status and what was answered.
func (s secure) get(t *testing.T, client *tls.Certificate) (int, string, error) {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(s.authority.cert)
	if client != nil {
		config.Certificates = []tls.Certificate{*client}
	}
	c := http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true, ForceAttemptHTTP2: true}}
	res, err := c.Get("https://" + s.addr)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	if res.ProtoMajor != 1 {
		t.Errorf("the server speaks %s, want HTTP/1.1", res.Proto)
	}
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// A client certificate counts if an authority of client-ca has signed it and a credential has one of its names.
func TestClientCertificate(t *testing.T) {
	s := startSecure(t, []config.Credential{
		{Certificate: "encoder.example"}, {Name: "by URI", Certificate: "spiffe://example/encoder"},
		{Name: "by mail", Certificate: "encoder@example.org"}, {Name: "by common name", Certificate: "Encoder 7"}, {Bearer: hash(token)},
	})
	uri, err := url.Parse("spiffe://example/encoder")
	if err != nil {
		t.Fatal(err)
	}
	pair := func(a *authority, template x509.Certificate) *tls.Certificate {
		cert, err := tls.X509KeyPair(a.sign(t, template))
		if err != nil {
			t.Fatal(err)
		}
		return &cert
	}
	stranger := newAuthority(t)
	for _, c := range []struct {
		name   string
		cert   *tls.Certificate
		status int // 0: no handshake
		want   string
	}{
		{"none", nil, 401, ""},
		{"DNS name", pair(s.authority, x509.Certificate{DNSNames: []string{"other.example", "Encoder.Example"}}), 200, "encoder.example"},
		{"URI", pair(s.authority, x509.Certificate{URIs: []*url.URL{uri}}), 200, "by URI"},
		{"mail", pair(s.authority, x509.Certificate{EmailAddresses: []string{"encoder@example.org"}}), 200, "by mail"},
		{"common name", pair(s.authority, x509.Certificate{Subject: pkix.Name{CommonName: "Encoder 7"}}), 200, "by common name"},
		{"another name", pair(s.authority, x509.Certificate{DNSNames: []string{"encoder.example.org"}}), 401, ""},
		{"no name", pair(s.authority, x509.Certificate{}), 401, ""},
		{"signed by somebody else", pair(stranger, x509.Certificate{DNSNames: []string{"encoder.example"}}), 0, ""},
	} {
		status, text, err := s.get(t, c.cert)
		if status != c.status || (status == 0) != (err != nil) || status == 200 && text != c.want {
			t.Errorf("%s: %d %s %v, want %d %s", c.name, status, text, err, c.status, c.want)
		}
	}
}

// A renewed certificate is used from the next second on, without a restart; while only one of its files is there the old one is.
func TestRenewal(t *testing.T) {
	s := startSecure(t, nil)
	name := func() string {
		conn, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].DNSNames[0]
	}
	if got := name(); got != "first.example" {
		t.Fatalf("the certificate is %s's, want first.example's", got)
	}
	key, err := os.ReadFile(s.files.Key)
	if err != nil {
		t.Fatal(err)
	}
	until := func(want string) {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for got := name(); got != want; got = name() {
			if time.Now().After(deadline) {
				t.Fatalf("10 s later the certificate is %s's, want %s's", got, want)
			}
			<-tick.C
		}
	}
	s.renew(t, "second.example", time.Now().Add(-time.Minute))
	until("second.example")
	write(t, s.files.Key, key, time.Now()) // does not fit
	began := time.Now()
	for tick := time.Tick(100 * time.Millisecond); time.Since(began) < 1500*time.Millisecond; <-tick {
		if got := name(); got != "second.example" {
			t.Fatalf("with a key that does not fit the certificate is %s's, want the old one", got)
		}
	}
	s.renew(t, "third.example", time.Now().Add(time.Minute))
	until("third.example")
}

func TestTLSVersions(t *testing.T) {
	s := startSecure(t, nil)
	for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if err == nil {
			conn.Close()
		}
		if (err == nil) != ok {
			t.Errorf("a handshake with %s: %v, want it to succeed: %v", tls.VersionName(version), err, ok)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		write(t, filepath.Join(dir, name), b, time.Now())
		return filepath.Join(dir, name)
	}
	a := newAuthority(t)
	cert, key := a.sign(t, x509.Certificate{})
	_, other := a.sign(t, x509.Certificate{})
	good, goodKey := file("cert", cert), file("key", key)
	for _, c := range []struct {
		name  string
		files access.Files
		want  string
	}{
		{"pair", access.Files{Cert: good, Key: goodKey}, ""},
		{"missing", access.Files{Cert: "nowhere.pem", Key: goodKey}, "tls-cert nowhere.pem"},
		{"another key", access.Files{Cert: good, Key: file("other", other)}, "must be PEM files of one pair"},
		{"missing authority", access.Files{Cert: good, Key: goodKey, ClientCA: "nowhere.pem"}, "client-ca"},
		{"no authority", access.Files{Cert: good, Key: goodKey, ClientCA: file("text", []byte("text"))}, "no PEM certificate"},
	} {
		_, err := access.Load(c.files, nil)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: Load: %v, want an error with %q", c.name, err, c.want)
		}
	}
}
