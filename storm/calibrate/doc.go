// Package calibrate fits what the simulator's parts cost to measured runs, and says how far off the simulator then is: on the runs it was
// fitted on, and on others. It measures and simulates nothing itself (packages stage and simulate do) and judges no origin.
//
// What a run folder holds tells the costs only together: a read's time is work on processors that everything shares, an operation of the
// store or more, and what connections, system calls and the scheduler add. They are told apart in two steps.
//
// Work. How much of a processor a request takes follows from what the processes of a run have taken of the processors, by kind
// (cpu_seconds): over the runs, and the more they differ the better, it is the sum of so much for each request, for each MiB, and for
// what a node does unasked, its polls. The non-negative numbers with the least sum of squared relative errors are the fit (non-negative
// least squares: Lawson and Hanson, Solving Least Squares Problems, 1974, chapter 23; with three unknowns, all sets of them can be
// tried). It is the demand law of operational analysis, utilisation = throughput times demand, over several loads at once (Denning and
// Buzen, The Operational Analysis of Queueing Network Models, Computing Surveys 10(3), 1978).
//
// What a store takes is told apart for reads, for writes, and for what it does unasked (sim.Demand.Idle). Of its operations no more counts as
// their work than fits into the time that they take; the rest is compilers, collectors and compactions, and counts as done unasked.
//
// Some of that work is done while the request waits for the store, or after its answer; where the work is longer than what a request takes, the
// rest is taken to be such: only others wait for it (sim.Demand.Beside).
//
// Time. Of what remains, each part has one class of requests that shows it best: a request for what does not exist is answered without any
// store, so it shows what serving takes beside work; the origin tells how long its write to the store took (store-write); a publish takes
// that and what publishing adds; a read takes serving and reading of the store, or of the cache where there is one. Those parts get
// a distribution by quantiles, and the quantiles are found by trial: the runs are simulated, each simulated quantile is held against the
// measured one, the part's is corrected by the difference, and so on for a fixed number of rounds; the best round stands. That is
// calibration by simulation, as of any model whose output has no closed form (Law, Simulation Modeling and Analysis, 2015, 5.6). Where the sum
// of independent parts has to meet a sum's quantiles, the corrections converge because each part's share of the spread is at most one. A store behind
// a cost profile keeps that profile, which is known; only the way to it is fitted.
//
// How long before its answer a write can be read already (sim.Costs.ReadableBefore) is found in the same way, from how long awaited segments are
// held.
//
// What is fitted that way holds for the machine, the program and the loads of the runs. Runs that say otherwise are refused by name, and the
// profile says between which loads it was fitted.
package calibrate
