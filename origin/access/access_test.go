package access_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"origin-storm/origin"
	"origin-storm/origin/access"
	"origin-storm/origin/config"
	"origin-storm/origin/origintest"
)

// The secrets of these tests.
const (
	password = "correct horse battery staple"
	token    = "6TRZ2L3MFV4K7QX5"
)

func hash(secret string) config.Secret {
	return config.Secret(fmt.Sprintf("%s%x", config.SecretSHA256, sha256.Sum256([]byte(secret))))
}

func credentials() []config.Credential {
	return []config.Credential{
		{User: "alice", Password: hash(password)},
		{User: "alice", Password: hash(password + " of last year"), Events: []string{"old"}},
		{User: "bob", Password: hash(token), Events: []string{"ev"}, Pipelines: []string{"b"}},
		{Name: "cloud", Bearer: hash(token)},
	}
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// who is a handler that says who came.
func who(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, access.Name(r.Context())) }

func guard(t testing.TB, cfg access.Config) *access.Guard {
	t.Helper()
	g, err := access.New(cfg)
	if err != nil {
		t.Fatalf("New(%+v): %v", cfg, err)
	}
	return g
}

func TestGuard(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []string
		want   int
		who    string
	}{
		{"nothing", nil, 401, ""},
		{"user and password", []string{basic("alice", password)}, 200, "alice"},
		{"scheme in other letters", []string{"bAsIc " + basic("alice", password)[6:]}, 200, "alice"},
		{"second password of a user", []string{basic("alice", password+" of last year")}, 200, "alice"},
		{"wrong password", []string{basic("alice", password+"r")}, 401, ""},
		{"no password", []string{basic("alice", "")}, 401, ""},
		{"other user's password", []string{basic("alice", token)}, 401, ""},
		{"unknown user", []string{basic("mallory", password)}, 401, ""},
		{"no user", []string{basic("", password)}, 401, ""},
		{"broken base64", []string{"Basic !"}, 401, ""},
		{"no colon", []string{"Basic YWxpY2U="}, 401, ""},
		{"token", []string{"Bearer " + token}, 200, "cloud"},
		{"token as a password without a user", []string{basic("", token)}, 401, ""},
		{"a password as a token", []string{"Bearer " + password}, 401, ""},
		{"hash as a token", []string{"Bearer " + string(hash(token))}, 401, ""},
		{"no token", []string{"Bearer "}, 401, ""},
		{"scheme alone", []string{"Bearer"}, 401, ""},
		{"other scheme", []string{"Digest " + token}, 401, ""},
		{"right and wrong", []string{"Bearer " + token, "Bearer x"}, 401, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := guard(t, access.Config{Credentials: credentials()})
			r := httptest.NewRequest("PUT", "/ev/a/v/1.m4s", nil)
			r.Header["Authorization"] = c.fields
			w := httptest.NewRecorder()
			g.Handler(http.HandlerFunc(who)).ServeHTTP(w, r)
			if w.Code != c.want {
				t.Fatalf("Authorization %q: %d, want %d", c.fields, w.Code, c.want)
			}
			if w.Code == 200 {
				if got := w.Body.String(); got != c.who {
					t.Errorf("Authorization %q is taken for %q, want %q", c.fields, got, c.who)
				}
				return
			}
			if got := strings.Join(w.Header().Values("WWW-Authenticate"), "; "); got != `Basic realm="origin-storm", charset="UTF-8"; Bearer realm="origin-storm"` {
				t.Errorf("WWW-Authenticate: %s, want Basic and Bearer", got)
			}
			if w.Header().Get("Connection") != "close" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("header %v, want the connection closed and nothing kept", w.Header())
			}
			if s := g.Stats(); s.Missing+s.Wrong != 1 || (s.Missing == 1) != (c.fields == nil) {
				t.Errorf("Stats() = %+v, want one refused", s)
			}
		})
	}
}

// An answer does not say whether it was the user or the password that was wrong.
func TestUsersLookAlike(t *testing.T) {
	g := guard(t, access.Config{Credentials: credentials()})
	var first string
	for _, a := range []string{basic("alice", "x"), basic("mallory", "x"), "Bearer x"} {
		r := httptest.NewRequest("PUT", "/ev/a/v/1.m4s", nil)
		r.Header.Set("Authorization", a)
		w := httptest.NewRecorder()
		g.Handler(http.HandlerFunc(who)).ServeHTTP(w, r)
		got := fmt.Sprint(w.Code, w.Header(), w.Body)
		if first == "" {
			first = got
		}
		if got != first {
			t.Errorf("Authorization %q: %s, want %s", a, got, first)
		}
	}
}

