package insights

import (
	"context"
	"math/bits"

	"github.com/orderlane/orderlane/pkg/projection"
)

// DeliveryTime is how long orders took from placed to delivered: of those that were delivered in a period, whenever
// they were placed. Percentiles are those of the orders themselves (nearest rank): the shortest time that at least so
// many of them took at the most, in whole seconds, rounded down.
type DeliveryTime struct {
	Orders int64 `json:"orders" doc:"Delivered in the period"`
	P50    int64 `json:"p50_seconds" doc:"Half of them took so long at the most; whole seconds"`
	P90    int64 `json:"p90_seconds"`
	P99    int64 `json:"p99_seconds"`
}

// Times are counted by the second, so that percentiles are exact. So that they are also quick, they are
// counted by spans of seconds too: a percentile is found by looking through the spans, of which there are few,
// and then through the seconds of one span.

// spanBits says how fine spans are: an eighth of a power of two each.
const spanBits = 3

// spanOf is the number of the span that some seconds are in. Spans rise with the seconds.
func spanOf(seconds int64) int64 {
	n := uint64(max(seconds, 0))
	shift := max(bits.Len64(n)-spanBits-1, 0)
	return int64(shift)<<spanBits + int64(n>>shift)
}

// percents are the percentiles.
var percents = [...]int64{50, 90, 99}

// selectTimes reads the seconds of those spans that hold a percentile, and how many orders took less than each
// span, in one statement, so that they belong together.
var selectTimes = `WITH counted AS (
		SELECT span, CAST(SUM(orders) AS BIGINT) AS n FROM ` + spansTable + ` WHERE day >= $1 AND day < $2 GROUP BY span),
	ranked AS (
		SELECT span, n, CAST(SUM(n) OVER (ORDER BY span) AS BIGINT) AS upto, CAST(SUM(n) OVER () AS BIGINT) AS total FROM counted),
	held AS (
		SELECT span, upto - n AS below, total FROM ranked WHERE n > 0 AND (` + holds("50") + " OR " + holds("90") + " OR " + holds("99") + `))
	SELECT h.total, h.below, t.seconds, CAST(SUM(t.orders) AS BIGINT) FROM held h
	JOIN ` + timesTable + ` t ON t.span = h.span AND t.day >= $1 AND t.day < $2
	GROUP BY h.total, h.below, t.seconds ORDER BY t.seconds`

// holds is the condition that a span has the order which a percentile is of.
func holds(percent string) string {
	rank := "(total * " + percent + " + 99) / 100"
	return "(" + rank + " > upto - n AND " + rank + " <= upto)"
}

// deliveryTime reads the percentiles of a period; nil if nothing was delivered in it.
func deliveryTime(ctx context.Context, q projection.Queryer, p period) (*DeliveryTime, error) {
	var found *DeliveryTime
	var below, upto int64 = -1, 0 // of the present span
	err := q.Query(ctx, selectTimes, []any{p.from, p.to}, func(row projection.Row) error {
		if found == nil {
			found = &DeliveryTime{Orders: row.Int(0)}
		}
		if row.Int(1) != below {
			below, upto = row.Int(1), row.Int(1)
		}
		before := upto
		upto += row.Int(3)
		for i, to := range []*int64{&found.P50, &found.P90, &found.P99} {
			if rank := (found.Orders*percents[i] + 99) / 100; rank > before && rank <= upto {
				*to = row.Int(2)
			}
		}
		return nil
	})
	return found, err
}
