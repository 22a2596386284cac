package agreetest

import (
	"net/http"
	"testing"
	"time"

	"origin-storm/origin/config"
	"origin-storm/origin/origintest"
	"origin-storm/origin/segment"
	"origin-storm/storm"
	"origin-storm/storm/live"
	"origin-storm/storm/sim"
	"origin-storm/storm/stormtest"
)

// TestExecutors: both executors keep what storm.Executor promises.
func TestExecutors(t *testing.T) {
	t.Run("live", func(t *testing.T) {
		stormtest.Executors(t, func(t *testing.T, start time.Time, events []config.Event) storm.Executor {
			o := origintest.Start(t, origintest.Config{Events: events})
			x, err := live.New(live.Config{
				Start: start, Publish: live.Target{URLs: []string{o.PublishURL}}, Serve: live.Target{URLs: []string{o.ServeURL}},
				Template: func(segment.ID) segment.Template { return events[0].Template },
				Dial:     o.Client.Transport.(*http.Transport).DialContext, Virtual: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			return x
		})
	})
	t.Run("sim", func(t *testing.T) {
		stormtest.Executors(t, func(t *testing.T, start time.Time, events []config.Event) storm.Executor {
			x, err := sim.New(sim.Config{Start: start, Events: events})
			if err != nil {
				t.Fatal(err)
			}
			return x
		})
	})
}
