package projection_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
)

func TestABuildWithOtherBrokenKeysDoesNotTakeOver(t *testing.T) {
	w := newTopics()
	p := newProcess(t, w, newMemStore(t), 1)
	*p.view.healed = true
	w.more(6)
	w.event(0, "order-9", "panic later")
	must(t, p.turn())
	*p.view.healed = false
	for _, key := range []string{"order-7", "order-8"} {
		w.event(0, key, "bad") // breaks it in both of them
	}
	must(t, p.turn())
	_, err := p.Rebuild(t.Context())
	must(t, err)
	must(t, p.turn())
	*p.view.healed = true
	must(t, p.Repair(t.Context(), "order-7")) // 1 is broken in the active one, and 2 in the other
	*p.view.healed = false
	for range 5 {
		must(t, p.turn())
	}
	want(t, "builds", states(t, p), "1 active, 2 building")
	if r := p.Report(); !strings.Contains(r.Waiting, "1 keys are broken in it that are not in the active build") {
		t.Fatal(r.Waiting)
	}
	*p.view.healed = true
	must(t, p.Repair(t.Context(), "order-9"))
	p.until(t, "1 previous, 2 active")
}

func TestASwapThatTakesTooLongIsGivenUp(t *testing.T) {
	w := newTopics()
	p := newProcess(t, w, newMemStore(t), 1)
	swapping(t, w, p)
	for range 10 {
		p.now = p.now.Add(time.Second)
		_, err := p.Look(t.Context())
		must(t, err)
	}
	want(t, "builds", states(t, p), "1 active, 2 building")
	w.more(3)
	must(t, p.turn())
	must(t, p.turn())
	want(t, "it goes on", shown(t, p.Store(), p.view), reference(t, w, newMemStore(t), 101))
	p.until(t, "1 previous, 2 active")
}

func TestWhereverAProcessDiesAnotherOneEndsTheSwap(t *testing.T) {
	ctx := t.Context()
	for n := 1; ; n++ {
		w := newTopics()
		w.more(20)
		store, err := scratch(ctx, false) // of which there are hundreds
		must(t, err)
		f := &faulty{Store: store, left: n, dead: true}
		err = func() error {
			p, err := openProcess(w, f, 1)
			if err != nil {
				return err
			}
			for i := range 24 {
				if i == 3 {
					if _, err := p.Rebuild(ctx); err != nil {
						return err
					}
				}
				if i == 5 {
					w.more(2)
				}
				if i == 12 {
					if _, err := p.Rollback(ctx); err != nil {
						return err
					}
				}
				if err := p.turn(); err != nil {
					return err
				}
			}
			return nil
		}()
		if !f.hit {
			must(t, err)
			want(t, "builds of who does not die", states(t, newProcess(t, w, store, 1)), "1 active, 2 previous")
			must(t, store.Close())
			if n < 100 {
				t.Fatalf("only %d points were met", n)
			}
			return
		}
		if !errors.Is(err, errInjected) {
			t.Fatalf("at point %d: %v", n, err)
		}
		p := newProcess(t, w, store, 1)
		w.more(3)
		ended := func() bool {
			return slices.Contains([]string{"1 active", "1 previous, 2 active", "1 active, 2 previous"}, states(t, p))
		}
		for turns := 0; !ended(); turns++ {
			if must(t, p.turn()); turns == 30 {
				t.Fatalf("at point %d: builds %q", n, states(t, p))
			}
		}
		must(t, p.turn())
		want(t, fmt.Sprint("view after a death at point ", n), shown(t, p.Store(), p.view), reference(t, w, store, 2))
		must(t, store.Close())
	}
}

func TestAnInstanceThatHasNotNoticedASwapWritesNothingMore(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w, store := newTopics(), open()
		late, other := newProcess(t, w, store, 1), newProcess(t, w, open(), 1)
		w.more(20)
		must(t, late.turn())
		old := late.Running()[1]
		_, err := other.Rebuild(t.Context())
		must(t, err)
		for range 10 {
			other.now = other.now.Add(time.Second)
			_, err := other.Look(t.Context())
			must(t, err)
			if build := other.Running()[2]; build != nil {
				must(t, other.fold(t.Context(), build))
			}
		}
		want(t, "builds", states(t, other), "1 previous, 2 active")

		count := func() (n int64) {
			must(t, store.Query(t.Context(), "SELECT CAST(sum(version) AS BIGINT) FROM "+late.view.ordersT+"_b1", nil,
				func(r projection.Row) error { n = r.Int(0); return nil }))
			return n
		}
		before := count()
		w.more(20)
		for range 3 {
			if err := late.fold(t.Context(), old); err != nil && !errors.Is(err, projection.ErrFenced) && !errors.Is(err, projection.ErrFrozen) {
				t.Fatal(err)
			}
		}
		want(t, "versions in build 1", count(), before)
		if _, err := old.Assigned(t.Context(), unmarked{}, allPartitions); !errors.Is(err, projection.ErrFrozen) {
			t.Fatal(err)
		}
		must(t, late.turn())
		must(t, late.turn())
		want(t, "view", shown(t, late.Store(), late.view), reference(t, w, newMemStore(t), 101))
	})
}

