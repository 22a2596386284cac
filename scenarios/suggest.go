package scenarios

import (
	"fmt"
	"strings"
)

// nearest returns the one of names that was most likely meant by got, or "".
func nearest(got string, names []string) string {
	best, least := "", len(got)/3+2 // a name that is further off was not meant
	for _, n := range names {
		if d := distance(strings.ToLower(got), strings.ToLower(n)); d < least {
			best, least = n, d
		}
	}
	return best
}

// suggest is the end of an error's sentence: what may have been meant, or else what there is.
func suggest(got string, names []string) string {
	if n := nearest(got, names); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	if len(names) == 0 {
		return ""
	}
	return "; there are " + strings.Join(names, ", ")
}

// distance is Levenshtein's, bounded by cutting what is far longer than any name.
func distance(a, b string) int {
	if len(a) > 64 {
		a = a[:64]
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			before, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, before+cost)
		}
	}
	return row[len(b)]
}
