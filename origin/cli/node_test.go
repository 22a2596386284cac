package cli

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"origin-storm/origin/config"
)

const token = "6TRZ2L3MFV4K7QX5"

func hash(secret string) config.Secret {
	return config.Secret(fmt.Sprintf("%s%x", config.SecretSHA256, sha256.Sum256([]byte(secret))))
}

// both is a node that publishes and serves, with everything in memory.
func both(events []config.Event) config.Node {
	return config.Node{
		Role: config.All, Publish: "127.0.0.1:0", Serve: "127.0.0.1:0", Operator: "127.0.0.1:0",
		Events: events, Backend: config.Backend{Store: config.StoreAt{Kind: "mem"}},
	}
}

// with asks with a header field.
func with(t *testing.T, method, url, field, value, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if field != "" {
		req.Header.Set(field, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return res.StatusCode, string(b)
}

// What is the operator's is answered on the operator's listener alone, to those who have the operator's credentials; health needs
// none.
func TestOperatorsOwn(t *testing.T) {
	evs, number := events()
	n := both(evs)
	n.Access = config.Access{Publish: []config.Credential{{Bearer: hash(token)}}, Operator: []config.Credential{{User: "op", Password: hash("op " + token)}}}
	ready, stop := start(t, n)
	const operators = "Basic b3A6b3AgNlRSWjJMM01GVjRLN1FYNQ==" // op:op 6TRZ…
	for _, c := range []struct {
		path            string
		anybody, knower int
	}{{"/stats", 401, 200}, {"/metrics", 401, 200}, {"/healthz", 200, 200}, {"/readyz", 200, 200}, {"/debug/pprof/", 401, 404}} {
		for _, listener := range []string{ready.Serve, ready.Publish} {
			for _, method := range []string{"GET", "PUT", "DELETE"} {
				code, text := with(t, method, "http://"+listener+c.path, "Authorization", "Bearer "+token, "")
				if code < 400 || strings.Contains(text, "requests") {
					t.Errorf("%s %s on %s: %d %.100s, want a refusal: it is the operator's", method, c.path, listener, code, text)
				}
				want := map[string]int{ready.Serve: 404, ready.Publish: 405}[listener] // nothing is to be got where is published
				if method == "GET" && code != want {
					t.Errorf("GET %s on %s: %d, want %d", c.path, listener, code, want)
				}
			}
		}
		if code, _ := with(t, "GET", "http://"+ready.Operator+c.path, "", "", ""); code != c.anybody {
			t.Errorf("GET %s of the operator without credentials: %d, want %d", c.path, code, c.anybody)
		}
		if code, _ := with(t, "GET", "http://"+ready.Operator+c.path, "Authorization", operators, ""); code != c.knower {
			t.Errorf("GET %s of the operator: %d, want %d", c.path, code, c.knower)
		}
	}
	url := fmt.Sprintf("http://%s/ev/a/v/%d.m4s", ready.Publish, number)
	if code, _ := with(t, "PUT", url, "Authorization", operators, "segment"); code != 401 {
		t.Errorf("PUT with the operator's credentials: %d, want 401", code)
	}
	if code, _ := with(t, "PUT", url, "Authorization", "Bearer "+token, "segment"); code != 201 {
		t.Errorf("PUT: %d, want 201", code)
	}
	_, text := with(t, "GET", "http://"+ready.Operator+"/metrics", "Authorization", operators, "")
	for _, want := range []string{`origin_publish_stored_total 1`, `origin_access_wrong_total 1`, `origin_publish_write_seconds_count 1`, `origin_listeners_open{listener="operator"}`, `go_goroutines`} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("/metrics lacks %q:\n%s", want, text)
		}
	}
	for _, secret := range []string{token, string(hash(token))} {
		if _, stats := with(t, "GET", "http://"+ready.Operator+"/stats", "Authorization", operators, ""); strings.Contains(text+stats, secret) {
			t.Errorf("/metrics or /stats contain %q", secret)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("run: %v, want nil", err)
	}
}

// A listener without an address is on loopback: to be reached from elsewhere, without credentials at that, has to be said.
func TestNoAddressIsLoopback(t *testing.T) {
	evs, _ := events()
	n := both(evs)
	n.Publish, n.Serve, n.Operator = "", "", ""
	ready, stop := start(t, n)
	for _, address := range []string{ready.Publish, ready.Serve, ready.Operator} {
		if !config.Loopback(address) {
			t.Errorf("a listener without an address is at %s, want loopback", address)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("run: %v, want nil", err)
	}
}

// What a client sends as a secret is in no log, however much is logged.
func TestLogWithoutSecrets(t *testing.T) {
	evs, number := events()
	n := both(evs)
	n.Access.Publish = []config.Credential{{Name: "cloud encoder", Bearer: hash(token)}}
	n.Log = config.Log{Access: true, Level: "debug", Format: "json"}
	var log locked
	ready, stop := startLogging(t, n, newLog(&log, n.Log))
	path := fmt.Sprintf("/ev/a/v/%d.m4s", number)
	for _, secret := range []string{token, "a wrong secret"} {
		with(t, "PUT", "http://"+ready.Publish+path+"?token="+token, "Authorization", "Bearer "+secret, "segment")
	}
	with(t, "GET", fmt.Sprintf("http://%s/ev/v/%d.m4s?key=%s", ready.Serve, number, token), "Cookie", token, "")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	text := log.String()
	if strings.Contains(text, token) || strings.Contains(text, "a wrong secret") {
		t.Errorf("a secret is in the log:\n%s", text)
	}
	var seen []string
	for line := range strings.Lines(text) {
		var l struct {
			Msg, Path, Method, Credential string
			Status                        int
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("log line %s: %v, want JSON", line, err)
		}
		if l.Path != "" {
			seen = append(seen, fmt.Sprintf("%s %s %d %s", l.Msg, l.Method, l.Status, l.Credential))
		}
	}
	if got, want := strings.Join(seen, "; "), "request PUT 201 cloud encoder; wrong credentials PUT 0 ; request GET 200 "; got != want {
		t.Errorf("logged: %s, want %s:\n%s", got, want, text)
	}
}

// locked is a buffer for several goroutines.
type locked struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A node gets no requests before its store has answered once; that the store fails later does not take it away.
func TestReadyOnceTheStoreAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	evs, _ := events()
	n := both(evs)
	n.Backend.Store = config.StoreAt{Kind: "remote", Addresses: []string{at}, Namespace: "segments"}
	ready, stop := start(t, n)
	status := func() int {
		code, _ := request(t, "GET", "http://"+ready.Operator+"/readyz", nil)
		return code
	}
	if code := status(); code != 503 {
		t.Errorf("/readyz without a store: %d, want 503", code)
	}
	_, stopStore := start(t, config.Node{Role: config.Store, Host: config.Host{Listen: at, Stores: []config.HostedStore{{Name: "segments", Store: config.StoreAt{Kind: "mem"}}}}})
	until(t, "the node is ready", func() bool { return status() == 200 })
	if err := stopStore(); err != nil {
		t.Errorf("the store: %v, want nil", err)
	}
	if code := status(); code != 200 {
		t.Errorf("/readyz after the store has gone: %d, want 200", code)
	}
	if err := stop(); err != nil {
		t.Errorf("run: %v, want nil", err)
	}
}

// A node that is told to end says so first, and goes on; then it finishes what it holds: with the segment if that comes, with 503
// if it does not.
func TestDrainDelayAndHolds(t *testing.T) {
	evs, _ := events()
	evs[0].Template.Start, evs[0].Template.Ticks = time.Now(), 60 // so that nothing becomes due meanwhile
	number := evs[0].Template.Next(time.Now())
	n := both(evs)
	n.Events[0].Renditions = config.Renditions("v", "w")
	n.DrainDelay, n.DrainTime = time.Second, 1500*time.Millisecond
	ready, stop := start(t, n)
	type answer struct {
		rendition string
		code      int
	}
	answers := make(chan answer, 2)
	for _, rendition := range []string{"v", "w"} {
		go func() {
			code, _ := request(t, "GET", fmt.Sprintf("http://%s/ev/%s/%d.m4s", ready.Serve, rendition, number), nil)
			answers <- answer{rendition, code}
		}()
	}
	until(t, "two requests are held", func() bool {
		_, text := request(t, "GET", "http://"+ready.Operator+"/stats", nil)
		return strings.Contains(text, `"holding": 2`)
	})
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	until(t, "/readyz says no", func() bool {
		code, _ := request(t, "GET", "http://"+ready.Operator+"/readyz", nil)
		return code == 503
	})
	// Within the delay all goes on.
	if code, text := request(t, "PUT", fmt.Sprintf("http://%s/ev/a/v/%d.m4s", ready.Publish, number), strings.NewReader("segment")); code != 201 {
		t.Errorf("PUT within the drain's delay: %d %s, want 201", code, text)
	}
	for range 2 {
		a := <-answers
		if want := map[string]int{"v": 200, "w": 503}[a.rendition]; a.code != want {
			t.Errorf("the held request for rendition %s: %d, want %d", a.rendition, a.code, want)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("run: %v, want nil", err)
	}
}

// With a certificate all listeners of a node speak TLS, and nothing else.
func TestTLSOnAllListeners(t *testing.T) {
	borrowed := httptest.NewTLSServer(http.NotFoundHandler())
	client := borrowed.Client()
	cert := borrowed.TLS.Certificates[0]
	borrowed.Close()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	evs, number := events()
	n := both(evs)
	n.TLSCert, n.TLSKey = filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
	for file, block := range map[string]*pem.Block{
		n.TLSCert: {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, n.TLSKey: {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ready, stop := start(t, n)
	for _, c := range []struct {
		method, host, path string
		want               int
	}{
		{"PUT", ready.Publish, fmt.Sprintf("/ev/a/v/%d.m4s", number), 201},
		{"GET", ready.Serve, fmt.Sprintf("/ev/v/%d.m4s", number), 200},
		{"GET", ready.Operator, "/readyz", 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "https://"+c.host+c.path, strings.NewReader("segment"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s https://%s: %v", c.method, c.path, err)
		}
		res.Body.Close()
		if res.StatusCode != c.want || res.TLS == nil || res.ProtoMajor != 1 {
			t.Errorf("%s https://%s: %d over %s, want %d over HTTP/1.1", c.method, c.path, res.StatusCode, res.Proto, c.want)
		}
		if code, _ := with(t, c.method, "http://"+c.host+c.path, "", "", ""); code != 400 {
			t.Errorf("%s http://%s: %d, want 400: it speaks TLS", c.method, c.path, code)
		}
	}
	client.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Errorf("run: %v, want nil", err)
	}
}
