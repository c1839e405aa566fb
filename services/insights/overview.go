package insights

import (
	"context"
	"time"

	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service"
)

// Overview is how the shop does today and at the moment.
type Overview struct {
	At    time.Time `json:"at" doc:"When this was asked"`
	Today Period    `json:"today" doc:"The day that it is, in UTC"`

	Happened   Activity `json:"happened" doc:"Today, whenever the orders were placed"`
	LastHour   Activity `json:"last_hour" doc:"In the last 3600 seconds"`
	LastMinute Activity `json:"last_minute" doc:"In the last 60 seconds"`

	Summary Summary `json:"summary" doc:"Of the orders that were placed today, and of the money and the deliveries of today"`

	Orders   []Standing     `json:"orders" doc:"All orders, by where they stand now"`
	Payments []Standing     `json:"payments" doc:"All payments, by where they stand now"`
	Stale    *service.Stale `json:"stale,omitzero" doc:"There if the view could not take up some event" required:"false"`
}

// Activity counts what happened to orders in some time.
type Activity struct {
	Placed    int64 `json:"placed"`
	Confirmed int64 `json:"confirmed"`
	Rejected  int64 `json:"rejected"`
	Cancelled int64 `json:"cancelled" doc:"As a whole"`
	Delivered int64 `json:"delivered" doc:"The last of it"`
}

// Standing is how many orders or payments are in a status.
type Standing struct {
	Status string `json:"status"`
	Count  int64  `json:"count"`
}

// selectActivity reads what happened today, and in the last hour and minute, in one statement.
var selectActivity = "SELECT 0" + cast(activityColumns) + " FROM " + activityTable + " WHERE scale = $1 AND start = $2" +
	" UNION ALL SELECT 1" + cast(activityColumns) + " FROM " + activityTable + " WHERE scale = $3 AND start > $4" +
	" UNION ALL SELECT 2" + cast(activityColumns) + " FROM " + activityTable + " WHERE scale = $3 AND start > $5"

// selectStanding reads how many orders and payments are in each status.
var selectStanding = "SELECT 0 AS kind, status, CAST(SUM(orders) AS BIGINT) FROM " + standingTable + " GROUP BY status HAVING SUM(orders) <> 0" +
	" UNION ALL SELECT 1, status, CAST(SUM(payments) AS BIGINT) FROM " + paymentsStandings + " GROUP BY status HAVING SUM(payments) <> 0" +
	" ORDER BY kind, status"

// overview reads the figures of today and of the moment.
func (q *queries) overview(ctx context.Context) (*Overview, error) {
	now := q.clock().UTC()
	day := dayOf(now)
	today := period{day, day + 1}
	o := &Overview{At: now, Today: today.shown(), Orders: []Standing{}, Payments: []Standing{}}
	of := []*Activity{&o.Happened, &o.LastHour, &o.LastMinute}
	err := q.Store.Query(ctx, selectActivity, []any{byDay, day, bySecond, now.Unix() - 3600, now.Unix() - 60}, func(row projection.Row) error {
		n := numbers(row, 1, len(activityColumns))
		*of[row.Int(0)] = Activity{n[0], n[1], n[2], n[3], n[4]}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all, err := facts(ctx, q.Store, today)
	if err != nil {
		return nil, err
	}
	o.Summary = *summary(all)
	if o.Summary.DeliveryTime, err = deliveryTime(ctx, q.Store, today); err != nil {
		return nil, err
	}
	err = q.Store.Query(ctx, selectStanding, nil, func(row projection.Row) error {
		to := &o.Orders
		if row.Int(0) == 1 {
			to = &o.Payments
		}
		*to = append(*to, Standing{row.Text(1), row.Int(2)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	o.Stale, err = q.stale(ctx)
	return o, err
}
