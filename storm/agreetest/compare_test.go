package agreetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"origin-storm/origin/segment"
	"origin-storm/storm"
)

// who tells requests apart that stand for the same in two runs, whatever became of those before them.
type who struct {
	from  string
	class storm.Class
	put   bool
	id    segment.ID
	began time.Duration
	try   int
	match bool
}

func whoOf(s storm.Sample) who {
	return who{s.From, s.Class, s.Put, s.ID, s.Began, s.Try, s.Match != ""}
}

func byWho(all []storm.Sample) map[who][]storm.Sample {
	m := map[who][]storm.Sample{}
	for _, s := range all {
		m[whoOf(s)] = append(m[whoOf(s)], s)
	}
	for _, same := range m {
		slices.SortFunc(same, func(a, b storm.Sample) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Done, b.Done)) })
	}
	return m
}

// difference is a request that two runs answered differently.
type difference struct {
	at   time.Duration
	a, b string // what became of it; empty: it was not sent
	in   []string
	who  who
}

// differences returns what differs between two runs, in order of time, and how many samples are equal.
func differences(a, b []storm.Sample) (equal int, diffs []difference) {
	ma, mb := byWho(a), byWho(b)
	for w := range mb {
		if _, ok := ma[w]; !ok {
			ma[w] = nil
		}
	}
	tags := map[string]string{} // ETags of the first run by those of the second: one to one
	for w, sa := range ma {
		sb := mb[w]
		for i := range max(len(sa), len(sb)) {
			switch {
			case i >= len(sa):
				diffs = append(diffs, difference{sb[i].At, "", tell(sb[i]), []string{"sent by the second only"}, w})
			case i >= len(sb):
				diffs = append(diffs, difference{sa[i].At, tell(sa[i]), "", []string{"sent by the first only"}, w})
			default:
				if in := unlike(sa[i], sb[i], tags); len(in) > 0 {
					diffs = append(diffs, difference{min(sa[i].At, sb[i].At), tell(sa[i]), tell(sb[i]), in, w})
				} else {
					equal++
				}
			}
		}
	}
	slices.SortFunc(diffs, func(x, y difference) int {
		return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.who.from, y.who.from), cmp.Compare(x.who.id.Rendition, y.who.id.Rendition))
	})
	return equal, diffs
}

// unlike returns in what two samples differ. Instants are compared to the nanosecond; what the origin's header fields say, as they say it.
// The length of a refusal is left out: it is that of a sentence, of which the simulator has none.
func unlike(a, b storm.Sample, tags map[string]string) (in []string) {
	differ := func(name string, is bool) {
		if is {
			in = append(in, name)
		}
	}
	differ("At", a.At != b.At)
	differ("Via", a.Via != b.Via)
	differ("Status", a.Status != b.Status)
	differ("Err", (a.Err != nil) != (b.Err != nil))
	differ("Retried", a.Retried != b.Retried)
	differ("Sent", a.Sent != b.Sent)
	differ("First", a.First != b.First)
	differ("Done", a.Done != b.Done)
	differ("Bytes", a.Bytes != b.Bytes && (a.Put || a.Status < 400))
	differ("Damage", a.Damage != b.Damage)
	differ("Effect", a.Effect != b.Effect)
	differ("Pipeline", a.Pipeline != b.Pipeline)
	differ("Fresh", a.Fresh != b.Fresh)
	differ("Store", a.Store.Truncate(time.Microsecond) != b.Store.Truncate(time.Microsecond))
	differ("Answered", a.Answered.Truncate(time.Microsecond) != b.Answered.Truncate(time.Microsecond))
	differ("Cached", a.Cached != b.Cached)
	differ("ETag", (a.ETag == "") != (b.ETag == ""))
	if a.ETag != "" && b.ETag != "" && a.Pipeline == b.Pipeline {
		if tags["a"+a.ETag] == "" && tags["b"+b.ETag] == "" {
			tags["a"+a.ETag], tags["b"+b.ETag] = b.ETag, a.ETag
		}
		differ("ETag", tags["a"+a.ETag] != b.ETag || tags["b"+b.ETag] != a.ETag)
	}
	return in
}

// tell says what became of a request.
func tell(s storm.Sample) string {
	via := [...]string{"wire", "hit", "collapsed", "dropped"}[s.Via]
	text := fmt.Sprintf("%d %s, at %v sent %v first %v done %v, %d bytes", s.Status, via, s.At, s.Sent, s.First, s.Done, s.Bytes)
	add := func(name string, v any, said bool) {
		if said {
			text += fmt.Sprintf(", %s %v", name, v)
		}
	}
	add("pipeline", s.Pipeline, s.Pipeline != "")
	add("fresh", s.Fresh, s.Fresh != 0)
	add("store", s.Store, s.Store != 0)
	add("answered", s.Answered, s.Answered != 0)
	add("retried", s.Retried, s.Retried)
	add("damage", s.Damage, s.Damage != 0)
	add("effect", s.Effect, s.Effect != 0)
	add("tag", s.ETag, s.ETag != "")
	add("err", s.Err, s.Err != nil)
	return text
}

func (d difference) String() string {
	verb := "GET"
	if d.who.put {
		verb = "PUT"
	}
	a, b := cmp.Or(d.a, "was not sent"), cmp.Or(d.b, "was not sent")
	return fmt.Sprintf("%s %v, %v of %s, begun at %v, try %d, differs in %s\n\tfirst:  %s\n\tsecond: %s",
		verb, d.who.id, d.who.class, d.who.from, d.who.began, d.who.try, strings.Join(d.in, ", "), a, b)
}

// report fails t with the first difference of each kind, and how many there are of it.
func report(t *testing.T, diffs []difference) {
	t.Helper()
	count := map[string]int{}
	for _, d := range diffs {
		count[strings.Join(d.in, ", ")]++
	}
	for _, d := range diffs {
		if n := count[strings.Join(d.in, ", ")]; n > 0 {
			t.Errorf("%d requests, of which the first: %v", n, d)
			count[strings.Join(d.in, ", ")] = 0
		}
	}
}
