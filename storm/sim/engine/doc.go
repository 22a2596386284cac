// Package engine carries events out in virtual time: an Engine calls what is due, instant by instant, and two kinds of resources say
// when work ends: at a Station it waits for one of a number of servers, at a Share all of it goes on at once and shares a capacity. That
// is all it knows: what the work is, and what follows from its end, is its caller's. Package sim makes processors and links of Shares; the
// queue of a store is that of its cost.Profile, as in the real origin, so no part of its model is a Station so far.
//
// Everything here belongs to one goroutine, and nothing is drawn: the same calls make the same events in the same order.
package engine
