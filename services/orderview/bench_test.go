package orderview

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

// Of the benchmarks of reads.
const (
	benchOrders  = 20_000
	benchCallers = 64 // at once
	benchPlaced  = 100_000
)

// stores open the read stores, each empty.
var stores = map[string]func(t testing.TB) projection.Store{
	"sqlite": func(t testing.TB) projection.Store {
		s, err := sqlitestore.Open(t.TempDir()+"/view.db", sqlitestore.Options{})
		return closing(t, s, err)
	},
	"postgres": func(t testing.TB) projection.Store {
		s, err := pgstore.Open(t.Context(), realparts.Postgres(t), "orderview", pgstore.Options{})
		return closing(t, s, err)
	},
}

func closing(t testing.TB, s projection.Store, err error) projection.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newWorldIn(t testing.TB, store projection.Store) *world {
	w := &world{View: servicetest.NewViewIn(t, newView(0), store), api: servicetest.NewAPI(t), t: t}
	newQueries(w.Reader, later).register(w.api.API)
	return w
}

// nowhere takes an answer and keeps its status.
type nowhere struct {
	header http.Header
	status int
	bytes  int
}

func (n *nowhere) Header() http.Header { return n.header }
func (n *nowhere) WriteHeader(s int)   { n.status = s }
func (n *nowhere) Write(b []byte) (int, error) {
	n.bytes += len(b)
	return len(b), nil
}

// cpu is the time that this process has been at work.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail for the process itself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// filled returns the reads of a view with many orders. What has filled it is gone: its records would
// keep the collector at work.
func filled(t testing.TB, store projection.Store, orders int) (*servicetest.API, *queries) {
	w := newWorldIn(t, store)
	for n := 0; n < orders; {
		var records []kafka.Record
		for range 500 {
			records = append(records, w.life(n)...)
			n++
		}
		w.FoldAll(records...)
	}
	api := servicetest.NewAPI(t)
	q := newQueries(w.Reader, servicetest.Clock)
	q.register(api.API)
	return api, q
}

// ask asks for orders with many callers at once, and reports how many are answered.
func ask(b *testing.B, api http.Handler, status int, header map[string]string, pick func() int) {
	before := cpu()
	b.SetParallelism(benchCallers / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		n := &nowhere{}
		for pb.Next() {
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/v1/orders/"+orderID(pick()), nil)
			for k, v := range header {
				r.Header.Set(k, v)
			}
			n.header, n.status = make(http.Header), http.StatusOK
			api.ServeHTTP(n, r)
			if n.status != status {
				b.Errorf("answered with %d", n.status)
				return
			}
		}
	})
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/1e3/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// BenchmarkGetOrder asks for orders at random, and for one that has not changed: how many a second are
// answered, without what HTTP itself costs.
func BenchmarkGetOrder(b *testing.B) {
	for name, open := range stores {
		b.Run(name, func(b *testing.B) {
			api, _ := filled(b, open(b), benchOrders)
			header := map[string]string{"Authorization": "Bearer " + api.Token(staff)}
			etag := api.Get(staff, "/v1/orders/"+orderID(1)).Header.Get("ETag")
			b.Run("any", func(b *testing.B) { ask(b, api, http.StatusOK, header, func() int { return rand.IntN(benchOrders) }) })
			header["If-None-Match"] = etag
			b.Run("unchanged", func(b *testing.B) { ask(b, api, http.StatusNotModified, header, func() int { return 1 }) })
		})
	}
}

// BenchmarkFold takes up the lives of orders: what one costs the view.
func BenchmarkFold(b *testing.B) {
	for name, open := range stores {
		b.Run(name, func(b *testing.B) {
			w := newWorldIn(b, open(b))
			n := 0
			for b.Loop() {
				b.StopTimer()
				var records []kafka.Record
				for range 200 {
					records = append(records, w.life(n)...)
					n++
				}
				before := cpu()
				b.StartTimer()
				w.FoldAll(records...)
				b.ReportMetric(float64((cpu()-before).Nanoseconds())/1e3/200, "cpu-us/order")
			}
		})
	}
}

// BenchmarkFoldPlaced takes up orders that were placed, at ids by chance, as many as make a view grow out of the cache:
// where each of them is written counts.
func BenchmarkFoldPlaced(b *testing.B) {
	for name, open := range stores {
		b.Run(name, func(b *testing.B) {
			w := newWorldIn(b, open(b))
			n := 0
			for b.Loop() {
				b.StopTimer()
				records := make([]kafka.Record, benchPlaced)
				for i := range records {
					n++
					records[i] = w.placedAs(n, uuid.NewString(), fmt.Sprint("c-", n%5000), servicetest.Noon.Add(time.Duration(n)*10*time.Millisecond))
				}
				before := cpu()
				b.StartTimer()
				w.FoldAll(records...)
				b.ReportMetric(float64((cpu()-before).Nanoseconds())/1e3/benchPlaced, "cpu-us/order")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/1e3/float64(n), "us/order")
			}
		})
	}
}
