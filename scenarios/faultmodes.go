package scenarios

// FailureMode is one way in which live events have failed, and where it is rehearsed. docs/faults.md is made of them.
type FailureMode struct {
	// Name says what fails.
	Name string
	// Kinds are the kinds of faults that inject it; empty where it is a behaviour of readers or of a backend's edge, or a test alone.
	Kinds []string
	// In are what injects it: scenarios of the library, and tests, as package.Test.
	In []string
	// Outcome is what should happen, as the thresholds of the scenarios and the tests have it.
	Outcome string
	// Simulator says why one machine cannot inject it, or what of it; empty where it can.
	Simulator string
}

const (
	unnoticed = "No reader notices: no read fails, nothing is missed."
	unflawed  = "Readers get the other pipeline's copy, and none of the flawed ones."
)

// FailureModes are the failure modes that live origins and what surrounds them are known for, by number from 1.
func FailureModes() []FailureMode {
	return []FailureMode{
		{"one pipeline's segment missing", []string{"drop"}, []string{"faults-packager"}, unnoticed, ""},
		{"both pipelines' segment missing", []string{"drop"}, []string{"faults-clients", "origin.TestPlaylistGap"}, "Exactly those segments are missed, publishing goes on, playlists have a gap.", ""},
		{"late publish", []string{"delay"}, []string{"faults-clock"}, unnoticed + " A copy after the deadline changes nothing that is served.", ""},
		{"short segment", []string{"shorten"}, []string{"faults-packager", "origin.TestEpochLock"}, unflawed, ""},
		{"decode times wrong", []string{"shift"}, []string{"faults-packager", "origin.TestEpochLock"}, unflawed + " A frame off is marked against its predecessor (the test).", ""},
		{"epoch slip by a segment", []string{"slip"}, []string{"faults-clock"}, unnoticed, ""},
		{"clock skew", []string{"skew"}, []string{"faults-clock", "faults-nodes"}, unnoticed + " Edges a second fast are held, or told 404 until it is time.", "Of the origin's nodes: processes of one machine share its clock."},
		{"slate instead of content", []string{"slate"}, []string{"faults-packager"}, unflawed, ""},
		{"header changes in mid-event, or comes after media", []string{"reinit"}, []string{"faults-packager", "origin.TestIngestNames"}, "The first header stands; media ahead of it is 412 where the event demands that.", ""},
		{"truncated publish", []string{"cut", "overstate", "understate"}, []string{"faults-network"}, "Nothing of half a body is acknowledged or served; what its length belies is marked and not served beside a sound copy.", ""},
		{"publish stalls in mid-body", []string{"trickle"}, []string{"faults-network", "origin.TestStalledBody"}, unnoticed + " The stalled request ends with 408.", ""},
		{"packager closes after the last byte", []string{"hang-up"}, []string{"faults-network", "origin.TestSenderThatCloses"}, "The segment is published: readers get it though nobody was told so.", ""},
		{"pipelined publishes behind a slow one", []string{"chain"}, []string{"faults-network", "origin.TestPipelinedPuts"}, unnoticed + " Every publish is answered, in order.", ""},
		{"duplicate publish, same or other bytes", []string{"repeat", "contradict"}, []string{"faults-clock"}, "Answered 200; the first copy stands.", ""},
		{"two packagers under one name", []string{"cross"}, []string{"faults-clock"}, "One copy stands, whole; the pipeline that is missing is not noticed.", ""},
		{"manifest before its segment", nil, []string{"origin.TestManifests"}, "Packagers' manifests are received and never served: playlists come from the template.", ""},
		{"one pipeline ends while the other lives", []string{"end"}, []string{"faults-packager", "origin.TestEndOfPipeline"}, unnoticed + " The event ends with its last pipeline.", ""},
		{"DELETE inside the viewers' window", []string{"delete"}, []string{"faults-packager"}, "200, and nothing is deleted: the segment is read back.", ""},
		{"renditions drift apart", []string{"delay"}, []string{"faults-clock"}, unnoticed, ""},
		{"packager restarts from an old number", []string{"restart"}, []string{"faults-clock"}, "Old names keep their first copies; " + lowered(unnoticed), ""},
		{"storm at a segment's boundary", nil, []string{"comparison", "isolation"}, "Write isolation and deadline slack, by backend.", ""},
		{"cold edge, purge", []string{"purge"}, []string{"faults-edge"}, "Everybody is answered.", ""},
		{"lock timeout of collapsed forwarding: a second storm", []string{"stop"}, []string{"faults-edge"}, "Everybody is answered, once the origin goes on.", ""},
		{"edge quantum of 500 ms", nil, []string{"edge-caches", "faults-edge"}, "One fetch for each segment; what the edge adds is told apart (after-answer).", ""},
		{"uncacheable response", nil, []string{"faulttest.TestUncacheable"}, "Every reader's request reaches the origin while the header is wrong, each is answered, and none does after.", ""},
		{"negative caching too long", nil, []string{"faulttest.TestNegativeCaching", "policy.TestLifetimes"}, "The origin's own lifetimes end before the segment is due; longer ones hide it: edges do not ask for it.", ""},
		{"404 walk by template clients", nil, []string{"faults-clients", "abusetest.TestWalkOver404"}, "Publishing does not notice; no store is asked for what the clock says cannot exist.", ""},
		{"retry storm after an outage", []string{"drop"}, []string{"faults-clients"}, "The outage is all that is missed.", ""},
		{"DVR readers starve the live edge", nil, []string{"faults-clients", "origin.TestStressShedsDVR"}, "DVR reads are shed first, with 503 and max-age; publishing does not notice.", ""},
		{"store slow, with a tail, or halted", []string{"slow", "stop"}, []string{"faults-store"}, "No read of the live edge fails; hardly a publish does.", ""},
		{"store throttles (503 SlowDown)", []string{"throttle"}, []string{"faults-store", "s3.TestInterceptFaults"}, "Publishes beyond its rate fail, and say so; all is well after.", ""},
		{"store shows writes late", []string{"hide"}, []string{"faults-store"}, "No read of the live edge fails, nothing is lost.", ""},
		{"cache lost, evicted or emptied", []string{"kill", "stop", "flush"}, []string{"faults-cache", "cache-zone-lost"}, "A miss, never an error.", ""},
		{"item over the cache's limit", []string{"limit"}, []string{"faults-cache", "memcached.TestItemLimit"}, "A miss, never an error.", ""},
		{"chunks of a segment lost from the cache", []string{"forget"}, []string{"faults-cache"}, "Read from the store; never torn.", ""},
		{"torn read across pipelines", nil, []string{"origin.TestRangesAndConditions"}, "A range is of one copy, which its ETag names.", ""},
		{"two origin nodes choose different copies", nil, []string{"origin.TestTwoNodesAgree"}, "They agree within 5 s; If-Range is served by either.", ""},
		{"origin node dies in mid-response", []string{"kill"}, []string{"faults-origin", "process-restarts"}, "Reads of the time fail, nothing acknowledged is lost; edges keep nothing of a broken answer.", ""},
		{"slow readers hold memory", nil, []string{"faults-clients", "abusetest.TestSlowReaders"}, "Memory is bounded; publishing does not notice.", ""},
		{"connection flood, a connection for each request", []string{"reconnect"}, []string{"faults-clients", "faults-network", "abusetest.TestHugeHeaders"}, "Publishing does not notice.", ""},
		{"HEAD or Range turned into a full GET", nil, []string{"origin.TestRangesAndConditions"}, "The origin answers both for what they are.", "What caches make of them is theirs, and a model of them has to say how much."},
		{"holds exhaust what they are held with; cut off in mid-hold", nil, []string{"abusetest.TestTenThousandHolds", "origin.TestHoldTime"}, "Ten thousand are held; where edges give up earlier, holds end before.", ""},
		{"autoscaler loses its metric", []string{"scale"}, []string{"faults-nodes"}, "Readers move to the nodes that are left, which are asked for all; nothing is missed.", "A live run has as many serving processes from begin to end, and no balancer."},
		{"provider blocks the account", []string{"deny"}, []string{"faults-store"}, "Publishes fail, and say so; what was published before is there after.", ""},
		{"region lost", []string{"kill", "redirect"}, []string{"region-lost"}, unnoticed, "Of the other region: its stores and the network between; capacity says what each region has to carry."},
		{"storage full", []string{"fill"}, []string{"faults-store"}, "507; all is well once there is room.", ""},
		{"leap second, time step", []string{"skew"}, []string{"faults-clock", "faults-nodes"}, unnoticed, "Of a whole machine's clock: a run during which it steps is invalid, and says so."},
		{"segment far over size", []string{"inflate"}, []string{"faults-packager"}, unnoticed + " Beyond the event's bound: 413.", ""},
		{"stale manifest", nil, []string{"origin.TestManifests"}, "A packager's playlist that stands still is counted (/stats) and never served.", ""},
		{"key missing", []string{"withhold"}, []string{"faults-clients"}, "Players that have no key ask for nothing; publishing does not notice when all come back at once. The origin keeps no keys (a .key is 415).", ""},
	}
}

// lowered begins a sentence as the end of another.
func lowered(s string) string { return string(s[0]|0x20) + s[1:] }
