package entry_test

import (
	"strings"
	"testing"
	"time"

	"origin-storm/scenarios"
	"origin-storm/storm"
	"origin-storm/storm/entry"
	"origin-storm/storm/record"
)

// TestReplayIsAccountedFor: a backend whose readers replay a log says how much of the log they could play, and why not the rest.
func TestReplayIsAccountedFor(t *testing.T) {
	s, _, err := scenarios.Load("replay", "windows.storm=10s", "windows.warm-up=0s")
	if err != nil {
		t.Fatal(err)
	}
	windows := []storm.Window{{Name: scenarios.StormPhase, To: 10 * time.Second}}
	rec := record.New(entry.Recording(s, "embedded+cache", nil, windows, time.Unix(0, 0)))
	b := entry.Backend(rec, record.Backend{Provenance: "measured"}, s, 1)
	want := "Replay of example.log: 313 of its 325 lines can be played (12 ask for something else); 0 requests were made of them in the windows, " +
		"each line played 3 times on average; a storm window plays the first 10s of the 24s that the log lasts."
	if got := strings.Join(b.Notes, "\n"); got != want {
		t.Errorf("Backend(replay).Notes = %q, want %q", got, want)
	}
	s.Readers.Replay = nil
	if got := entry.Backend(rec, record.Backend{}, s, 1).Notes; len(got) > 0 {
		t.Errorf("Backend(no replay).Notes = %q, want none", got)
	}
}
