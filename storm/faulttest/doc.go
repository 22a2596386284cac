// Package faulttest is tests alone: the library's scenarios of faults, and single faults, carried out in virtual time against
// the real origin, its handlers and stores, on a network in memory. What should happen is what the scenario's thresholds say. What
// takes real processes and sockets is in the tests of package stage.
package faulttest