// lock has another session lock something until it is told to end, or the test does.
func lock(t *testing.T, s projection.Store, sql string) (end func()) {
	t.Helper()
	locked, enough, ended := make(chan error, 1), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.Update(context.Background(), func(tx projection.Tx) error {
			// The server ends a session of ours that does nothing for 5 s within a transaction.
			_, err := tx.Exec(context.Background(), "SET LOCAL idle_in_transaction_session_timeout = 0")
			if err == nil {
				_, err = tx.Exec(context.Background(), sql)
			}
			locked <- err
			<-enough
			return err
		})
	}()
	must(t, <-locked)
	end = sync.OnceFunc(func() {
		close(enough)
		must(t, <-ended)
	})
	t.Cleanup(end)
	return end
}

// swapping takes a process to where the active build is frozen, and nobody folds what the other one lacks.
func swapping(t *testing.T, w *topics, p *process) {
	t.Helper()
	w.more(20)
	must(t, p.turn())
	_, err := p.Rebuild(t.Context())
	must(t, err)
	must(t, p.turn())
	w.more(1)
	must(t, p.fold(t.Context(), p.Running()[1]))
	for range 2 {
		p.now = p.now.Add(time.Second)
		_, err = p.Look(t.Context())
		must(t, err)
	}
	want(t, "builds", states(t, p), "1 active, 2 swapping")
}

func TestASwapIsGivenUpWhenTheTopicsCanNotBeRead(t *testing.T) {
	w, away := newTopics(), false
	p := newProcess(t, w, newMemStore(t), 1, func(o *projection.BuildsOptions) {
		o.Replay = func(ctx context.Context, part kafka.Partition, from, to int64, fn func(kafka.Record) error) error {
			if away {
				return errInjected
			}
			return w.replay(ctx, part, from, to, fn)
		}
	})
	swapping(t, w, p)
	away = true
	for range 10 {
		p.now = p.now.Add(time.Second)
		_, _ = p.Look(t.Context()) // fails or not
	}
	want(t, "builds", states(t, p), "1 active, 2 building")
	w.more(3)
	must(t, p.fold(t.Context(), p.Running()[1]))
	want(t, "it goes on", shown(t, p.Store(), p.view), reference(t, w, newMemStore(t), 101))
	if r := p.Report(); !strings.Contains(r.Waiting, "it did not take over: ") {
		t.Fatal(r.Waiting)
	}
	away = false
	p.until(t, "1 previous, 2 active")
}

func TestWhoGivesUpASwapLateLetsNothingElseGo(t *testing.T) {
	w, store := newTopics(), newMemStore(t)
	late := func() {}
	p := newProcess(t, w, store, 1, func(o *projection.BuildsOptions) {
		o.Replay = func(context.Context, kafka.Partition, int64, int64, func(kafka.Record) error) error {
			late()
			return errInjected
		}
	})
	swapping(t, w, p)
	p.now = p.now.Add(10 * time.Second)
	late = func() { // another instance has cancelled that, and is in the middle of the next swap
		plant(t, store, "UPDATE projection_builds SET state = 'dropped' WHERE build = 2")
		late = func() {}
	}
	_, err := p.Look(t.Context())
	must(t, err)
	all, err := p.List(t.Context())
	must(t, err)
	if len(all) != 1 || !all[0].Frozen {
		t.Fatalf("%+v", all)
	}
}

func TestASessionThatKeepsTheViewLockedHoldsUpTheSwapAndNothingElse(t *testing.T) {
	url := realparts.Postgres(t)
	open := func() projection.Store {
		s, err := pgstore.Open(t.Context(), url, "views", pgstore.Options{})
		must(t, err)
		t.Cleanup(func() { must(t, s.Close()) })
		return s
	}
	w := newTopics()
	p := newProcess(t, w, open(), 1)
	w.more(20)
	must(t, p.turn())
	done := lock(t, open(), "LOCK TABLE test_orders_v1 IN ACCESS SHARE MODE")
	_, err := p.Rebuild(t.Context())
	must(t, err)
	for range 20 {
		w.more(1)
		must(t, p.turn())
		want(t, "builds", states(t, p), "1 active, 2 building")
	}
	if r := p.Report(); !strings.Contains(r.Waiting, "a session keeps it locked") {
		t.Fatal(r.Waiting)
	}
	want(t, "it goes on", shown(t, p.Store(), p.view), reference(t, w, newMemStore(t), 101))
	done()
	p.until(t, "1 previous, 2 active")
}

func TestAPartitionIsFoldedAtOnceThatIsTakenJustAfterASwapWasGivenUp(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w, store := newTopics(), open()
		p, other := newProcess(t, w, store, 1), newProcess(t, w, open(), 1)
		w.more(20)
		must(t, p.turn())
		zombie := p.Running()[1]
		// Its row says that it goes on, and its fences are still those of a swap.
		plant(t, store, fmt.Sprint("UPDATE projection_checkpoints SET fence = fence + ", int64(1)<<40))
		w.more(3)
		must(t, other.fold(t.Context(), other.Running()[1]))
		want(t, "view", shown(t, other.Store(), other.view), reference(t, w, newMemStore(t), 101))
		must(t, other.turn())
		w.more(3)
		must(t, other.turn())
		want(t, "view", shown(t, other.Store(), other.view), reference(t, w, newMemStore(t), 102))
		_ = p.fold(t.Context(), zombie) // notices or not
		want(t, "view beside a zombie", shown(t, other.Store(), other.view), reference(t, w, newMemStore(t), 103))
	})
}
