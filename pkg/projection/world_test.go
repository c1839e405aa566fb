package projection_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(realparts.Wrap(m)) }

// The topics of the tests.
const (
	events   = "orders.events.v1"
	commands = "orders.commands.v1"
	outcomes = "outcomes.v1"
)

// onEachStore runs a test on SQLite and on PostgreSQL. open gives one more Store on the
// same database at each call.
func onEachStore(t *testing.T, run func(t *testing.T, open func() projection.Store)) {
	t.Run("SQLite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "view.db")
		run(t, func() projection.Store {
			s, err := sqlitestore.Open(path, sqlitestore.Options{})
			must(t, err)
			t.Cleanup(func() { must(t, s.Close()) })
			return s
		})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		url := realparts.Postgres(t)
		run(t, func() projection.Store {
			s, err := pgstore.Open(t.Context(), url, "views", pgstore.Options{})
			must(t, err)
			t.Cleanup(func() { must(t, s.Close()) })
			return s
		})
	})
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func must(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want[T comparable](t fataler, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s:\n got %v\nwant %v", what, got, want)
	}
}

// patience is how long a test waits for a condition before it fails.
const patience = 60 * time.Second

// within waits for a condition with a deadline.
func within(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick, deadline := time.NewTicker(time.Millisecond), time.NewTimer(patience)
	defer tick.Stop()
	defer deadline.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("did not happen: %s", what)
		}
	}
}

// topics are the topics of a test, in memory.
type topics struct {
	mu       sync.Mutex
	parts    map[kafka.Partition][]kafka.Record
	expired  map[kafka.Partition]int64 // where partitions end that are empty by now
	position int64
	versions map[string]int64
}

func newTopics() *topics {
	return &topics{
		parts: make(map[kafka.Partition][]kafka.Record), expired: make(map[kafka.Partition]int64), versions: make(map[string]int64),
	}
}

var startTime = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func (w *topics) append(topic string, part int32, key, value string, headers ...string) kafka.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.put(topic, part, key, value, headers...)
}

// put appends while mu is held.
func (w *topics) put(topic string, part int32, key, value string, headers ...string) kafka.Record {
	p := kafka.Partition{Topic: topic, ID: part}
	r := kafka.Record{Topic: topic, Partition: part, Offset: w.expired[p] + int64(len(w.parts[p])), Key: []byte(key), Value: []byte(value), Time: startTime}
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, kafka.Header{Key: headers[i], Value: []byte(headers[i+1])})
	}
	w.parts[p] = append(w.parts[p], r)
	return r
}

// event appends the next event of an order.
func (w *topics) event(part int32, key, value string) {
	w.position++
	w.versions[key]++
	w.append(events, part, key, value, "ce_id", fmt.Sprint(key, "/", w.versions[key]), "ce_type", "changed", "ce_epoch", "e1",
		"ce_position", strconv.FormatInt(w.position, 10), "ce_streamversion", strconv.FormatInt(w.versions[key], 10))
}

// repeat publishes the last n events of a partition once more, as a relay does that comes back.
func (w *topics) repeat(part int32, n int) {
	all := w.parts[kafka.Partition{Topic: events, ID: part}]
	for _, r := range slices.Clone(all[max(0, len(all)-n):]) {
		r.Offset = int64(len(w.parts[kafka.Partition{Topic: events, ID: part}]))
		w.parts[kafka.Partition{Topic: events, ID: part}] = append(w.parts[kafka.Partition{Topic: events, ID: part}], r)
	}
}

func (w *topics) command(part int32, id string) {
	w.append(commands, part, "order-"+id, "", "ce_id", id, "ce_type", "change")
}

func (w *topics) outcome(part int32, id, status string) {
	w.append(outcomes, part, id, status, "ce_id", "outcome of "+id)
}

