package sim

import "time"

// FileAfter has x file segments that nothing has been done with for that long; below 0 for ever.
func (x *Executor) FileAfter(d time.Duration) { x.fileAfter = d }
