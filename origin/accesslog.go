package origin

import (
	"log/slog"
	"net/http"
	"time"

	"origin-storm/origin/access"
)

// AccessLog returns h with a line in log for each request: who asked for what, and what became of it. The query and the
// header, which may hold secrets, are left out.
func AccessLog(h http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		out := &loggedWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			log.Info("request", "remote", r.RemoteAddr, "credential", access.Name(r.Context()), "method", r.Method, "path", r.URL.Path,
				"status", out.status, "bytes", out.sent, "took_ms", float64(time.Since(began).Microseconds())/1000)
		}()
		h.ServeHTTP(out, r)
	})
}

// loggedWriter notes what goes through it.
type loggedWriter struct {
	http.ResponseWriter
	status int
	sent   int64
}

func (w *loggedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *loggedWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *loggedWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.sent += int64(n)
	return n, err
}