func TestNew(t *testing.T) {
	t.Setenv("LONG_ENOUGH", token)
	t.Setenv("TOO_SHORT", token[:15])
	for _, c := range []struct {
		name string
		list []config.Credential
		want string
	}{
		{"none", nil, ""},
		{"from the environment", []config.Credential{{Bearer: "env:LONG_ENOUGH"}}, ""},
		{"not set", []config.Credential{{Bearer: "env:NOWHERE"}}, "NOWHERE holds 0 bytes"},
		{"too short", []config.Credential{{Bearer: "env:TOO_SHORT"}}, "a secret needs at least 16"},
		{"no hash", []config.Credential{{User: "u", Password: "sha256:12"}}, "64 hexadecimal digits"},
		{"longer than a hash", []config.Credential{{User: "u", Password: hash(token) + "00"}}, "64 hexadecimal digits"},
		{"a secret itself", []config.Credential{{User: "u", Password: token}}, "sha256:HEX or env:NAME"},
		{"twice", []config.Credential{{Bearer: hash(token), Events: []string{"a"}}, {Bearer: "env:LONG_ENOUGH"}}, "has the same secret"},
	} {
		_, err := access.New(access.Config{Credentials: c.list})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: New: %v, want an error with %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), token) {
			t.Errorf("%s: New: %v: that is a secret", c.name, err)
		}
	}
}

// Nobody is asked where the configuration names no credentials, nor for what is open.
func TestOpen(t *testing.T) {
	all := guard(t, access.Config{})
	some := guard(t, access.Config{Credentials: credentials(), Open: func(r *http.Request) bool { return r.URL.Path == "/open" }})
	for _, c := range []struct {
		g    *access.Guard
		path string
		want int
	}{{all, "/x", 200}, {some, "/open", 200}, {some, "/x", 401}} {
		w := httptest.NewRecorder()
		c.g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !access.Permit(r.Context(), "any", "a") {
				t.Errorf("%s: Permit is false where nobody asked", c.path)
			}
		})).ServeHTTP(w, httptest.NewRequest("GET", c.path, nil))
		if w.Code != c.want {
			t.Errorf("GET %s: %d, want %d", c.path, w.Code, c.want)
		}
	}
}

// What a credential may publish is decided by the origin itself, on the name that it would store under.
func TestScope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := origintest.Start(t, origintest.Config{Credentials: credentials()})
		for _, c := range []struct {
			method, path, auth string
			want               int
		}{
			{"PUT", "/ev/a/v1/0.m4s", "", 401},
			{"PUT", "/nothing/a/v1/0.m4s", "", 401},
			{"PUT", "/ev/a/v1/0.m4s", basic("alice", password), 201},
			{"PUT", "/ev/a/v1/0.m4s", basic("alice", password+" of last year"), 403},
			{"PUT", "/ev/a/v1/0.m4s", basic("bob", token), 403},
			{"PUT", "/ev/b/v1/0.m4s", basic("bob", token), 201},
			{"POST", "/ev/b/v1/0.m4s", basic("bob", token), 200},
			{"DELETE", "/ev/a/v1/0.m4s", basic("bob", token), 403},
			{"DELETE", "/ev/b/v1/0.m4s", basic("bob", token), 200},
			{"PUT", "/nothing/b/v1/0.m4s", basic("bob", token), 403}, // which events there are is not his business
			{"PUT", "/nothing/b/v1/0.m4s", "Bearer " + token, 404},
			{"PUT", "/ev/b/../a/v1/0.m4s", basic("bob", token), 403},
			{"PUT", "/ev/b%2f..%2fa/v1/0.m4s", basic("bob", token), 400},
		} {
			req, err := http.NewRequestWithContext(t.Context(), c.method, o.PublishURL+c.path, strings.NewReader("segment"))
			if err != nil {
				t.Fatal(err)
			}
			if c.auth != "" {
				req.Header.Set("Authorization", c.auth)
			}
			res, err := o.Client.Do(req)
			if err != nil {
				t.Fatalf("%s %s: %v", c.method, c.path, err)
			}
			res.Body.Close()
			if res.StatusCode != c.want {
				t.Errorf("%s %s with %.12q…: %d, want %d", c.method, c.path, c.auth, res.StatusCode, c.want)
			}
		}
	})
}

// Who has no credentials hears so before the body was sent, whether or not 100 Continue was asked for, and a body that never ends
// holds nothing.
func TestBeforeTheBody(t *testing.T) {
	for _, c := range []struct{ name, field string }{
		{"chunked", "Transfer-Encoding: chunked"},
		{"announced", "Content-Length: 1000000"},
		{"as ffmpeg asks", "Transfer-Encoding: chunked\r\nExpect: 100-continue"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var network origintest.Network
				g := guard(t, access.Config{Credentials: credentials()})
				server := origin.NewServer(g.Handler(http.HandlerFunc(who)), config.Limit{}, nil)
				l := network.Listen("o")
				var serving sync.WaitGroup
				serving.Go(func() { _ = server.Serve(l) })
				defer func() {
					server.Close()
					serving.Wait()
					time.Sleep(time.Second) // after a refusal the server lingers, so that its answer is not lost with a reset
				}()
				conn, err := network.DialContext(t.Context(), "", "o")
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				began := time.Now()
				fmt.Fprintf(conn, "PUT /ev/a/v1/0.m4s HTTP/1.1\r\nHost: o\r\n%s\r\n\r\n", c.field)
				in := bufio.NewReader(conn)
				res, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatalf("the answer: %v", err)
				}
				if res.StatusCode != 401 || !res.Close || time.Since(began) != 0 {
					t.Errorf("%d after %v, closed: %v, want 401 at once and a closed connection", res.StatusCode, time.Since(began), res.Close)
				}
				// The body that comes nevertheless is not taken for a request, and does not come for ever.
				_, err = io.Copy(io.Discard, in)
				if took := time.Since(began); err != nil || took > 3*time.Second {
					t.Errorf("the connection ended after %v with %v, want its end within 3 s", took, err)
				}
			})
		})
	}
}

