package origin

import (
	"context"
	"log/slog"
	"net/http"

	"origin-storm/origin/access"
	"origin-storm/origin/config"
	"origin-storm/origin/control"
	"origin-storm/origin/storage"
	"origin-storm/origin/stress"
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
	// Stress returns how the store bears its reads; nil if nobody watches.
	Stress func() stress.State
	// Access guards the publishing side; nil counts nothing.
	Access *access.Guard
	// Listeners returns the counts of the node's listeners by name; nil if nobody counts.
	Listeners func() map[string]ListenerStats
	// Metrics answers /metrics; nil means that there is none.
	Metrics http.Handler
	// Events are the configured events, and Control is what operators and packagers say about them; nil: nobody does.
	Events  []config.Event
	Control *control.Keeper
	// Log is told of changes; nil discards.
	Log *slog.Logger
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
	if c.Control != nil {
		out.Control = new(c.Control.Stats())
	}
	if c.Cache != nil {
		out.Cache = new(c.Cache())
	}
	if c.Stress != nil {
		out.Stress = new(c.Stress())
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
// and /readyz whether to send it requests. With a Control, what is said about an event is shown and changed under /events/:
//
//	GET         /events/{event}/control        EventControl, as every other request here that succeeds
//	POST DELETE /events/{event}/masks          {"pipeline": "a", "from": 100, "to": 120} and, for one only, "rendition"
//	POST DELETE /events/{event}/withdrawn      {"rendition": "v1", "number": 100} and, for one copy only, "pipeline"; -1 is init.mp4
//	POST        /events/{event}/notices        {"id": "ad-7", "text": "a break of 90 s"} and, if it is not the next one, "from"
//	POST DELETE /events/{event}/end            {"last": 5400}; DELETE needs no body
//	POST        /events/{event}/cache-version  {}: raises it by one
//
// Bodies are JSON, of type application/json. POST adds, and does nothing where it stands already; DELETE takes back exactly
// what was added, on the node where it was. 400: the body says nothing that can be done; 404: no such event, or nothing to take
// back; 409: this node is no writer, or another one said it (the text names who to ask); 503, 504: the store failed, try again.
// What was changed is durable, in force here at once, and on the other nodes within a second.
func NewOperator(cfg OperatorConfig) (http.Handler, error) {
	events, err := newEvents(cfg.Events)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	if cfg.Control != nil {
		(&eventsHandler{cfg, events}).register(mux)
	}
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, cfg.Stats())
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
		for _, ready := range cfg.conditions() {
			if err := ready(r.Context()); err != nil {
				refuse(http.StatusServiceUnavailable, "not ready: %v", err).write(w)
				return
			}
		}
		fine(w)
	})
	return mux, nil
}

// conditions are what must hold before the node gets requests.
func (c OperatorConfig) conditions() []func(context.Context) error {
	var all []func(context.Context) error
	if c.Control != nil {
		all = append(all, func(context.Context) error { return c.Control.Ready() })
	}
	if c.Ready != nil {
		all = append(all, c.Ready)
	}
	return all
}

func (c OperatorConfig) log() *slog.Logger { return logger(c.Log) }

func fine(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte("ok\n"))
}
