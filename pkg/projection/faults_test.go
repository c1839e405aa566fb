package projection_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
)

var errInjected = errors.New("injected")

// faulty fails at the n-th of its points: before each call of a transaction, before its
// commit, and after its commit, when the caller cannot know that it was committed.
type faulty struct {
	projection.Store
	left int  // points until the fault; negative: none
	dead bool // all after it fails as well: the process has died
	hit  bool
}

func (f *faulty) point(op string) error {
	if f.hit && f.dead {
		return &projection.StoreError{Op: op, Err: errInjected}
	}
	f.left--
	if f.left == 0 {
		f.hit = true
		return &projection.StoreError{Op: op, Err: errInjected}
	}
	return nil
}

func (f *faulty) Update(ctx context.Context, fn func(projection.Tx) error) error {
	if err := f.point("begin"); err != nil {
		return err
	}
	err := f.Store.Update(ctx, func(tx projection.Tx) error {
		if err := fn(faultyTx{tx, f}); err != nil {
			return err
		}
		return f.point("before commit")
	})
	if err != nil {
		return err
	}
	return f.point("after commit")
}

func (f *faulty) Query(ctx context.Context, sql string, args []any, scan func(projection.Row) error) error {
	if err := f.point("query"); err != nil {
		return err
	}
	return f.Store.Query(ctx, sql, args, scan)
}

type faultyTx struct {
	projection.Tx
	f *faulty
}

func (t faultyTx) Query(ctx context.Context, sql string, args []any, scan func(projection.Row) error) error {
	if err := t.f.point("tx query"); err != nil {
		return err
	}
	return t.Tx.Query(ctx, sql, args, scan)
}

func (t faultyTx) Upsert(ctx context.Context, table projection.Table, rows [][]any) error {
	if err := t.f.point("upsert"); err != nil {
		return err
	}
	return t.Tx.Upsert(ctx, table, rows)
}

// busy is a topic with all that a view may meet.
func busy() *topics {
	w := newTopics()
	values := []string{"1", "2", "bad", "3", "refused", "4", "panic later"}
	for i := range 12 {
		part := int32(i % 2)
		w.event(part, fmt.Sprint("order-", i%6), fmt.Sprint(i))
		if i%5 == 4 {
			w.event(part, fmt.Sprint("order-", i, "-bad"), values[i%len(values)])
			w.repeat(part, 2)
		}
		w.command(part, fmt.Sprint("c", i))
		w.outcome(1-part, fmt.Sprint("c", i-1), "succeeded")
	}
	return w
}

// reference folds the topics without any trouble, in one go.
func reference(t fataler, w *topics, store projection.Store, version int) string {
	in := start(t, w, store, version)
	in.assign(t, w.all()...)
	in.drain(t)
	return shown(t, store, in.view)
}

func TestWhateverFailsTheViewIsTheFoldOfItsTopics(t *testing.T) {
	onEachStore(t, func(t *testing.T, open func() projection.Store) {
		w, store := busy(), open()
		expected := reference(t, w, store, 1)
		version := 1
		for _, dead := range []bool{false, true} {
			stride := 1
			if store.Dialect() == projection.Postgres {
				stride = 5 // the points are the same, and slower to try
			}
			for n := 1; ; n += stride {
				version++
				if store.Dialect() == projection.SQLite { // a file of many tables is slow
					store = newMemStore(t)
				}
				f := &faulty{Store: store, left: n, dead: dead}
				small := func(o *projection.Options) { o.Step = 9 }
				in := start(t, w, f, version, small)
				if _, err := in.Assigned(t.Context(), in, w.all()); err == nil {
					for _, p := range w.all() {
						must(t, in.Deliver(t.Context(), w.parts[p]))
					}
					for {
						s, err := in.Step(t.Context())
						if err != nil && dead {
							break
						}
						if err == nil && s.Records == 0 {
							break
						}
					}
				}
				if f.hit { // the process died, or had no partitions: another comes up
					in = start(t, w, store, version)
					in.assign(t, w.all()...)
					in.drain(t)
				}
				if got := shown(t, store, in.view); got != expected {
					t.Fatalf("fault %d (dead: %v):\n got %s\nwant %s", n, dead, got, expected)
				}
				if !f.hit {
					t.Logf("up to %d points of failure", n-1)
					break
				}
			}
		}
	})
}

// fleet are instances that take partitions from each other, die and come back, over stores
// that fail.
type fleet struct {
	t       *rapid.T
	w       *topics
	store   projection.Store
	version int
	members []*instance
	faults  []*faulty
	sent    []map[kafka.Partition]int64 // next offset to deliver, per member; missing: not assigned
}

func (f *fleet) join(i int) {
	f.faults[i] = &faulty{Store: f.store, left: -1}
	step := rapid.IntRange(1, 12).Draw(f.t, "records of a step")
	f.members[i] = start(f.t, f.w, f.faults[i], f.version, func(o *projection.Options) { o.Step = step })
	f.sent[i] = make(map[kafka.Partition]int64)
}

