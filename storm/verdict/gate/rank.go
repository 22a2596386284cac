package gate

import (
	"cmp"
	"slices"
)

// signedRank is the null distribution of Wilcoxon's signed-rank statistic of n differences: tail[t] is the probability that it is at
// least t. It is exact: every assignment of signs is equally likely. Ties, and differences of 0, which the statistic leaves out,
// make the true probability smaller, never larger.
type signedRank struct{ tail []float64 }

func newSignedRank(n int) signedRank {
	// The statistic is the sum of the ranks of the positive differences: rank k is in it or not, each with a probability of a half.
	p := make([]float64, n*(n+1)/2+1)
	p[0] = 1
	for k, top := 1, 0; k <= n; k++ {
		top += k
		for t := top; t >= 0; t-- {
			p[t] /= 2
			if t >= k {
				p[t] += p[t-k] / 2
			}
		}
	}
	for t := len(p) - 2; t >= 0; t-- {
		p[t] += p[t+1]
	}
	return signedRank{p}
}

// atLeast is the probability that the statistic is t or more.
func (d signedRank) atLeast(t int) float64 { return min(1, d.tail[t]) }

// averages are the Walsh averages of some differences in order: the means of all pairs of them, and of each with itself. The
// signed-rank statistic, its estimate and its interval all follow from them.
type averages []float64

func walsh(x []float64) averages {
	w := make(averages, 0, len(x)*(len(x)+1)/2)
	for i, a := range x {
		for _, b := range x[i:] {
			w = append(w, (a+b)/2)
		}
	}
	slices.Sort(w)
	return w
}

// above counts the averages above v: the statistic of whether the differences are larger than v.
func (w averages) above(v float64) int {
	n, _ := slices.BinarySearchFunc(w, v, func(a, v float64) int {
		if a <= v {
			return -1
		}
		return 1
	})
	return len(w) - n
}

// below counts the averages below v: the statistic of whether they are smaller.
func (w averages) below(v float64) int {
	n, _ := slices.BinarySearch(w, v)
	return n
}

// median is the Hodges-Lehmann estimate.
func (w averages) median() float64 { return (w[(len(w)-1)/2] + w[len(w)/2]) / 2 }

// interval is the 95 % interval of the estimate; ok is false where so few differences give none.
func (w averages) interval(null signedRank) (low, high float64, ok bool) {
	// By symmetry P(statistic ≤ k) = P(statistic ≥ most − k): k is how many averages may be left out at either end.
	k := -1
	for k+1 < len(w)/2 && null.atLeast(len(w)-(k+1)) <= 0.025 {
		k++
	}
	if k < 0 {
		return 0, 0, false
	}
	return w[k], w[len(w)-1-k], true
}

// spending names the function by which alpha and beta are spent.
const spending = "Lan and DeMets (1983) with the function alpha t^2 of Kim and DeMets (1987)"

// spent is how much of alpha is spent after look i. Lan and DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70
// (1983), let it be any function that rises from 0 to alpha over the information gathered, here the quads. The square, from
// Kim and DeMets, "Design and analysis of group sequential tests based on the type I error spending rate function", Biometrika 74
// (1987), lies between those of Pocock and of O'Brien and Fleming: it leaves the last look most of alpha, and the first ones
// as much as a rank test of few quads can reach at all.
func spent(alpha float64, looks []int, i int) float64 {
	t := float64(looks[i]) / float64(looks[len(looks)-1])
	return alpha * t * t
}

// share is what look i spends of alpha. Testing at each look's share is valid however the looks are correlated, as the probability
// that any errs is at most the sum.
func share(alpha float64, looks []int, i int) float64 {
	if i == 0 {
		return spent(alpha, looks, 0)
	}
	return spent(alpha, looks, i) - spent(alpha, looks, i-1)
}

// Holm adjusts p values for their number: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
// Statistics 6 (1979). Each may then be held against alpha: the probability that any is below it by chance is at most alpha. ps stay as
// they are.
func Holm(ps []float64) []float64 {
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ps[a], ps[b]) })
	out := make([]float64, len(ps))
	running := 0.0
	for rank, i := range order {
		running = max(running, min(1, ps[i]*float64(len(ps)-rank)))
		out[i] = running
	}
	return out
}
