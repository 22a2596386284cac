package verdict

import (
	"fmt"

	"origin-storm/storm/verdict/gate"
)

// Code is a program's exit code. Of several that apply the first in the order of Codes is returned.
type Code int

// The exit codes. Those from 94 up follow k6 where it has the like.
const (
	Passed          Code = 0
	Internal        Code = 1
	Usage           Code = 2
	Damaged         Code = 93
	Invalid         Code = 94
	Inconclusive    Code = 95
	Regressed       Code = 96
	Failed          Code = 99
	InvalidScenario Code = 104
	Interrupted     Code = 105
)

// Error is an error that ends the program with Code, which main finds by its ExitCode.
type Error struct {
	Err  error
	Code Code
	Said bool // the user was told already; main need not
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// ExitCode returns the code as a number.
func (e *Error) ExitCode() int { return int(e.Code) }

// Codes lists the exit codes in the order in which they apply.
var Codes = [...]Code{Internal, Usage, InvalidScenario, Interrupted, Damaged, Invalid, Failed, Regressed, Inconclusive, Passed}

// String says what the code means.
func (c Code) String() string {
	switch c {
	case Passed:
		return "passed"
	case Internal:
		return "internal error, or a server that could not be brought up: the message says which"
	case Usage:
		return "the command was called wrongly"
	case InvalidScenario:
		return "the scenario is not valid: the message names file, line and field"
	case Interrupted:
		return "interrupted (Ctrl-C): the report covers what was measured until then"
	case Damaged:
		return "a segment was lost, torn or wrong"
	case Invalid:
		return "the run is invalid: its figures cannot be trusted, and the report says why"
	case Failed:
		return "a threshold failed"
	case Regressed:
		return "a gate found a change for the worse that matters"
	case Inconclusive:
		return "--strict alone: a gate could not tell, or a threshold of a run holds and its limit lies in the figure's interval"
	}
	return fmt.Sprintf("unknown code %d", int(c))
}

// GateCode returns the exit code of a gate that ended so. strict makes one that could not tell fail.
func GateCode(o gate.Outcome, strict bool) Code {
	switch o {
	case gate.Outcome(gate.Pass), gate.Recorded:
		return Passed
	case gate.Outcome(gate.Regress):
		return Regressed
	case gate.Outcome(gate.Inconclusive):
		if strict {
			return Inconclusive
		}
		return Passed
	case gate.Damaged:
		return Damaged
	case gate.Invalid:
		return Invalid
	case gate.Interrupted:
		return Interrupted
	}
	return Internal // what has no name never passes
}
