package sim

// zone is one cache zone.
type zone struct{}

// zoned is what a zone has of a slot.
type zoned struct{}

// caches is what a client knows of the zones.
type caches struct{}

func (c *caches) init(*client) {}

// cachePolls are the polls of the cache for all awaited segments of a node.
type cachePolls struct{}

func (p *cachePolls) init(*node)  {}
func (p *cachePolls) leave(*wait) {}

func (w *wait) beginCached() {}
