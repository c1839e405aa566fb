package logtest

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
)

var outcomes = map[string]func(*testing.T, *fixture){
	"outcomes come back as they were written": func(t *testing.T, f *fixture) {
		b := f.order(0, "order-1", 0, 2)
		refused := f.order(0, "order-2", 0, 0).Outcomes[0]
		refused.Status = es.StatusRefused
		refused.Fault = fault.Conflict("product_withdrawn", "TEA-001 is off sale").With("body.lines[0].sku", "withdrawn")
		failed := f.order(0, "order-3", 0, 0).Outcomes[0]
		failed.Status, failed.Stream, failed.Digest = es.StatusFailed, "", ""
		b.Outcomes = append(b.Outcomes, refused, failed)
		f.append(b)

		done := b.Outcomes[0]
		done.Position = 2
		unknown := f.id()
		got, err := f.log.Outcomes(f.ctx, []uuid.UUID{done.Command, unknown, refused.Command, failed.Command})
		f.must(err)
		if len(got) != 3 {
			t.Fatalf("%d outcomes, want 3", len(got))
		}
		for _, want := range []es.Outcome{done, refused, failed} {
			f.equal("outcome", got[want.Command], want)
		}
	},
	"an outcome with odd text from a message is kept": func(t *testing.T, f *fixture) {
		b := f.order(0, "order-1", 0, 0)
		b.States = nil
		o := &b.Outcomes[0]
		o.Status, o.Type, o.Stream, o.Digest = es.StatusFailed, "a\x00b", "\xff\xfe", "\x00"
		o.Fault = fault.Invalid("undecodable", "not a command: \xff\x00")
		f.append(b)
		got, ok := f.outcome(o.Command)
		if !ok || got.Status != es.StatusFailed || got.Type != "a\uFFFDb" {
			t.Fatalf("outcome: %+v", got)
		}
	},
	"an expired outcome is found by its events": func(_ *testing.T, f *fixture) {
		b := join(f.order(0, "order-1", 0, 3), f.order(0, "order-2", 0, 1))
		f.append(b)
		f.expire(noon.AddDate(0, 0, 1), 100, 2)
		got, ok := f.outcome(b.Outcomes[0].Command)
		f.equal("found", ok, true)
		f.equal("outcome", got, es.Outcome{
			Command: b.Outcomes[0].Command, Stream: "order-1", Status: es.StatusSucceeded,
			Version: 3, Position: 3, Digest: "digest-1", Time: noon,
		})
	},
	"a command that wrote events without an outcome is found by them": func(_ *testing.T, f *fixture) {
		b := f.order(0, "order-1", 0, 2)
		b.Outcomes = nil
		f.append(b)
		id := b.Events[0].Meta.Command
		more := commandOn(id, 2, "order-1", 2, 1)
		more.Outcomes = nil
		f.append(more)
		got, _ := f.outcome(id)
		f.equal("version", got.Version, 3)
		f.equal("position", got.Position, 3)
		f.equal("status", got.Status, es.StatusSucceeded)
	},
	"later events of a command leave its outcome as it is": func(_ *testing.T, f *fixture) {
		b := f.order(0, "order-1", 0, 1)
		f.append(b)
		more := commandOn(b.Outcomes[0].Command, 1, "order-1", 1, 1)
		more.Outcomes = nil
		f.append(more)
		got, _ := f.outcome(b.Outcomes[0].Command)
		f.equal("version", got.Version, 1)
	},
	"an expired outcome without events is gone": func(_ *testing.T, f *fixture) {
		b := f.order(0, "order-1", 0, 0)
		b.Outcomes[0].Status, b.States = es.StatusRefused, nil
		f.append(b)
		f.expire(noon.AddDate(0, 0, 1), 100, 1)
		_, ok := f.outcome(b.Outcomes[0].Command)
		f.equal("found", ok, false)
	},
	"only outcomes older than the time given expire, oldest first, up to the limit": func(_ *testing.T, f *fixture) {
		var ids []uuid.UUID
		for _, hours := range []int{3, 1, 2, 0} { // written in another order than their times
			b := f.order(0, "order-1", 0, 0)
			b.Outcomes[0].Time, b.States = noon.Add(time.Duration(hours)*time.Hour), nil
			b.Outcomes[0].Status = es.StatusRefused
			f.append(b)
			ids = append(ids, b.Outcomes[0].Command)
		}
		f.expire(noon, 10, 0)
		f.expire(noon.Add(3*time.Hour), 2, 2)
		left, err := f.log.Outcomes(f.ctx, ids)
		f.must(err)
		_, three := left[ids[0]]
		_, two := left[ids[2]]
		f.equal("the latest two are left", []any{len(left), three, two}, []any{2, true, true})
		f.expire(noon.Add(3*time.Hour), 10, 1)
		f.expire(noon.Add(4*time.Hour), 10, 1)
	},
	"an outcome that has expired does not expire again": func(_ *testing.T, f *fixture) {
		f.append(f.order(0, "order-1", 0, 1))
		f.expire(noon.AddDate(0, 0, 1), 10, 1)
		f.expire(noon.AddDate(0, 0, 1), 10, 0)
	},
}

// expire expires outcomes and fails the test if that are not so many.
func (f *fixture) expire(before time.Time, limit, want int) {
	f.Helper()
	n, err := f.log.ExpireOutcomes(f.ctx, before, limit)
	f.must(err)
	f.equal("expired outcomes", n, want)
}