// assign gives a partition to a member; the one that had it is not told, or is.
func (f *fleet) assign(i int, p kafka.Partition) {
	if rapid.Bool().Draw(f.t, "revoke") {
		for j := range f.members {
			f.members[j].Revoked([]kafka.Partition{p})
			delete(f.sent[j], p)
		}
	}
	next, err := f.members[i].Assigned(context.Background(), f.members[i], []kafka.Partition{p})
	if err == nil {
		f.sent[i][p] = next[p]
	}
}

// deliver sends a run of a partition, from where the consumer stands.
func (f *fleet) deliver(i int, p kafka.Partition) {
	from, ok := f.sent[i][p]
	if !ok {
		return
	}
	all := f.w.parts[p]
	n := min(int64(rapid.IntRange(1, 8).Draw(f.t, "records")), int64(len(all))-from)
	if n <= 0 {
		return
	}
	err := f.members[i].Deliver(context.Background(), all[from:from+n])
	if errors.Is(err, projection.ErrFenced) {
		delete(f.sent[i], p)
		return
	}
	must(f.t, err)
	f.sent[i][p] = from + n
}

func (f *fleet) produce() {
	part := int32(rapid.IntRange(0, 1).Draw(f.t, "partition"))
	key := fmt.Sprint("order-", part, rapid.IntRange(0, 2).Draw(f.t, "order"))
	id := fmt.Sprint("c", rapid.IntRange(0, 5).Draw(f.t, "command"))
	switch rapid.IntRange(0, 9).Draw(f.t, "what") {
	case 0:
		f.w.command(part, id)
	case 1:
		f.w.outcome(part, id, rapid.SampledFrom([]string{"parked", "succeeded"}).Draw(f.t, "status"))
	case 2:
		f.w.repeat(part, rapid.IntRange(1, 5).Draw(f.t, "repeats"))
	case 3:
		trouble := []string{"bad", "panic", "bad later", "panic later", "refused"}
		f.w.event(part, key, rapid.SampledFrom(trouble).Draw(f.t, "trouble"))
	default:
		f.w.event(part, key, fmt.Sprint(rapid.IntRange(1, 9).Draw(f.t, "value")))
	}
}

func (f *fleet) act() {
	i := rapid.IntRange(0, 1).Draw(f.t, "member")
	parts := f.w.all()
	switch what := rapid.IntRange(0, 19).Draw(f.t, "act"); {
	case what < 6 || len(parts) == 0:
		f.produce()
	case what < 11:
		f.deliver(i, rapid.SampledFrom(parts).Draw(f.t, "of"))
	case what < 16:
		_, err := f.members[i].Step(context.Background())
		if err != nil && !errors.Is(err, errInjected) {
			f.t.Fatal(err)
		}
	case what < 18:
		f.assign(i, rapid.SampledFrom(parts).Draw(f.t, "which"))
	case what < 19:
		*f.faults[i] = faulty{Store: f.store, left: rapid.IntRange(1, 9).Draw(f.t, "fault")}
	default:
		f.join(i) // killed and started again
	}
}

// setChecks sets how many runs rapid makes, unless the command line says so.
func setChecks(t *testing.T, n string) {
	f := flag.Lookup("rapid.checks")
	before := f.Value.String()
	if before != f.DefValue {
		return
	}
	must(t, f.Value.Set(n))
	t.Cleanup(func() { must(t, f.Value.Set(before)) })
}

func TestAViewIsTheFoldOfItsTopicsUnderAnyInterleaving(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		setChecks(t, "100")
		dir, n := t.TempDir(), 0
		rapid.Check(t, func(rt *rapid.T) {
			n++ // a file of many tables is slow
			s, err := sqlitestore.Open(filepath.Join(dir, fmt.Sprint(n)), sqlitestore.Options{Readers: 1})
			must(rt, err)
			defer func() { must(rt, s.Close()) }()
			anyInterleaving(rt, s, 1)
		})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		setChecks(t, "20")
		s, err := pgstore.Open(t.Context(), realparts.Postgres(t), "views", pgstore.Options{})
		must(t, err)
		defer func() { must(t, s.Close()) }()
		version := 0
		rapid.Check(t, func(rt *rapid.T) {
			version += 2
			anyInterleaving(rt, s, version)
		})
	})
}

func anyInterleaving(t *rapid.T, store projection.Store, version int) {
	f := &fleet{
		t: t, w: newTopics(), store: store, version: version,
		members: make([]*instance, 2), faults: make([]*faulty, 2), sent: make([]map[kafka.Partition]int64, 2),
	}
	f.join(0)
	f.join(1)
	for range rapid.IntRange(10, 80).Draw(t, "acts") {
		f.act()
	}
	last := start(t, f.w, store, version)
	last.assign(t, f.w.all()...)
	last.drain(t)
	for _, p := range f.w.all() {
		if next := last.marks[p]; next != 0 && next != int64(len(f.w.parts[p])) {
			t.Fatalf("%v is folded up to %d of %d", p, next, len(f.w.parts[p]))
		}
	}
	want(t, "view", shown(t, store, last.view), reference(t, f.w, store, version+1))
}