// Wrong credentials at speed are put off and then refused as too many; right ones from the same address are answered at once.
func TestWrongAtSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var logging sync.Mutex
		g := guard(t, access.Config{Credentials: credentials(), Log: slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
			logging.Lock()
			defer logging.Unlock()
			return log.Write(b)
		}), nil))})
		h := g.Handler(http.HandlerFunc(who))
		ask := func(auth string) (int, time.Duration) {
			r := httptest.NewRequest("PUT", "/ev/a/v1/0.m4s?secret=query", nil)
			r.Header.Set("Authorization", auth)
			w := httptest.NewRecorder()
			began := time.Now()
			h.ServeHTTP(w, r)
			return w.Code, time.Since(began)
		}
		for i := range 10 {
			if code, took := ask(basic("alice", "guess")); code != 401 || took != 0 {
				t.Errorf("guess %d: %d after %v, want 401 at once", i, code, took)
			}
		}
		var guessing sync.WaitGroup
		answers := make(chan time.Duration, 1000)
		for range 1000 {
			guessing.Go(func() {
				if code, took := ask("Bearer guess"); code == 429 {
					answers <- took
				}
			})
		}
		synctest.Wait()
		if code, took := ask(basic("alice", password)); code != 200 || took != 0 {
			t.Errorf("right credentials in the middle of guesses: %d after %v, want 200 at once", code, took)
		}
		guessing.Wait()
		close(answers)
		late := 0
		for took := range answers {
			if took == time.Second {
				late++
			}
		}
		if late != 256 {
			t.Errorf("%d of 1000 guesses were put off by a second, want 256: no more may wait", late)
		}
		if s := g.Stats(); s.Wrong != 1010 || s.Limited != 1000 {
			t.Errorf("Stats() = %+v, want 1010 wrong, 1000 of them limited", s)
		}
		time.Sleep(10 * time.Second)
		if code, _ := ask(basic("alice", "guess")); code != 401 {
			t.Errorf("a guess after a rest: %d, want 401", code)
		}
		text := log.String()
		if n := strings.Count(text, "\n"); n != 11 {
			t.Errorf("%d lines in the log for 1011 guesses, want 11", n)
		}
		for _, secret := range []string{"guess", "alice", "query", "YWxpY2"} {
			if strings.Contains(text, secret) {
				t.Errorf("the log contains %q:\n%s", secret, text)
			}
		}
	})
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// No header lets in but those with the secrets in them.
func FuzzAuthorization(f *testing.F) {
	for _, s := range []string{"", "Basic", "Basic ", "Basic Og==", basic("alice", password), "Bearer " + token, "Bearer  " + token, "Bearer\t" + token} {
		f.Add(s)
	}
	g, err := access.New(access.Config{Credentials: credentials()})
	if err != nil {
		f.Fatal(err)
	}
	h := g.Handler(http.HandlerFunc(who))
	f.Fuzz(func(t *testing.T, field string) {
		r := httptest.NewRequest("PUT", "/", nil)
		r.Header.Set("Authorization", field)
		r.RemoteAddr = fmt.Sprintf("127.%d.%d.1:1", len(field)%250, len(field)/250%250)
		w := httptest.NewRecorder()
		if !right(field) { // which are put off after some time
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			r = r.WithContext(ctx)
		}
		h.ServeHTTP(w, r)
		if (w.Code == 200) != right(field) {
			t.Errorf("Authorization %q: %d, want 200: %v", field, w.Code, right(field))
		}
	})
}

// right reports whether field shows one of the secrets, found out the slow way.
func right(field string) bool {
	scheme, rest, _ := strings.Cut(field, " ")
	if strings.EqualFold(scheme, "bearer") {
		return strings.TrimLeft(rest, " ") == token
	}
	b, err := base64.StdEncoding.DecodeString(rest)
	if err != nil || !strings.EqualFold(scheme, "basic") {
		return false
	}
	switch string(b) {
	case "alice:" + password, "alice:" + password + " of last year", "bob:" + token:
		return true
	}
	return false
}
