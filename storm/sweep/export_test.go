package sweep

import "math/rand/v2"

// Shuffled is c with its replications begun in an order that seed draws.
func Shuffled(c Config, seed uint64) Config {
	c.order = func(jobs []job) {
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(jobs), func(i, k int) { jobs[i], jobs[k] = jobs[k], jobs[i] })
	}
	return c
}
