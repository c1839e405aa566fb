package projection_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
)

func TestRepairFoldsABrokenKeyAnew(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w := newTopics()
		for i := range 4 {
			w.event(int32(i%2), fmt.Sprint("order-", i%2), "1")
			w.event(1, "order-2", "1")
		}
		w.event(1, "order-2", "panic later")
		w.event(1, "order-2", "1")
		w.repeat(1, 3)
		in := start(t, w, open(), 1)
		in.assign(t, w.all()...)
		in.drain(t)

		var bad *projection.RecordError
		if err := in.Repair(t.Context(), "order-2"); !errors.As(err, &bad) {
			t.Fatalf("repair without a new build: %v", err)
		}
		if got := shown(t, in.store, in.view); !strings.Contains(got, `order-2 4 {"sum":4`) {
			t.Fatalf("a repair in vain changed the view:\n%s", got)
		}
		if broken, err := in.Broken(t.Context(), "order-2"); err != nil || len(broken) != 1 {
			t.Fatalf("broken: %v, %v", broken, err)
		}

		elsewhere := start(t, w, open(), 1)
		if err := elsewhere.Repair(t.Context(), "order-2"); !errors.Is(err, projection.ErrNotOwner) {
			t.Fatalf("repair by another instance: %v", err)
		}

		*in.view.healed = true
		w.event(1, "order-2", "7") // waits in the queue meanwhile
		must(t, in.Deliver(t.Context(), w.parts[kafka.Partition{Topic: events, ID: 1}][11:]))
		must(t, in.Repair(t.Context(), "order-2"))
		if broken, err := in.Broken(t.Context(), "order-2"); err != nil || len(broken) != 0 {
			t.Fatalf("still broken: %v, %v", broken, err)
		}
		if got := shown(t, in.store, in.view); !strings.Contains(got, `order-2 6 {"sum":5,`) {
			t.Fatalf("repaired:\n%s", got)
		}
		want(t, "goes on", in.drain(t).Folded, 1)
		if got := shown(t, in.store, in.view); !strings.Contains(got, `order-2 7 {"sum":12,`) {
			t.Fatalf("gone on:\n%s", got)
		}
		// Nothing is missing, and nothing was counted twice.
		healed := start(t, w, in.store, 2)
		*healed.view.healed = true
		healed.assign(t, w.all()...)
		healed.drain(t)
		want(t, "view", shown(t, in.store, in.view), shown(t, in.store, healed.view))
	})
}

func TestRepairWorksForAKeyThatIsNotBroken(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w := newTopics()
		for i := range 10 {
			w.event(0, "order-1", fmt.Sprint(i))
			w.event(1, "order-2", fmt.Sprint(i))
		}
		in := start(t, w, open(), 1)
		*in.view.healed = true
		in.assign(t, w.all()...)
		in.drain(t)
		must(t, in.store.Update(t.Context(), func(tx projection.Tx) error {
			_, err := tx.Exec(t.Context(), `UPDATE `+in.view.ordersT+` SET doc = '{"sum":-1}', sum = -1`)
			return err
		}))
		must(t, in.Repair(t.Context(), "order-1"))
		got := shown(t, in.store, in.view)
		if !strings.Contains(got, `order-1 10 {"sum":45`) || !strings.Contains(got, `order-2 10 {"sum":-1`) {
			t.Fatalf("repaired:\n%s", got)
		}
		if err := in.Repair(t.Context(), "order-3"); !errors.Is(err, projection.ErrNotOwner) {
			t.Fatalf("repair of a key that is not there: %v", err)
		}
	})
}

func TestARepairThatFailsLeavesTheViewAsItWas(t *testing.T) {
	w := newTopics()
	for range 3 {
		w.event(0, "order-1", "1")
	}
	f := &faulty{Store: newMemStore(t), left: -1}
	in := start(t, w, f, 1)
	in.assign(t, w.all()...)
	in.drain(t)
	before := shown(t, f.Store, in.view)
	for n := 1; ; n++ {
		f.hit, f.left = false, n
		err := in.Repair(t.Context(), "order-1")
		in.view.orders.Reset()
		if !f.hit {
			must(t, err)
			break
		}
		f.left = -1
		if got := shown(t, f.Store, in.view); !strings.HasPrefix(got, `order-1 3 {"sum":3,`) {
			t.Fatalf("after fault %d:\n%s\nbefore:\n%s", n, got, before)
		}
	}
	w.event(0, "order-1", "1")
	must(t, in.Deliver(context.Background(), w.parts[w.all()[0]][3:]))
	f.left = -1
	want(t, "goes on", in.drain(t).Folded, 1)
}
