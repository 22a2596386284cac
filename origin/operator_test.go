package origin_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"origin-storm/origin"
	"origin-storm/origin/origintest"
)

func TestOperator(t *testing.T) {
	o := origintest.Start(t, origintest.Config{})
	put(t, o, "/ev/a/v1/0.m4s", []byte("body"))
	get(t, o, "/ev/v1/0.m4s")
	get(t, o, "/ev/v1/5.m4s")
	get(t, o, "/ev/nothing")
	var notReady error
	h, err := origin.NewOperator(origin.OperatorConfig{
		Node: "n", Region: "r", Publish: o.Publish, Serve: o.Serve, Segments: o.Segments, Ready: func(context.Context) error { return notReady },
	})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	var st origin.Stats
	if err := json.Unmarshal(ask("/stats").Body.Bytes(), &st); err != nil {
		t.Fatal(err)
	}
	if st.Node != "n" || st.Region != "r" || st.Publish.Stored != 1 || st.Publish.Bytes != 4 || st.Publish.Requests["PUT"][201] != 1 {
		t.Errorf("/stats = %+v, publish %+v", st, st.Publish)
	}
	if r := st.Serve.Requests; r["live-edge"][200] != 1 || r["early"][404] != 1 || r["unknown"][404] != 1 || st.Serve.Bytes != 4 || st.Serve.Held != 1 {
		t.Errorf("/stats serve = %+v", st.Serve)
	}
	// One of the polls is of the one key that an earlier process may have stored.
	if st.Storage.Puts != 1 || st.Storage.Bodies != 1 || st.Storage.Polls < 2 || st.Storage.PollKeys != 2*st.Storage.Polls-1 {
		t.Errorf("/stats storage = %+v", st.Storage)
	}
	for _, tt := range []struct {
		name, path string
		prepare    func()
		want       int
	}{
		{"alive", "/healthz", func() {}, 200},
		{"ready", "/readyz", func() {}, 200},
		{"not ready", "/readyz", func() { notReady = errors.New("the store is not there yet") }, 503},
		{"draining", "/readyz", func() { notReady = nil; o.Publish.Drain() }, 503},
		{"alive while draining", "/healthz", func() {}, 200},
		{"something else", "/other", func() {}, 404},
	} {
		tt.prepare()
		if got := ask(tt.path).Code; got != tt.want {
			t.Errorf("%s: GET %s = %d, want %d", tt.name, tt.path, got, tt.want)
		}
	}
}
