package orderview

import (
	"fmt"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

func TestCommandsEndWhenTheirServicesHaveForgottenThem(t *testing.T) {
	const day = 24 * time.Hour
	w := servicetest.NewView(t, newView(0))
	at := func(r kafka.Record, id int, ago time.Duration) kafka.Record {
		for i, h := range r.Headers {
			if string(h.Value) == commandID {
				r.Headers[i].Value = fmt.Appendf(nil, "0193a1b2-0000-7000-8000-%012d", id)
			}
		}
		r.Time = servicetest.Noon.Add(-ago)
		return r
	}
	w.Fold(
		at(accepted(ada.ID), 1, 9*day),
		at(accepted(ada.ID), 2, 8*day),
		at(accepted(ada.ID), 3, 7*day), // just not yet
		at(accepted(ada.ID), 4, time.Minute),
	)
	err := w.Store.Update(t.Context(), func(tx projection.Tx) error {
		return newView(7*day).Upkeep(t.Context(), tx, w.Store.Dialect(), servicetest.Noon, 10)
	})
	if err != nil {
		t.Fatal(err)
	}
	var left []int64
	err = w.Store.Query(t.Context(), "SELECT changed_at FROM "+commandsTable+" ORDER BY id", nil, func(r projection.Row) error {
		left = append(left, servicetest.Noon.UnixMicro()-r.Int(0))
		return nil
	})
	if want := fmt.Sprint([]int64{(7 * day).Microseconds(), time.Minute.Microseconds()}); err != nil || fmt.Sprint(left) != want {
		t.Errorf("commands of so many microseconds ago are left: %v (%v), want %v", left, err, want)
	}
}
