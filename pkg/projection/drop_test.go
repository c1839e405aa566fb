package projection_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
)

func TestTablesOfAReleaseWithoutBuildsAreListedAndDropped(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w := newTopics()
		w.more(10)
		in := start(t, w, open(), 1)
		in.assign(t, w.all()...)
		in.drain(t)
		p := newProcess(t, w, open(), 2)
		p.until(t, "1 active, v1 0 previous")
		must(t, p.Drop(t.Context(), 1))
		p.until(t, "1 active")
		if err := open().Query(t.Context(), "SELECT count(*) FROM "+in.view.ordersT, nil, nil); err == nil {
			t.Fatal("its tables are still there")
		}
		want(t, "view", shown(t, p.Store(), p.view), reference(t, w, newMemStore(t), 101))
	})
}

func TestABuildThatIsWantedAgainWhileItIsStillLeftIsFoldedAgain(t *testing.T) {
	w, store := newTopics(), newMemStore(t)
	w.more(4)
	newProcess(t, w, store, 1).until(t, "1 active")
	var looks, joined atomic.Int64
	leaving, leave := make(chan struct{}), make(chan struct{})
	p := newProcess(t, w, store, 1, func(o *projection.BuildsOptions) {
		o.Clock = time.Now
		o.Told = func(projection.Report) { looks.Add(1) }
		o.Consume = func(ctx context.Context, group string, _ []string, _ *projection.Projection) error {
			first := group == "test-v1" && joined.Add(1) == 1
			<-ctx.Done()
			if first {
				close(leaving)
				<-leave // as Kafka may take seconds to let a member go
			}
			return nil
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	leaveNow := sync.OnceFunc(func() { close(leave) })
	defer func() {
		leaveNow()
		stop()
		must(t, <-ended)
	}()
	within(t, "build 1 is folded", func() bool { return joined.Load() == 1 })
	_, err := p.Rebuild(t.Context())
	must(t, err)
	// What begins a swap, though build 2 has folded nothing.
	plant(t, store, "UPDATE projection_builds SET frozen = 2 - build, state = CASE build WHEN 1 THEN state ELSE 'swapping' END")
	<-leaving
	_, err = p.Cancel(t.Context())
	must(t, err)
	looked := looks.Load()
	within(t, "it is looked at what is wanted", func() bool { return looks.Load() > looked+1 })
	leaveNow()
	within(t, "build 1 is folded again", func() bool { return joined.Load() == 2 })
}

func TestADropThatWaitsForAReaderHoldsNothingUp(t *testing.T) {
	url := realparts.Postgres(t)
	open := func() projection.Store {
		s, err := pgstore.Open(t.Context(), url, "views", pgstore.Options{})
		must(t, err)
		t.Cleanup(func() { must(t, s.Close()) })
		return s
	}
	w, store := newTopics(), open()
	told := 0
	p := newProcess(t, w, store, 1, func(o *projection.BuildsOptions) { o.Told = func(projection.Report) { told++ } })
	w.more(20)
	must(t, p.turn())
	_, err := p.Rebuild(t.Context())
	must(t, err)
	must(t, p.turn())
	want(t, "builds", states(t, p), "1 active, 2 building")
	read := lock(t, open(), "LOCK TABLE test_orders_v1_b2 IN ACCESS SHARE MODE") // as a backup does with all tables
	_, err = p.Cancel(t.Context())
	must(t, err)
	began, before := time.Now(), told
	_, err = p.Look(t.Context())
	must(t, err)
	if took := time.Since(began); took > 5*time.Second { // the store waits for 10 s
		t.Fatalf("a look took %v", took)
	}
	want(t, "told", told, before+1)
	want(t, "builds while it is read", states(t, p), "1 active, 2 dropping")
	w.more(1)
	must(t, p.fold(t.Context(), p.Running()[1]))
	read()
	p.until(t, "1 active")
}

func TestALargeBuildIsDroppedPieceByPiece(t *testing.T) {
	w, store := newTopics(), newMemStore(t)
	p := newProcess(t, w, store, 1)
	for i := range 5000 {
		w.command(int32(i%2), fmt.Sprint("c", i))
	}
	must(t, p.turn())
	_, err := p.Rebuild(t.Context())
	must(t, err)
	must(t, p.turn())
	_, err = p.Cancel(t.Context())
	must(t, err)
	looks := 0
	for ; states(t, p) != "1 active"; looks++ {
		next, err := p.Look(t.Context())
		must(t, err)
		if want := 5 * time.Millisecond; looks < 4 && next != want {
			t.Fatalf("look %d is followed by the next one after %v", looks, next)
		}
	}
	want(t, "looks", looks, 5) // two tables have 5000 rows each
}

func TestAReleaseComesBackAfterItsTablesWereDropped(t *testing.T) {
	for name, dropped := range map[string]bool{"dropped": true, "being dropped": false} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, open func() projection.Store) {
				w, store := newTopics(), open()
				old := newProcess(t, w, store, 1)
				w.more(20)
				must(t, old.turn())
				p := newProcess(t, w, store, 2)
				p.until(t, "v1 1 active, 1 active")
				must(t, p.Drop(t.Context(), 1))
				if dropped {
					p.until(t, "1 active")
				}
				back := newProcess(t, w, store, 1)
				if back.Ready() {
					t.Fatal("it is ready at once")
				}
				back.until(t, "2 active, v2 1 active")
				want(t, "view", shown(t, back.Store(), back.view), reference(t, w, newMemStore(t), 101))
				want(t, "the other view", shown(t, p.Store(), p.view), reference(t, w, newMemStore(t), 102))
			})
		})
	}
}

func TestAnInstanceThatMissedThatABuildWasDroppedLeavesNoTables(t *testing.T) {
	w, store, missed := newTopics(), newMemStore(t), func() {}
	other := newProcess(t, w, store, 1)
	late := newProcess(t, w, store, 1, func(o *projection.BuildsOptions) {
		o.Offsets = func(ctx context.Context, topic string) (map[int32]kafka.Range, error) {
			if topic == events {
				missed()
			}
			return w.offsets(ctx, topic)
		}
	})
	w.more(20)
	must(t, other.turn())
	_, err := other.Rebuild(t.Context())
	must(t, err)
	missed = func() { // after it has read that there is a build
		missed = func() {}
		_, err := other.Cancel(t.Context())
		must(t, err)
		other.until(t, "1 active")
	}
	must(t, late.turn())
	want(t, "builds", states(t, late), "1 active, 2 dropping")
	late.until(t, "1 active")
	if err := store.Query(t.Context(), "SELECT count(*) FROM "+late.view.ordersT+"_b2", nil, nil); err == nil {
		t.Fatal("the tables of the build that was dropped are there again")
	}
}