func (w *topics) all() []kafka.Partition {
	return slices.SortedFunc(maps.Keys(w.parts), func(a, b kafka.Partition) int {
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
}

func (w *topics) replay(_ context.Context, p kafka.Partition, from, to int64, fn func(kafka.Record) error) error {
	w.mu.Lock()
	recs := w.parts[p]
	w.mu.Unlock()
	for _, r := range recs {
		if r.Offset >= from && r.Offset < to {
			if err := fn(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// order is the document of the test view.
type order struct {
	Sum   int      `json:"sum"`
	Steps []string `json:"steps"`
}

// ordersView folds values: a number is added; some words make trouble.
type ordersView struct {
	projection.Parts
	version   int
	topic     string        // of events
	healed    *bool         // trouble is over: another build of the view
	events    *atomic.Int64 // folded
	orders    *projection.Documents[order]
	sizes     *projection.Rollup[int] // what adds up over keys
	counts    *projection.Rows        // of commands: folding one twice shows
	accepted  *projection.Rows
	statuses  *projection.Rows
	ordersT   string
	sizesT    string
	lengthsT  string // of the documents that sizes come from
	countsT   string
	commandsT string
}

func newOrdersView(version int) *ordersView { return newOrdersViewOf(version, events) }

// newOrdersViewOf has another topic of events.
func newOrdersViewOf(version int, events string) *ordersView {
	v := &ordersView{
		version: version, topic: events, healed: new(bool), events: new(atomic.Int64), ordersT: projection.TableName("test", version, "orders"),
		countsT: projection.TableName("test", version, "counts"), lengthsT: projection.TableName("test", version, "lengths"),
		sizesT: projection.TableName("test", version, "sizes"), commandsT: projection.TableName("test", version, "commands"),
	}
	v.orders = projection.NewDocuments(projection.Collection[order]{
		Table: v.ordersT, Topic: events, Columns: []projection.Column{{Name: "last"}, {Name: "sum", Kind: projection.Int}},
		Values: func(row []any, _ string, o *order) []any {
			last := o.Steps[len(o.Steps)-1]
			if i := slices.IndexFunc(o.Steps, func(s string) bool { return strings.Contains(s, "\x00") }); i >= 0 {
				last = o.Steps[i] // no store takes that
			}
			return append(row, last, int64(o.Sum))
		},
	})
	v.sizes = projection.NewRollup(projection.RollupOf[int]{
		Table: v.lengthsT, Topic: events, Sums: []projection.Sums{{Table: v.sizesT, Columns: []string{"n"}}},
		Contribute: func(t *projection.Tally, size *int) { t.Add(0, []int64{int64(*size)}) },
	})
	v.counts = projection.NewRows(projection.Table{
		Name: v.countsT, Key: []string{"key", "part"}, Sums: []string{"n"},
		Columns: []projection.Column{{Name: "key"}, {Name: "part", Kind: projection.Int}, {Name: "n", Kind: projection.Int}},
	})
	v.accepted = projection.NewRows(projection.Table{
		Name: v.commandsT, Key: []string{"id"}, Rank: "accepted",
		Columns: []projection.Column{{Name: "id"}, {Name: "accepted", Kind: projection.Int}, {Name: "type"}},
	})
	v.statuses = projection.NewRows(projection.Table{
		Name: v.commandsT, Key: []string{"id"}, Rank: "rank",
		Columns: []projection.Column{{Name: "id"}, {Name: "status"}, {Name: "rank", Kind: projection.Int}},
	})
	v.Parts = projection.Parts{v.orders, v.sizes, v.counts, v.accepted, v.statuses}
	return v
}

func (v *ordersView) Twin() projection.View {
	twin := newOrdersViewOf(v.version, v.topic)
	twin.healed, twin.events = v.healed, v.events
	return twin
}

func (v *ordersView) Name() string { return "test" }
func (v *ordersView) Version() int { return v.version }
func (v *ordersView) Sources() []projection.Source {
	return []projection.Source{{Topic: events, Log: true}, {Topic: commands}, {Topic: outcomes}}
}

func (v *ordersView) Schema(projection.Dialect) []string {
	return append(v.sizes.Schema(), v.orders.Schema(),
		`CREATE TABLE `+v.countsT+` (key TEXT, part BIGINT, n BIGINT NOT NULL, PRIMARY KEY (key, part))`,
		`CREATE TABLE `+v.commandsT+` (id TEXT PRIMARY KEY, accepted BIGINT, type TEXT, status TEXT, rank BIGINT)`,
	)
}

var errBad = errors.New("bad value")

func (v *ordersView) Fold(rec *projection.Record) error {
	switch rec.Topic {
	case commands:
		v.counts.Upsert(rec.Key, int64(rec.Partition), 1)
		v.accepted.Upsert(rec.Header("ce_id"), 1, rec.Type)
		return nil
	case outcomes:
		rank := map[string]int{"parked": 2}[string(rec.Value)]
		if rank == 0 {
			rank = 3
		}
		v.statuses.Upsert(rec.Key, string(rec.Value), rank)
		return nil
	}
	v.events.Add(1)
	value := string(rec.Value)
	v.sizes.Change(rec, func(n *int) error { *n += len(value); return nil })
	trouble := value
	if *v.healed {
		trouble = ""
	}
	switch trouble { // after something was collected already, as in a real view
	case "bad":
		return errBad
	case "panic":
		panic("Fold met " + value)
	}
	v.orders.Change(rec, func(o *order) error {
		o.Steps = append(o.Steps, value)
		switch trouble {
		case "bad later":
			return errBad
		case "panic later":
			panic("fold met " + value)
		case "refused":
			o.Steps[len(o.Steps)-1] = "a text with a zero byte: \x00"
		}
		n, _ := strconv.Atoi(value)
		o.Sum += n
		return nil
	})
	return nil
}

func (v *ordersView) Forget(ctx context.Context, tx projection.Tx, topic, key string) error {
	switch topic {
	case events:
		return errors.Join(v.orders.Forget(ctx, tx, key), v.sizes.Forget(ctx, tx, key))
	case commands:
		_, err := tx.Exec(ctx, "DELETE FROM "+v.countsT+" WHERE key = $1", key)
		return err
	}
	return nil
}

func (v *ordersView) StreamVersion(ctx context.Context, q projection.Queryer, stream string) (int64, bool, error) {
	if !strings.HasPrefix(stream, "order-") {
		return 0, false, nil
	}
	version, err := v.orders.Version(ctx, q, stream)
	return version, true, err
}

// shown is all that the view holds, as text.
func shown(t fataler, s projection.Store, v *ordersView) string {
	var b strings.Builder
	var rollups []string
	must(t, s.Query(context.Background(), `SELECT key, version, doc, last, sum FROM `+v.ordersT+` ORDER BY key`, nil, func(r projection.Row) error {
		fmt.Fprintln(&b, r.Text(0), r.Int(1), r.Text(2), r.Text(3), r.Int(4))
		return nil
	}))
	for name, table := range map[string]string{"": v.sizesT, "commands of ": v.countsT} {
		var lines []string
		must(t, s.Query(context.Background(), `SELECT part, CAST(sum(n) AS BIGINT) FROM `+table+` GROUP BY part`, nil, func(r projection.Row) error {
			lines = append(lines, fmt.Sprintln(name+"partition", r.Int(0), r.Int(1)))
			return nil
		}))
		rollups = append(rollups, lines...)
	}
	slices.Sort(rollups)
	b.WriteString(strings.Join(rollups, ""))
	must(t, s.Query(context.Background(), `SELECT id, accepted, type, status, rank FROM `+v.commandsT+` ORDER BY id`, nil, func(r projection.Row) error {
		fmt.Fprintln(&b, r.Text(0), r.Int(1), r.Text(2), r.Text(3), r.Int(4))
		return nil
	}))
	return b.String()
}

// instance is one process with the view.
type instance struct {
	*projection.Projection
	w     *topics
	view  *ordersView
	store projection.Store
	dead  []projection.DeadLetter
	marks map[kafka.Partition]int64
}

// folded is how many events were passed to the view, those passed again included.
func (in *instance) folded() int64 { return in.view.events.Load() }

func (in *instance) Mark(p kafka.Partition, next int64) { in.marks[p] = next }

func start(t fataler, w *topics, store projection.Store, version int, change ...func(*projection.Options)) *instance {
	in := &instance{w: w, view: newOrdersView(version), store: store, marks: make(map[kafka.Partition]int64)}
	o := projection.Options{
		View: in.view, Store: store, Clock: func() time.Time { return startTime.Add(time.Second) }, Replay: w.replay,
		DeadLetter: func(_ context.Context, d projection.DeadLetter) error { in.dead = append(in.dead, d); return nil },
	}
	for _, c := range change {
		c(&o)
	}
	p, err := projection.New(context.Background(), o)
	must(t, err)
	in.Projection = p
	return in
}

// assign gives partitions to the instance, and delivers what they have from where it says.
func (in *instance) assign(t fataler, parts ...kafka.Partition) {
	t.Helper()
	next, err := in.Assigned(context.Background(), in, parts)
	must(t, err)
	for _, p := range parts {
		must(t, in.Deliver(context.Background(), in.w.parts[p][next[p]:]))
	}
}

// drain steps until nothing waits, and adds up what was done.
func (in *instance) drain(t fataler) projection.Stepped {
	t.Helper()
	var total projection.Stepped
	for {
		s, err := in.Step(context.Background())
		must(t, err)
		if s.Records == 0 {
			return total
		}
		total.Records += s.Records
		total.Folded += s.Folded
		total.Repeats += s.Repeats
		total.Skipped += s.Skipped
		total.Broken += s.Broken
		total.Lost += s.Lost
		total.Commits += s.Commits
	}
}
