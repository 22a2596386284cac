//go:build !race

package agreetest

// every is which of the configurations are tried: all of them.
const every = 1
