package projection_test

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
)

// changed is an event of the size that orders have.
type changed struct {
	OrderID  string    `json:"order_id"`
	Customer string    `json:"customer_id"`
	Status   string    `json:"status"`
	Total    int64     `json:"total"`
	Lines    []line    `json:"lines"`
	At       time.Time `json:"at"`
}

type line struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
	Price    int64  `json:"price"`
}

// statusView keeps the last state of each order, with an index by customer.
type statusView struct {
	projection.Parts
	docs  *projection.Documents[changed]
	table string
}

func newStatusView(version int) *statusView {
	v := &statusView{table: projection.TableName("bench", version, "orders")}
	v.docs = projection.NewDocuments(projection.Collection[changed]{
		Table: v.table, Topic: events, Columns: []projection.Column{{Name: "customer"}, {Name: "status"}, {Name: "at", Kind: projection.Int}},
		Values: func(row []any, _ string, d *changed) []any {
			return append(row, d.Customer, d.Status, d.At.UnixMicro())
		},
	})
	v.Parts = projection.Parts{v.docs}
	return v
}

func (v *statusView) Name() string { return "bench" }
func (v *statusView) Version() int { return 1 }
func (v *statusView) Sources() []projection.Source {
	return []projection.Source{{Topic: events, Log: true}}
}

func (v *statusView) Schema(projection.Dialect) []string {
	return []string{v.docs.Schema(), `CREATE INDEX ` + v.table + `_customer ON ` + v.table + ` (customer, at)`}
}

func (v *statusView) Fold(rec *projection.Record) error {
	var e changed
	if err := json.Unmarshal(rec.Value, &e); err != nil {
		return err
	}
	v.docs.Change(rec, func(d *changed) error {
		if rec.Version == 1 {
			*d = e
		} else {
			d.Status, d.At = e.Status, e.At
		}
		return nil
	})
	return nil
}

func (v *statusView) Forget(ctx context.Context, tx projection.Tx, _, key string) error {
	return v.docs.Forget(ctx, tx, key)
}

func (v *statusView) StreamVersion(ctx context.Context, q projection.Queryer, stream string) (int64, bool, error) {
	n, err := v.docs.Version(ctx, q, stream)
	return n, true, err
}

// rebuildTopic has n events: three of each order, the second and third long after the first.
func rebuildTopic(t fataler, n int) *topics {
	w := newTopics()
	const generation = 5000
	for i := range n {
		id := i/(3*generation)*generation + i%generation
		e := changed{
			OrderID: fmt.Sprintf("0192f0c1-0000-7000-8000-%012d", id), Customer: fmt.Sprint("c-", id%1000), At: startTime,
			Status: []string{"placed", "confirmed", "shipped"}[i/generation%3], Total: 2998,
			Lines: []line{{"TEA-001", 2, 1299}, {"MUG-007", 1, 400}},
		}
		value, err := json.Marshal(e)
		must(t, err)
		w.event(int32(id%8), "order-"+e.OrderID, string(value))
	}
	return w
}

func benchmarkStores(b *testing.B, run func(b *testing.B, s projection.Store)) {
	b.Run("SQLite", func(b *testing.B) {
		s, err := sqlitestore.Open(filepath.Join(b.TempDir(), "view.db"), sqlitestore.Options{})
		must(b, err)
		defer func() { must(b, s.Close()) }()
		run(b, s)
	})
	b.Run("PostgreSQL", func(b *testing.B) {
		s, err := pgstore.Open(b.Context(), realparts.Postgres(b), "views", pgstore.Options{})
		must(b, err)
		defer func() { must(b, s.Close()) }()
		run(b, s)
	})
}

// cpu is what this process has used; a database server's is not in it.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// report says how many events there were in a second, and what an event cost, which is less
// subject to what else the machine does.
func report(b *testing.B, before time.Duration) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/event")
}

