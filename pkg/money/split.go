package money

import "math/bits"

// Split divides total, which is not negative, into parts in proportion to weights, so that they
// add up to it exactly: every part is rounded down, and what is left goes, a unit each, to
// those that lost most by it, the first of equals first (the largest remainder method). Without any
// weight above zero the first part gets everything. Weights are not negative, and there is at
// least one.
func Split(total int64, weights []int64) []int64 {
	parts := make([]int64, len(weights))
	var sum uint64
	for _, w := range weights {
		sum += uint64(w)
	}
	if sum == 0 {
		parts[0] = total
		return parts
	}
	remainders := make([]uint64, len(weights))
	left := total
	for i, w := range weights {
		hi, lo := bits.Mul64(uint64(total), uint64(w))
		quotient, remainder := bits.Div64(hi, lo, sum)
		parts[i], remainders[i] = int64(quotient), remainder
		left -= parts[i]
	}
	for ; left > 0; left-- {
		largest := 0
		for i, r := range remainders {
			if r > remainders[largest] {
				largest = i
			}
		}
		parts[largest]++
		remainders[largest] = 0
	}
	return parts
}

// Share is what the units after the first from, up to and including to, of quantity equal ones
// cost of their total. Shares of units that follow one another add up exactly, in whatever
// pieces they are taken: a share is the difference of two rounded cumulative ones.
// It wants 0 <= from <= to <= quantity, and quantity above 0.
func Share(total, quantity, from, to int64) int64 {
	return cumulative(total, quantity, to) - cumulative(total, quantity, from)
}

func cumulative(total, quantity, n int64) int64 {
	hi, lo := bits.Mul64(uint64(total), uint64(n))
	lo, carry := bits.Add64(lo, uint64(quantity)/2, 0)
	quotient, _ := bits.Div64(hi+carry, lo, uint64(quantity))
	return int64(quotient)
}
