// Package sim carries a plan out in virtual time, on a model of an origin: nodes that publish and serve, a durable store with its
// replicas, cache zones, and the links between them, which cost what a Profile says. It is an Executor like package live, with the very
// same plan and clients, and it decides as the origin does because it asks package policy, as the origin does.
//
// Left out of the model are the bounds of a node's memory and of how many requests it holds, the kernel's buffers, operators' masks, and what
// polls take of a serving node's own processors. A body that comes in chunks takes its way to the reader as a whole, from its first chunk on.
//
// It measures nothing and judges nothing: what it hands to the Recorder becomes figures like those of a live run, which everything that
// shows them calls simulated. How far they can be believed is what package calibrate finds out.
package sim
