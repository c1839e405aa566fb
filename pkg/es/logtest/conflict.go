package logtest

import (
	"testing"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/es"
)

var conflicting = map[string]func(*testing.T, *fixture){
	"a stream that others have written conflicts, and is named": func(_ *testing.T, f *fixture) {
		f.append(f.order(0, "order-1", 0, 2))
		b := join(f.order(0, "order-1", 0, 1), f.order(0, "order-2", 0, 1))
		c := f.conflict(b)
		f.equal("streams", c.Streams, []string{"order-1"})
		f.equal("commands", c.Commands, []uuid.UUID{})
	},
	"a stream that was only decided on conflicts too": func(_ *testing.T, f *fixture) {
		f.append(f.order(0, "order-1", 0, 1))
		refusal := f.order(0, "order-1", 0, 0)
		refusal.Outcomes[0].Status = es.StatusRefused
		refusal.States = nil
		f.equal("streams", f.conflict(refusal).Streams, []string{"order-1"})
	},
	"a stream behind the version it was seen at conflicts": func(_ *testing.T, f *fixture) {
		f.append(f.order(0, "order-1", 0, 1))
		f.equal("streams", f.conflict(f.order(0, "order-1", 4, 1)).Streams, []string{"order-1"})
	},
	"a stream taken for new conflicts though the head is known": func(_ *testing.T, f *fixture) {
		f.append(f.order(0, "order-1", 0, 1))
		f.equal("streams", f.conflict(f.order(1, "order-1", 0, 1)).Streams, []string{"order-1"})
	},
	"a version that would leave a gap conflicts though the head is known": func(_ *testing.T, f *fixture) {
		f.append(f.order(0, "order-1", 0, 1))
		f.equal("streams", f.conflict(f.order(1, "order-1", 2, 1)).Streams, []string{"order-1"})
		f.equal("streams", f.conflict(f.order(1, "order-2", 1, 1)).Streams, []string{"order-2"})
	},
	"disjoint streams do not conflict when the head has moved": func(t *testing.T, f *fixture) {
		f.append(f.order(0, "order-1", 0, 2))
		b := f.order(0, "order-2", 0, 1)
		if head := f.append(b); head.Position != 3 {
			t.Fatalf("head is at %d, want 3", head.Position)
		}
		o, _ := f.outcome(b.Outcomes[0].Command)
		if o.Position != 3 {
			t.Fatalf("the outcome's position is %d, want 3", o.Position)
		}
		f.append(f.order(0, "order-2", 1, 1)) // with a head seen long ago
	},
	"a command with an outcome conflicts, and is named": func(_ *testing.T, f *fixture) {
		first := f.order(0, "order-1", 0, 1)
		f.append(first)
		fresh := f.order(1, "order-2", 0, 1)
		again := commandOn(first.Outcomes[0].Command, 1, "order-3", 0, 1)
		c := f.conflict(join(fresh, again))
		f.equal("commands", c.Commands, []uuid.UUID{first.Outcomes[0].Command})
		f.equal("streams", c.Streams, []string{})
	},
	"a repeat of everything names streams and commands": func(_ *testing.T, f *fixture) {
		b := f.order(0, "order-1", 0, 1)
		f.append(b)
		c := f.conflict(b)
		f.equal("streams", c.Streams, []string{"order-1"})
		f.equal("commands", c.Commands, []uuid.UUID{b.Outcomes[0].Command})
	},
	"a refused command that comes again conflicts": func(_ *testing.T, f *fixture) {
		refusal := f.order(0, "order-1", 0, 0)
		refusal.Outcomes[0].Status, refusal.States = es.StatusRefused, nil
		f.append(refusal)
		again := commandOn(refusal.Outcomes[0].Command, 0, "order-1", 0, 1)
		f.equal("commands", f.conflict(again).Commands, []uuid.UUID{refusal.Outcomes[0].Command})
	},
	"a command that wrote events conflicts after its outcome has expired": func(t *testing.T, f *fixture) {
		b := f.order(0, "order-1", 0, 1)
		f.append(b)
		n, err := f.log.ExpireOutcomes(f.ctx, noon.AddDate(0, 0, 1), 10)
		f.must(err)
		if n != 1 {
			t.Fatalf("%d outcomes expired, want 1", n)
		}
		again := commandOn(b.Outcomes[0].Command, 1, "order-2", 0, 1)
		f.equal("commands", f.conflict(again).Commands, []uuid.UUID{b.Outcomes[0].Command})
	},
	"a command that wrote events without an outcome conflicts": func(_ *testing.T, f *fixture) {
		b := f.order(0, "order-1", 0, 2)
		id := b.Outcomes[0].Command
		b.Outcomes = nil
		f.append(b)
		f.equal("commands", f.conflict(commandOn(id, 2, "order-2", 0, 1)).Commands, []uuid.UUID{id})
	},
	"a command with an outcome is not parked": func(_ *testing.T, f *fixture) {
		b := f.order(0, "order-1", 0, 1)
		f.append(b)
		late := es.Batch{Seen: 1, Parked: []es.Parked{parkedCommand(b.Outcomes[0].Command)}}
		f.equal("commands", f.conflict(late).Commands, []uuid.UUID{b.Outcomes[0].Command})
	},
	"a command that is parked for another request gets no outcome, and is named": func(_ *testing.T, f *fixture) {
		p, fresh := parkedCommand(f.id()), f.order(0, "order-1", 0, 1)
		p.Digest = "digest-2"
		f.append(es.Batch{Parked: []es.Parked{p}})
		c := f.conflict(join(fresh, commandOn(p.Command, 0, "order-2", 0, 1)))
		f.equal("reused", c.Reused, []uuid.UUID{p.Command})
		f.equal("commands", c.Commands, []uuid.UUID{})
		f.equal("streams", c.Streams, []string{})
		f.append(fresh)
	},
	"a command that is parked is not parked for another request, and is named": func(_ *testing.T, f *fixture) {
		p := parkedCommand(f.id())
		f.append(es.Batch{Parked: []es.Parked{p}})
		p.Digest = "digest-2"
		f.equal("reused", f.conflict(es.Batch{Parked: []es.Parked{parkedCommand(f.id()), p}}).Reused, []uuid.UUID{p.Command})
	},
	"an empty digest is like any": func(_ *testing.T, f *fixture) {
		parked, given := parkedCommand(f.id()), parkedCommand(f.id())
		parked.Digest = ""
		f.append(es.Batch{Parked: []es.Parked{parked, given}})
		f.append(commandOn(parked.Command, 0, "order-1", 0, 1))
		discarded := commandOn(given.Command, 1, "order-2", 0, 0)
		discarded.Outcomes[0].Digest, discarded.States = "", nil
		given.Digest = ""
		f.append(es.Batch{Parked: []es.Parked{given}})
		f.append(discarded)
		f.listed(uuid.Nil, 10, nil)
	},
	"a conflict moves no cursor and parks nothing": func(_ *testing.T, f *fixture) {
		b := f.order(0, "order-1", 0, 1)
		f.append(b)
		b = f.order(0, "order-1", 0, 1)
		b.Parked = []es.Parked{parkedCommand(f.id())}
		b.Cursors = []es.Cursor{{Name: "relay", Position: 1}}
		_ = f.conflict(b)
	},
	"after a conflict the log goes on": func(t *testing.T, f *fixture) {
		f.append(f.order(0, "order-1", 0, 1))
		_ = f.conflict(f.order(0, "order-1", 0, 1))
		if head := f.append(f.order(1, "order-1", 1, 1)); head.Position != 2 {
			t.Fatalf("head is at %d, want 2", head.Position)
		}
	},
}
