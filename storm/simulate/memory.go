package simulate

import (
	"fmt"
	"time"

	"origin-storm/origin/cost"
	"origin-storm/scenarios"
	"origin-storm/storm/plan"
	"origin-storm/storm/verdict"
)

// What a simulation takes, in bytes, as measured on runs of 10,000 and 100,000 edges, of 100,000 viewers, and of 5 and 20 minutes of an event with 50
// renditions: of a request that is planned or on its way, of a viewer who waits in an edge, of each copy of a segment, while it goes on
// and is written out and afterwards, and beside all that.
const (
	perRequest = 2560
	perViewer  = 768
	perCopy    = 4 << 10
	perKept    = 1 << 10
	perRun     = 8 << 20
)

// Memory estimates what Run takes for s while it goes on.
func Memory(s scenarios.Scenario) cost.Bytes {
	waiting := cost.Bytes(s.Readers.Edges) * cost.Bytes(len(s.Event.Renditions)*s.Event.Count) * cost.Bytes(s.Readers.Viewers)
	return perRun + cost.Bytes(s.Needs().Connections)*perRequest + waiting*perViewer + copies(s)*perCopy
}

// Kept estimates what so many outcomes of s take.
func Kept(s scenarios.Scenario, outcomes int) cost.Bytes {
	return (perRun + copies(s)*perKept) * cost.Bytes(outcomes)
}

// copies is how many copies of segments s publishes, with all of its backends.
func copies(s scenarios.Scenario) cost.Bytes {
	windows := plan.Windows(s)
	segments := cost.Bytes(windows[len(windows)-1].To / s.Event.Segment.Duration())
	return segments * cost.Bytes(s.Event.Count*s.Event.Pipelines*len(s.Event.Renditions)*len(s.Backends))
}

// Fits returns why so many outcomes of s, one of them still on its way, do not fit into memory, with what would; or nil.
func Fits(s scenarios.Scenario, outcomes int, available cost.Bytes) error {
	kept, all := Kept(s, outcomes-1)+perRun+copies(s)*perCopy, Kept(s, outcomes-1)+Memory(s)
	if all <= available {
		return nil
	}
	if kept > available/2 {
		return refusef("%s lasts too long to be remembered: %d copies of it need about %d MiB of memory, %d MiB are available; simulate less of it, such as --set windows.repeat=1 --set windows.storm=%v, or fewer replications",
			s.Name, outcomes, kept>>20, available>>20, 10*s.Event.Segment.Duration().Round(time.Second))
	}
	edges := int64(float64(s.Readers.Edges) * float64(available-kept) / float64(all-kept))
	return &verdict.Error{Code: verdict.Usage, Err: fmt.Errorf(
		"%s does not fit into memory: readers.edges: %d edges, with %d requests at a time, need about %d MiB, %d MiB are available; at most %d edges fit",
		s.Name, s.Readers.Edges, s.Needs().Connections, all>>20, available>>20, edges)}
}
