package logtest

import (
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/es"
)

var epochs = map[string]func(*testing.T, *fixture){
	"a new epoch is above the log's own, and all instances run under it": func(t *testing.T, f *fixture) {
		other := f.open()
		before := f.append(f.order(0, "order-1", 0, 2))
		after := f.epoch(0)
		if es.Generation(before.Epoch) != 1 || es.Generation(after.Epoch) != 2 || after.Position != 2 {
			t.Fatalf("the head was %+v, and is %+v", before, after)
		}
		head, err := other.Head(f.ctx)
		f.must(err)
		f.equal("head of another instance", head, after)
		head, err = other.Append(f.ctx, f.order(2, "order-1", 2, 1))
		f.must(err)
		f.equal("head after another instance's append", head, es.Head{Epoch: after.Epoch, Position: 3})
		if again := f.epoch(0); es.Generation(again.Epoch) != 3 || again.Epoch == after.Epoch {
			t.Fatalf("the third epoch is %q", again.Epoch)
		}
	},
	"a new epoch is above the one that is asked for": func(t *testing.T, f *fixture) {
		if head := f.epoch(6); es.Generation(head.Epoch) != 7 {
			t.Fatalf("above 6 the epoch is %q", head.Epoch)
		}
		if head := f.epoch(2); es.Generation(head.Epoch) != 8 {
			t.Fatalf("above its own, which is 7, the epoch is %q", head.Epoch)
		}
	},
	"a new epoch puts cursors back and changes nothing else": func(_ *testing.T, f *fixture) {
		b := f.order(0, "order-1", 0, 3)
		b.Events[0].Personal = []byte(`{"name":"Ada"}`)
		b.Parked = []es.Parked{parkedCommand(f.id())}
		b.Cursors = []es.Cursor{{Name: "relay", Position: 3}, {Name: "timers", Position: 1}}
		f.append(b)
		old, err := f.log.Read(f.ctx, 0, 10)
		f.must(err)
		_, err = f.log.NewEpoch(f.ctx, es.Renewal{Cursor: 2})
		f.must(err)
		f.cursor("relay", 2)
		f.cursor("timers", 1)
		records, err := f.log.Read(f.ctx, 0, 10)
		f.must(err)
		f.equal("records", records, old)
		kept, err := f.log.Personal(f.ctx, "order-1", 2)
		f.must(err)
		f.equal("what is personal", kept, [][]byte{[]byte(`{"name":"Ada"}`)})
		parked, err := f.log.ParkedCommands(f.ctx, uuid.Nil, 10)
		f.must(err)
		f.equal("parked commands", len(parked), 1)
		if _, ok := f.outcome(b.Outcomes[0].Command); !ok {
			f.Fatal("the outcome is gone")
		}
	},
	"what was decided under another epoch is not written": func(t *testing.T, f *fixture) {
		other := f.open()
		old := f.append(f.order(0, "order-1", 0, 1))
		f.append(f.order(1, "order-1", 1, 1))
		now := f.epoch(0)
		before := f.everything()
		for name, log := range map[string]es.Log{"this instance": f.log, "another one": other} {
			for what, b := range map[string]es.Batch{
				"nothing else is in the way": f.order(2, "order-1", 2, 1),
				"others were first, too":     f.order(1, "order-1", 1, 1),
			} {
				b.Epoch = old.Epoch
				var conflict *es.ConflictError
				if _, err := log.Append(f.ctx, b); !errors.Is(err, es.ErrEpochChanged) || errors.As(err, &conflict) {
					t.Errorf("%s, %s: got %v, want %v", name, what, err, es.ErrEpochChanged)
				}
			}
		}
		f.equal("log", f.everything(), before)
		b := f.order(2, "order-1", 2, 1)
		b.Epoch = now.Epoch
		f.equal("head", f.append(b), es.Head{Epoch: now.Epoch, Position: 3})
	},
	"under a new epoch an append wakes a wait": func(_ *testing.T, f *fixture) {
		other := f.open()
		f.append(f.order(0, "order-1", 0, 1))
		woken := f.wait(other, 1)
		f.epoch(0)
		f.append(f.order(1, "order-1", 1, 1))
		f.must(<-woken)
	},
}

func (f *fixture) epoch(above int64) es.Head {
	f.Helper()
	head, err := f.log.NewEpoch(f.ctx, es.Renewal{Above: above})
	f.must(err)
	return head
}
