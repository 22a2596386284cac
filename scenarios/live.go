package scenarios

import (
	"fmt"
	"math"
	"slices"

	"origin-storm/origin/cost"
)

// What one machine gives a live run.
const (
	// inFlight is what a request costs while it is under way: goroutines, buffers and sockets of driver and origin together.
	inFlight = 128 << 10
	// perViewer is what a request costs that waits inside an edge for another's answer.
	perViewer = 1 << 10
	// ports is how many connections one client address can have to one listener: Linux's default ip_local_port_range.
	ports = 28_000
)

// Needs is what a live run of s asks of the machine in a storm.
type Needs struct {
	Connections int64      // open at a time, to the serving processes
	Memory      cost.Bytes // of driver and origin together, beside the stores
}

// Needs estimates what a live run of s asks of the machine.
func (s Scenario) Needs() Needs {
	if s.Windows.Storm == 0 {
		return Needs{}
	}
	edges, each := float64(s.Readers.Edges), float64(len(s.Event.Renditions)*s.Event.Count)
	b := s.Readers.Behaviour
	connections := edges * each * (1 + float64(b.DVR) + float64(b.Missing))
	for _, f := range s.Faults {
		if f.Do == "redirect" {
			connections *= max(1, f.In(0).Count)
		}
	}
	if s.Readers.Restart != nil { // as if all came back in a segment's time
		connections *= s.Readers.Restart.Factor
	}
	segment := float64(s.Event.Renditions.Total()) / 8 * s.Event.Segment.Duration().Seconds() / float64(len(s.Event.Renditions))
	memory := connections*(inFlight+segment) + edges*each*float64(s.Readers.Viewers)*perViewer
	return Needs{Connections: int64(connections), Memory: cost.Bytes(min(memory, math.MaxInt64/2))}
}

// Live returns why one machine with so many bytes of memory to spare cannot carry s in a live run, an error of type *Error
// that names the bound, or nil.
func (s Scenario) Live(available cost.Bytes) error {
	if a := s.Audience; a != nil {
		return &Error{Field: "audience", Hint: fmt.Sprintf("use simulate %s, or capacity %[1]s", s.Name),
			Msg: fmt.Sprintf("%v viewers behind %d fillers in each of %d regions: one machine is neither a CDN nor an origin of that size", a.Viewers, a.Fillers, a.Regions)}
	}
	if s.Deployment != nil {
		return &Error{Field: "deployment", Hint: fmt.Sprintf("use simulate %s, or leave the deployment out", s.Name),
			Msg: "these nodes are many machines; a live run starts its processes on this one"}
	}
	for i, f := range s.Faults {
		if k, _ := f.Kind(); slices.Contains(k.Simulated, f.To.What) {
			return &Error{Field: fmt.Sprintf("faults[%d].%s", i, f.Do), Hint: "use simulate, or leave it out with --set faults=[]",
				Msg: fmt.Sprintf("%v: in a live run all processes share one machine's clock, and stay as many as they are", f)}
		}
	}
	n := s.Needs()
	serve := s.Origin.Serve
	for _, b := range s.Backends {
		serve = min(serve, s.On(b).Serve)
	}
	hint := func(most float64) string {
		return fmt.Sprintf("at most %d edges fit; lower readers.edges, or use simulate", int64(float64(s.Readers.Edges)*most))
	}
	if most := int64(ports * serve); n.Connections > most {
		return &Error{Field: "readers.edges", Hint: hint(float64(most) / float64(n.Connections)),
			Msg: fmt.Sprintf("%d edges ask for %d renditions at a time over %d connections; %d serving processes take %d from one machine",
				s.Readers.Edges, len(s.Event.Renditions)*s.Event.Count, n.Connections, serve, most)}
	}
	if n.Memory > available {
		return &Error{Field: "readers.edges", Hint: hint(float64(available) / float64(n.Memory)),
			Msg: fmt.Sprintf("%d edges with %d requests at a time need about %d MiB of memory; %d MiB are available",
				s.Readers.Edges, n.Connections, n.Memory>>20, available>>20)}
	}
	return nil
}
