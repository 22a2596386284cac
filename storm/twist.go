package storm

// Twist is what a fault of the scenario does to one publish: to its body, or to the way in which it is sent. Its zero value does
// nothing.
type Twist struct {
	Do Effect
	By int64 // how much of it, as the effect says
}

// Effect is a kind of Twist.
type Effect uint8

// The effects. Those up to Other are seen in the body itself, whoever reads it; of the ways of sending, Unanswered tells which
// leave their sender without an answer.
const (
	Plain   Effect = iota
	Shifted        // decode times are By nanoseconds off
	Shorter        // it lasts By nanoseconds less
	Slate          // its brands say that it is a filler
	Last           // its brands say that nothing follows
	Other          // its bytes are not those that everybody else makes of the same name: the By-th others

	NotSent     // it is left out
	Deletes     // a DELETE of the name
	Cut         // the connection ends in the middle of a chunked body
	Overstated  // its Content-Length is By bytes more than is sent before the connection ends
	Understated // its Content-Length is By bytes less than is sent
	Trickled    // By bytes a second
	HungUp      // the connection is closed after the last byte, without a look at the answer
	Chained     // it does not wait for the answer to the one before it on its rendition's connection
	Reconnected // on a connection of its own

	Effects // how many there are
)

var effectNames = [Effects]string{"", "shifted", "shorter", "slate", "last", "other", "not sent", "deletes", "cut", "overstated", "understated",
	"trickled", "hung up", "chained", "reconnected"}

func (e Effect) String() string {
	if e < Effects {
		return effectNames[e]
	}
	return "unknown"
}

// InBody reports whether the effect is one on the body, which its bytes tell of.
func (e Effect) InBody() bool { return e > Plain && e <= Other }

// Flaws reports whether a body is worse for the effect than it would be without, so that readers should be given another copy.
func (e Effect) Flaws() bool { return e.InBody() && e != Last }

// Unanswered reports whether a publish so sent cannot be acknowledged to its sender.
func (e Effect) Unanswered() bool {
	return e == NotSent || e == Cut || e == Overstated || e == Trickled || e == HungUp
}

// Spoils reports whether a publish so sent may be acknowledged and yet not be there to be read back: what is kept of it is not what its
// name says, or a sound copy may take its place at any time.
func (e Effect) Spoils() bool {
	return e == Understated || e == Shifted || e == Shorter || e == Slate
}
