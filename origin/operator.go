package origin

import (
	"context"
	"encoding/json"
	"net/http"

	"origin-storm/origin/access"
	"origin-storm/origin/storage"
)

// OperatorConfig is what an operator's listener shows.
type OperatorConfig struct {
	Node, Region string
	Publish      *Publish          // nil if the node does not publish
	Serve        *Serve            // nil if it does not serve
	Segments     *storage.Segments // what they share; nil counts nothing
	// Store returns what reached the durable store; nil if nobody counts.
	Store func() StoreStats
	// Cache returns what the cache before the store counted; nil if there is none.
	Cache func() CacheStats
	// Access guards the publishing side; nil counts nothing.
	Access *access.Guard
	// Listeners returns the counts of the node's listeners by name; nil if nobody counts.
	Listeners func() map[string]ListenerStats
	// Metrics answers /metrics; nil means that there is none.
	Metrics http.Handler
	// Ready returns why the node should get no requests; nil means that it always is ready, unless it is draining. It is asked by
	// /readyz, with the context of that request.
	Ready func(context.Context) error
}

// Stats returns the counts of the node.
func (c OperatorConfig) Stats() Stats {
	out := Stats{Node: c.Node, Region: c.Region}
	if c.Publish != nil {
		out.Publish = new(c.Publish.Stats())
	}
	if c.Serve != nil {
		out.Serve = new(c.Serve.Stats())
	}
	if c.Segments != nil {
		out.Storage = c.Segments.Stats()
	}
	if c.Store != nil {
		out.Store = new(c.Store())
	}
	if c.Cache != nil {
		out.Cache = new(c.Cache())
	}
	if c.Access != nil {
		out.Access = new(c.Access.Stats())
	}
	if c.Listeners != nil {
		out.Listeners = c.Listeners()
	}
	return out
}

// NewOperator returns the handler of an operator's listener: /stats answers Stats as JSON, /healthz that the process lives,
// and /readyz whether to send it requests.
func NewOperator(cfg OperatorConfig) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		b, err := json.MarshalIndent(cfg.Stats(), "", "  ")
		if err != nil {
			asRefusal(err).write(w)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(append(b, '\n'))
	})
	if cfg.Metrics != nil {
		mux.Handle("GET /metrics", cfg.Metrics)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fine(w) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if cfg.Publish != nil && cfg.Publish.draining.Load() {
			refuse(http.StatusServiceUnavailable, "shutting down").write(w)
			return
		}
		if cfg.Ready != nil {
			if err := cfg.Ready(r.Context()); err != nil {
				refuse(http.StatusServiceUnavailable, "not ready: %v", err).write(w)
				return
			}
		}
		fine(w)
	})
	return mux
}

func fine(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte("ok\n"))
}