// BenchmarkRebuild folds b.N events (try -benchtime=300000x) through the queue into an empty view.
func BenchmarkRebuild(b *testing.B) {
	benchmarkStores(b, func(b *testing.B, s projection.Store) {
		w := rebuildTopic(b, b.N)
		view := newStatusView(b.N)
		p, err := projection.New(b.Context(), projection.Options{View: view, Store: s, Clock: time.Now})
		must(b, err)
		in := &instance{marks: make(map[kafka.Partition]int64)}
		_, err = p.Assigned(b.Context(), in, w.all())
		must(b, err)
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error)
		spent := cpu(b)
		b.ResetTimer()
		go func() { ended <- p.Run(ctx) }()
		for _, part := range w.all() {
			go func() {
				for rest := w.parts[part]; len(rest) > 0; {
					n := min(len(rest), 1000)
					if p.Deliver(ctx, rest[:n]) != nil {
						return
					}
					rest = rest[n:]
				}
			}()
		}
		for _, part := range w.all() {
			last := w.parts[part][len(w.parts[part])-1]
			must(b, p.WaitVersion(ctx, string(last.Key), w.versions[string(last.Key)]))
		}
		b.StopTimer()
		report(b, spent)
		cancel()
		must(b, <-ended)
	})
}

// BenchmarkRowAtATime is the textbook's projection on the same stores: a transaction for
// each event that reads the row, changes it, and writes it with the offset.
func BenchmarkRowAtATime(b *testing.B) {
	benchmarkStores(b, func(b *testing.B, s projection.Store) {
		w := rebuildTopic(b, b.N)
		must(b, s.Migrate(b.Context(), fmt.Sprint("textbook", b.N), []string{
			`CREATE TABLE IF NOT EXISTS orders (key TEXT PRIMARY KEY, doc TEXT, customer TEXT, status TEXT, at BIGINT)`,
			`CREATE INDEX IF NOT EXISTS orders_customer ON orders (customer, at)`,
			`CREATE TABLE IF NOT EXISTS offsets (part BIGINT PRIMARY KEY, next_offset BIGINT)`,
		}))
		spent := cpu(b)
		b.ResetTimer()
		for _, part := range w.all() {
			for i := range w.parts[part] {
				must(b, rowAtATime(b.Context(), s, &w.parts[part][i]))
			}
		}
		b.StopTimer()
		report(b, spent)
	})
}

func rowAtATime(ctx context.Context, s projection.Store, rec *kafka.Record) error {
	var e changed
	if err := json.Unmarshal(rec.Value, &e); err != nil {
		return err
	}
	return s.Update(ctx, func(tx projection.Tx) error {
		doc := e
		err := tx.Query(ctx, `SELECT doc FROM orders WHERE key = $1`, []any{string(rec.Key)}, func(r projection.Row) error {
			return json.Unmarshal([]byte(r.Text(0)), &doc)
		})
		if err != nil {
			return err
		}
		doc.Status, doc.At = e.Status, e.At
		data, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO orders (key, doc, customer, status, at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (key) DO UPDATE SET doc = excluded.doc, status = excluded.status, at = excluded.at`,
			string(rec.Key), string(data), doc.Customer, doc.Status, doc.At.UnixMicro())
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO offsets (part, next_offset) VALUES ($1, $2)
			ON CONFLICT (part) DO UPDATE SET next_offset = excluded.next_offset`, int64(rec.Partition), rec.Offset+1)
		return err
	})
}

// BenchmarkLoneRecord is the cost of a step that finds one record, as at low load.
func BenchmarkLoneRecord(b *testing.B) {
	benchmarkStores(b, func(b *testing.B, s projection.Store) {
		w := rebuildTopic(b, b.N)
		p, err := projection.New(b.Context(), projection.Options{View: newStatusView(b.N), Store: s, Clock: time.Now})
		must(b, err)
		_, err = p.Assigned(b.Context(), &instance{marks: make(map[kafka.Partition]int64)}, w.all())
		must(b, err)
		b.ResetTimer()
		for _, part := range w.all() {
			for i := range w.parts[part] {
				must(b, p.Deliver(b.Context(), w.parts[part][i:i+1]))
				_, err := p.Step(b.Context())
				must(b, err)
			}
		}
	})
}
