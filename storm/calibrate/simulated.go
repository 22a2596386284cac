package calibrate

import (
	"context"
	"sync"

	"origin-storm/storm/record"
	"origin-storm/storm/sim"
	"origin-storm/storm/simulate"
)

// simulated is the simulator that is fitted: package simulate's, everything on the one machine that the profile is of, with as many seeds as
// there are replications. Their samples are put together, so that percentiles are those of all of them.
func simulated(ctx context.Context, m measured, p *sim.Profile, replications int) (b record.Backend, err error) {
	outcomes, errs := make([]*simulate.Outcome, replications), make([]error, replications)
	var wg sync.WaitGroup
	for i := range replications {
		wg.Go(func() {
			outcomes[i], errs[i] = simulate.Run(ctx, simulate.Config{Scenario: m.scenario, Seed: m.run.Results.Seed + uint64(i), Profile: p})
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return b, err
		}
	}
	if err := ctx.Err(); err != nil { // what there is of an interrupted simulation is not all of it
		return b, err
	}
	all := outcomes[0].Recordings[0]
	for _, o := range outcomes[1:] {
		if err := all.Merge(o.Recordings[0]); err != nil {
			return b, err
		}
	}
	b = all.Backend()
	b.Cache = outcomes[0].Results.Backends[0].Cache
	return b, nil
}
