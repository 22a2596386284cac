// Package engine carries events out in virtual time: an Engine calls what is due, instant by instant, and two kinds of resources say
// when work ends: at a Station it waits for one of a number of servers, at a Share all of it goes on at once and shares a capacity. That
// is all it knows: what the work is, and what follows from its end, is its caller's.
//
// Everything here belongs to one goroutine, and nothing is drawn: the same calls make the same events in the same order.
package engine
