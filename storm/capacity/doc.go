// Package capacity finds what an event takes: how many nodes of each kind, with what headroom, how late writes are while everybody
// reads, what gives way first and what losing something does. It counts where counting is exact enough (Little's law, square-root
// staffing, bytes over bandwidth) and simulates where it is not, on short windows of the steady state. It measures nothing, draws
// nothing (package reports does) and knows no prices but those that it is given.
package capacity
