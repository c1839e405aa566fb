package projection_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
)

// offsets is what an admin says of a topic.
func (w *topics) offsets(_ context.Context, topic string) (map[int32]kafka.Range, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := map[int32]kafka.Range{0: {}, 1: {}}
	for p, recs := range w.parts {
		if p.Topic == topic && len(recs) > 0 {
			held[p.ID] = kafka.Range{First: recs[0].Offset, Last: recs[len(recs)-1].Offset + 1}
		} else if p.Topic == topic {
			held[p.ID] = kafka.Range{First: w.expired[p], Last: w.expired[p]}
		}
	}
	return held, nil
}

// from returns the records of a partition from an offset on.
func (w *topics) from(p kafka.Partition, next int64) (recs []kafka.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.parts[p]
	i := slices.IndexFunc(all, func(r kafka.Record) bool { return r.Offset >= next })
	if i < 0 {
		return nil
	}
	return slices.Clone(all[i:])
}

var allPartitions = []kafka.Partition{
	{Topic: events, ID: 0},
	{Topic: events, ID: 1},
	{Topic: commands, ID: 0},
	{Topic: commands, ID: 1},
	{Topic: outcomes, ID: 0},
	{Topic: outcomes, ID: 1},
}

// process is an instance whose builds a test drives.
type process struct {
	*projection.Builds
	w       *topics
	view    *ordersView
	now     time.Time
	folding map[*projection.Projection]map[kafka.Partition]int64 // next offsets to deliver
}

type unmarked struct{}

func (unmarked) Mark(kafka.Partition, int64) {}

func openProcess(w *topics, store projection.Store, version int, change ...func(*projection.BuildsOptions)) (*process, error) {
	p := &process{w: w, view: newOrdersView(version), now: startTime, folding: make(map[*projection.Projection]map[kafka.Partition]int64)}
	o := projection.BuildsOptions{
		Options: projection.Options{Store: store, Clock: func() time.Time { return p.now }, Replay: w.replay},
		View:    p.view, Offsets: w.offsets, Scratch: scratch,
		Consume: func(ctx context.Context, _ string, _ []string, _ *projection.Projection) error {
			<-ctx.Done()
			return nil
		},
	}
	for _, c := range change {
		c(&o)
	}
	var err error
	p.Builds, err = projection.OpenBuilds(context.Background(), o)
	return p, err
}

func newProcess(t fataler, w *topics, store projection.Store, version int, change ...func(*projection.BuildsOptions)) *process {
	p, err := openProcess(w, store, version, change...)
	must(t, err)
	return p
}

// turn looks once at the builds, and folds all that there is for those that run.
func (p *process) turn() error {
	p.now = p.now.Add(time.Second)
	ctx := context.Background()
	if _, err := p.Look(ctx); err != nil {
		return err
	}
	for _, build := range p.Running() {
		if err := p.fold(ctx, build); err != nil && !errors.Is(err, projection.ErrFrozen) && !errors.Is(err, projection.ErrFenced) {
			return err
		}
	}
	return nil
}

func (p *process) fold(ctx context.Context, build *projection.Projection) error {
	next := p.folding[build]
	if next == nil {
		at, err := build.Assigned(ctx, unmarked{}, allPartitions)
		if err != nil {
			return err
		}
		next = at
		p.folding[build] = next
	}
	for _, part := range allPartitions {
		recs := p.w.from(part, next[part])
		if len(recs) == 0 {
			continue
		}
		if err := build.Deliver(ctx, recs); err != nil {
			delete(p.folding, build)
			return err
		}
		next[part] = recs[len(recs)-1].Offset + 1
	}
	for {
		s, err := build.Step(ctx)
		if err != nil {
			return err
		}
		if s.Lost > 0 {
			delete(p.folding, build)
			return nil
		}
		if s.Records == 0 {
			return nil
		}
	}
}

// states are the builds and what became of them.
func states(t fataler, p *process) string {
	all, err := p.List(context.Background())
	must(t, err)
	var list []string
	for _, b := range all {
		s := fmt.Sprint(b.Number, " ", b.State)
		if b.Version != p.view.version {
			s = fmt.Sprint("v", b.Version, " ") + s
		}
		list = append(list, s)
	}
	return strings.Join(list, ", ")
}

func (p *process) until(t fataler, want string) {
	t.Helper()
	for range 50 {
		must(t, p.turn())
		if states(t, p) == want {
			return
		}
	}
	t.Fatalf("the builds are %q, not %q; %+v", states(t, p), want, p.Report())
}

// more appends n rounds of all kinds of records.
func (w *topics) more(n int) {
	for i := range n {
		part := int32(i % 2)
		w.event(part, fmt.Sprint("order-", i%6), fmt.Sprint(i))
		id := fmt.Sprint("c", w.position)
		w.command(part, id)
		w.outcome(1-part, id, "succeeded")
	}
}

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

// lock has another session lock something until it is told to end, or the test does.
func lock(t *testing.T, s projection.Store, sql string) (end func()) {
	t.Helper()
	locked, enough, ended := make(chan error, 1), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.Update(context.Background(), func(tx projection.Tx) error {
			_, err := tx.Exec(context.Background(), sql)
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
