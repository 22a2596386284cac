//go:build race

package agreetest

// every is which of the configurations are tried: each eighth, as the race detector makes a virtual second take ten times as long.
const every = 8
