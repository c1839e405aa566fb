package projection_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
)

func TestABuildReplacesTheOneInUseWhenItHasCaughtUp(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w, store := newTopics(), open()
		p := newProcess(t, w, store, 1)
		if !p.Ready() {
			t.Fatal("with empty topics a view is not ready at once")
		}
		w.more(20)
		must(t, p.turn())
		want(t, "first", states(t, p), "1 active")
		want(t, "view", shown(t, p.Store(), p.view), reference(t, w, newMemStore(t), 101))

		build, err := p.Rebuild(t.Context())
		must(t, err)
		want(t, "number", build.Number, 2)
		if _, err := p.Rebuild(t.Context()); !errors.Is(err, fault.Conflict("already_building", "")) {
			t.Fatal(err)
		}
		w.more(20)
		p.until(t, "1 previous, 2 active")
		w.more(7)
		must(t, p.turn())
		want(t, "view of build 2", shown(t, p.Store(), p.view), reference(t, w, newMemStore(t), 102))

		_, err = p.Rollback(t.Context())
		must(t, err)
		p.until(t, "1 active, 2 previous")
		want(t, "view of build 1 again", shown(t, p.Store(), p.view), reference(t, w, newMemStore(t), 103))
		w.more(3)
		must(t, p.turn())
		want(t, "it goes on", shown(t, p.Store(), p.view), reference(t, w, newMemStore(t), 104))

		_, err = p.Rebuild(t.Context())
		must(t, err)
		p.until(t, "1 previous, 3 active")
		want(t, "view of build 3", shown(t, p.Store(), p.view), reference(t, w, newMemStore(t), 105))
		err = store.Query(t.Context(), "SELECT count(*) FROM "+p.view.ordersT+"_b2", nil, nil)
		if err == nil {
			t.Fatal("the build that was replaced twice is still there")
		}
	})
}

func TestAViewOfAnotherVersionIsReadyWhenItHasFoldedWhatThereWas(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w := newTopics()
		old := newProcess(t, w, open(), 1)
		w.more(20)
		must(t, old.turn())
		p := newProcess(t, w, open(), 2)
		_, err := p.Look(t.Context())
		must(t, err)
		if p.Ready() || !strings.Contains(p.Report().Waiting, "build 1: 0 of 60 records (0 %)") {
			t.Fatalf("ready %v, waiting for %q", p.Ready(), p.Report().Waiting)
		}
		if _, err := p.Answers().Shows(t.Context(), "order-1", 1); !errors.Is(err, fault.Unavailable("view_building", "")) {
			t.Fatal(err)
		}
		if _, err := p.Rebuild(t.Context()); !errors.Is(err, fault.Conflict("view_building", "")) {
			t.Fatal(err)
		}
		w.more(4)
		must(t, old.turn()) // which goes on meanwhile
		want(t, "old view", shown(t, old.Store(), old.view), reference(t, w, newMemStore(t), 101))
		p.until(t, "v1 1 active, 1 active")
		if !p.Ready() {
			t.Fatal("not ready")
		}
		want(t, "new view", shown(t, p.Store(), p.view), reference(t, w, newMemStore(t), 102))

		if err := p.Drop(t.Context(), 2); !errors.Is(err, fault.Conflict("version_in_use", "")) {
			t.Fatal(err)
		}
		if err := p.Drop(t.Context(), 7); !errors.Is(err, fault.NotFound("version", "")) {
			t.Fatal(err)
		}
		must(t, p.Drop(t.Context(), 1))
		p.until(t, "1 active")
		for _, table := range []string{old.view.ordersT, old.view.ordersT + "_b1"} {
			if err := open().Query(t.Context(), "SELECT count(*) FROM "+table, nil, nil); err == nil {
				t.Fatalf("%s is still there", table)
			}
		}
	})
}

func TestABuildCanBeCancelled(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w := newTopics()
		w.more(20)
		p := newProcess(t, w, open(), 1)
		p.until(t, "1 active")
		if _, err := p.Cancel(t.Context()); !errors.Is(err, fault.Conflict("nothing_to_cancel", "")) {
			t.Fatal(err)
		}
		_, err := p.Rebuild(t.Context())
		must(t, err)
		must(t, p.turn())
		_, err = p.Cancel(t.Context())
		must(t, err)
		p.until(t, "1 active")

		// In the middle of a swap, when the active one stands still.
		_, err = p.Rebuild(t.Context())
		must(t, err)
		p.until(t, "1 active, 3 swapping")
		_, err = p.Cancel(t.Context())
		must(t, err)
		p.until(t, "1 active")
		w.more(5)
		must(t, p.turn())
		want(t, "it goes on", shown(t, p.Store(), p.view), reference(t, w, newMemStore(t), 101))

		_, err = p.Rebuild(t.Context())
		must(t, err)
		p.until(t, "1 previous, 4 active")
		_, err = p.Rollback(t.Context())
		must(t, err)
		_, err = p.Cancel(t.Context())
		must(t, err)
		p.until(t, "1 previous, 4 active") // it can still be gone back to
		_, err = p.Rollback(t.Context())
		must(t, err)
		p.until(t, "1 active, 4 previous")
	})
}

func TestWhatCanNotBeReadAnyMoreHoldsNoBuildUp(t *testing.T) {
	w := newTopics()
	p := newProcess(t, w, newMemStore(t), 1)
	w.more(20)
	must(t, p.turn())
	// Retention has deleted a whole partition of commands, and compaction has left a gap at an end.
	w.mu.Lock()
	part := kafka.Partition{Topic: commands, ID: 0}
	w.expired[part] = int64(len(w.parts[part]))
	w.parts[part] = nil
	part = kafka.Partition{Topic: outcomes, ID: 1}
	w.parts[part] = w.parts[part][:len(w.parts[part])-1]
	w.mu.Unlock()
	_, err := p.Rebuild(t.Context())
	must(t, err)
	p.until(t, "1 previous, 2 active")
}

func TestNamesOfABuildAreThoseOfTheViewsTables(t *testing.T) {
	for sql, text := range map[string]string{
		"SELECT * FROM shop_orders_v3 o":                        "SELECT * FROM shop_orders_v3_b2 o",
		"CREATE INDEX shop_orders_v3_placed ON shop_orders_v3":  "CREATE INDEX shop_orders_v3_b2_placed ON shop_orders_v3_b2",
		"fts5(x, content='shop_words_v3')":                      "fts5(x, content='shop_words_v3_b2')",
		"SELECT shop_a_v3.x, shop_b_v31.x, workshop_a_v3.x, v3": "SELECT shop_a_v3_b2.x, shop_b_v31.x, workshop_a_v3.x, v3",
		"projection_checkpoints":                                "projection_checkpoints",
		"shop_v3_things_v3":                                     "shop_v3_b2_things_v3",
	} {
		want(t, sql, projection.BuildText("shop", 3, 2, sql), text)
	}
}
