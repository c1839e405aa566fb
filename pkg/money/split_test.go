package money

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPartsAddUpAndAreAtMostAUnitFromTheirShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(0, Max).Draw(t, "total")
		weights := rapid.SliceOfN(rapid.Int64Range(0, Max), 1, 100).Draw(t, "weights")
		var sum, weight int64
		for _, w := range weights {
			weight += w
		}
		for i, p := range Split(total, weights) {
			sum += p
			if exact := float64(total) * float64(weights[i]) / float64(max(weight, 1)); weight > 0 && (float64(p) < exact-1.001 || float64(p) > exact+1.001) {
				t.Fatalf("part %d is %d, its share %f", i, p, exact)
			}
		}
		if sum != total {
			t.Fatalf("the parts add up to %d, not %d", sum, total)
		}
	})
}

func TestWhatIsLeftGoesToTheLargestRemainders(t *testing.T) {
	for _, c := range []struct {
		total         int64
		weights, want []int64
	}{
		{100, []int64{1, 1, 1}, []int64{34, 33, 33}},
		{10, []int64{3, 3, 4}, []int64{3, 3, 4}},
		{5, []int64{0, 0}, []int64{5, 0}},
		{1, []int64{1, 5, 4}, []int64{0, 1, 0}},
	} {
		if got := Split(c.total, c.weights); !slices.Equal(got, c.want) {
			t.Errorf("%d by %v is %v, want %v", c.total, c.weights, got, c.want)
		}
	}
}

func TestSharesOfUnitsAddUpInWhateverPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total, quantity := rapid.Int64Range(0, Max).Draw(t, "total"), rapid.Int64Range(1, 10_000).Draw(t, "quantity")
		var sum int64
		for from := int64(0); from < quantity; {
			to := rapid.Int64Range(from+1, quantity).Draw(t, "to")
			share := Share(total, quantity, from, to)
			if share < 0 {
				t.Fatalf("the share of %d to %d is %d", from, to, share)
			}
			sum, from = sum+share, to
		}
		if sum != total {
			t.Fatalf("the shares add up to %d, not %d", sum, total)
		}
	})
}
