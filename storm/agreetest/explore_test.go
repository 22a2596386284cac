package agreetest

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

func TestExplore(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("SEEDS"))
	for seed := 2; seed < 2+n; seed++ {
		for _, tt := range table {
			t.Run(fmt.Sprintf("%d/%s", seed, tt.name), func(t *testing.T) {
				t.Parallel()
				c := base(uint64(seed))
				tt.is(&c)
				agree(t, c)
			})
		}
	}
}
