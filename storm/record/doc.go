// Package record keeps what a run measured: histograms by phase and class, the fate of every segment, figures by interval,
// and the run folder that holds them. It counts and writes; it reaches no verdict and draws nothing.
package record
