package projection_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlane/orderlane/pkg/projection"
)

// keeper is a view that notes when it is asked for upkeep, and of how many rows.
type keeper struct {
	*ordersView
	mu    sync.Mutex
	fails error
	asked []int
}

func (k *keeper) Upkeep(_ context.Context, _ projection.Tx, _ projection.Dialect, _ time.Time, limit int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fails != nil {
		return k.fails
	}
	k.asked = append(k.asked, limit)
	return nil
}

func TestOldRowsAreDeletedAsRecordsComeIn(t *testing.T) {
	w, now := newTopics(), startTime
	k := &keeper{}
	in := start(t, w, newMemStore(t), 1, func(o *projection.Options) {
		k.ordersView = o.View.(*ordersView)
		o.View, o.Clock, o.Step = k, func() time.Time { return now }, 10
	})
	for i := range 40 {
		w.event(0, fmt.Sprint("order-", i), "1")
	}
	in.assign(t, w.all()...)
	for _, passed := range []time.Duration{0, 50 * time.Millisecond, 60 * time.Millisecond, time.Hour} {
		now = now.Add(passed)
		_, err := in.Step(t.Context())
		must(t, err)
	}
	// At once, then with the records of two steps, then with those of one.
	want(t, "asked", fmt.Sprint(k.asked), "[74 84 74]")

	k.fails, now = errBad, now.Add(time.Hour)
	w.event(0, "order-0", "2")
	must(t, in.Deliver(t.Context(), w.parts[w.all()[0]][40:]))
	if _, err := in.Step(t.Context()); !errors.Is(err, errBad) {
		t.Fatal(err)
	}
	k.fails = nil
	s := in.drain(t)
	want(t, "after a failure", fmt.Sprint(s.Folded, s.Broken), "1 0")
}

func TestOldRowsAreDeletedWhileNothingComesIn(t *testing.T) {
	store := newMemStore(t)
	synctest.Test(t, func(t *testing.T) {
		k := &keeper{}
		in := start(t, newTopics(), store, 1, func(o *projection.Options) {
			k.ordersView = o.View.(*ordersView)
			o.View, o.Clock = k, time.Now
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- in.Run(ctx) }()
		<-time.After(time.Minute) // of a clock that leaps
		cancel()
		must(t, <-ended)
		if n := len(k.asked); n < 2 {
			t.Errorf("in a minute, old rows were deleted %d times", n)
		}
	})
}

func TestARowThatTheDatabaseRefusesIsBlamedOnItsRecordAlsoDuringUpkeep(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w, now := newTopics(), startTime
		k := &deleter{}
		in := start(t, w, open(), 1, func(o *projection.Options) {
			k.ordersView = o.View.(*ordersView)
			k.Parts = projection.Parts{k.orders}                                           // nothing is read after what is refused was queued
			o.View, o.Clock = k, func() time.Time { now = now.Add(time.Hour); return now } // it is always time for upkeep
		})
		w.event(0, "order-1", "1")
		w.event(0, "order-2", "refused") // by the store, when it is written
		w.event(0, "order-3", "1")
		in.assign(t, w.all()...)
		s := in.drain(t)
		want(t, "folded and broken", fmt.Sprint(s.Folded, s.Broken), "2 1")
		broken, err := in.Broken(t.Context(), "order-2")
		must(t, err)
		if len(broken) != 1 || k.deleted == 0 {
			t.Fatalf("broken are %v, after %d times of upkeep", broken, k.deleted)
		}
	})
}

// deleter is a view whose upkeep is a statement.
type deleter struct {
	*ordersView
	deleted int
}

func (d *deleter) Upkeep(ctx context.Context, tx projection.Tx, _ projection.Dialect, _ time.Time, _ int) error {
	d.deleted++
	_, err := tx.Exec(ctx, "DELETE FROM "+d.commandsT+" WHERE id = $1", "none")
	return err
}
