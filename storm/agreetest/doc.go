// Package agreetest is tests alone: one and the same plan carried out twice, by the real origin (its handlers, HTTP servers and clients,
// the live executor and the stores, on a network in memory and in virtual time) and by the simulator, and the samples of both held
// against each other, request by request.
//
// Nothing is fitted here: both are given the same costs, drawn by the same keys, so that they agree by construction or one of them is
// wrong about what an origin does. How far the simulator is from a machine whose costs were measured is not the question here.
package agreetest
