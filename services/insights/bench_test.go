package insights

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
	"github.com/orderlane/orderlane/pkg/service"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

// The shop of the benchmarks: a year of orders with two lines each, of a thousand products, in eight partitions.
const (
	benchProducts   = 1000
	benchPartitions = 8
	benchDays       = 365
)

// onEachBenchStore runs a benchmark on SQLite and on PostgreSQL.
func onEachBenchStore(b *testing.B, run func(b *testing.B, store projection.Store)) {
	open := map[string]func(b *testing.B) (projection.Store, error){
		"SQLite": func(b *testing.B) (projection.Store, error) {
			return sqlitestore.Open(filepath.Join(b.TempDir(), "view.db"), sqlitestore.Options{Readers: 2})
		},
		"PostgreSQL": func(b *testing.B) (projection.Store, error) {
			return pgstore.Open(b.Context(), realparts.Postgres(b), "insights", pgstore.Options{})
		},
	}
	for name, open := range open {
		b.Run(name, func(b *testing.B) {
			store, err := open(b)
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := store.Close(); err != nil {
					b.Error(err)
				}
			}()
			run(b, store)
		})
	}
}

// completeOrder is all events of an order that goes well: four of its own, five of its payment.
func (p *publisher) completeOrder(i int) []kafka.Record {
	id, at := fmt.Sprintf("%08d-0000-7000-8000-000000000000", i), noon.AddDate(0, 0, -i%benchDays).Add(-time.Duration(i%86400)*time.Second)
	sku := func(n int) string { return fmt.Sprint("SKU-", n%benchProducts) }
	later := at.Add(time.Duration(i%300_000) * time.Second)
	return []kafka.Record{
		p.placed(id, "EUR", at, ordered(sku(i), 2, 333), ordered(sku(i/7+1), 1, 500)),
		p.posted(id, payments.TypePaymentRequested, "EUR", payments.StatusPending, at),
		p.posted(id, payments.TypePaymentAuthorized, "EUR", payments.StatusAuthorized, at, payments.AccountHeld, 1566, payments.AccountCustomer, -1566),
		p.confirmed(id, at),
		p.shipped(id, false, at, units(1, 2), units(2, 1)),
		p.asked(id, "EUR", at, 1566), p.taken(id, "EUR", at, 1566),
		p.delivered(id, false, later, units(1, 2), units(2, 1)),
		p.refunded(id, "EUR", later, 100),
	}
}

// benchView folds orders from a broker in memory.
func benchView(b *testing.B, store projection.Store, orders int) (reader *service.Reader, events int, took time.Duration) {
	b.Helper()
	var topics []kafka.TopicSpec
	for _, s := range newView().Sources() {
		topics = append(topics, kafka.TopicSpec{Name: s.Topic, Partitions: benchPartitions})
	}
	broker := memkafka.New(servicetest.Clock, topics...)
	p := &publisher{t: b, epoch: "e1", versions: map[string]int64{}}
	// So many orders are under way at once.
	const together = 500
	for from := 0; from < orders; from += together {
		steps := make([][]kafka.Record, 9)
		for i := from; i < from+together; i++ {
			for step, r := range p.completeOrder(i) {
				steps[step] = append(steps[step], r)
			}
		}
		for _, step := range steps {
			events += len(step)
			if err := broker.Producer().Publish(b.Context(), step); err != nil {
				b.Fatal(err)
			}
		}
	}
	view, err := projection.New(b.Context(), projection.Options{View: newView(), Store: store, Clock: servicetest.Clock, Replay: broker.ReadRange})
	if err != nil {
		b.Fatal(err)
	}
	consumer := broker.Consumer(view)
	if err := consumer.Assign(b.Context(), broker.Partitions(view.Topics()...)...); err != nil {
		b.Fatal(err)
	}
	defer consumer.Revoke()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	delivered := make(chan error, 1)
	start := time.Now()
	go func() {
		for n := 0; n < events; {
			d, err := consumer.StepAny(1000)
			if err != nil {
				delivered <- err
				return
			}
			n += d
		}
		delivered <- nil
	}()
	for n := 0; n < events; {
		s, err := view.Step(ctx)
		if err != nil {
			b.Fatal(err)
		}
		n += s.Records
		select {
		case err := <-delivered:
			if err != nil {
				b.Fatal(err)
			}
		default:
		}
	}
	return &service.Reader{Store: store, Answers: view.Answers}, events, time.Since(start)
}

// BenchmarkTheFullEventMix tells how many events a second one process folds.
func BenchmarkTheFullEventMix(b *testing.B) {
	onEachBenchStore(b, func(b *testing.B, store projection.Store) {
		_, events, took := benchView(b, store, 10_000)
		b.ReportMetric(float64(events)/took.Seconds(), "events/s")
		b.ReportMetric(0, "ns/op")
	})
}

// BenchmarkAYearOfSales tells how long a summary of a year takes.
func BenchmarkAYearOfSales(b *testing.B) {
	onEachBenchStore(b, func(b *testing.B, store projection.Store) {
		reader, _, _ := benchView(b, store, 20_000)
		q := &queries{Reader: reader, clock: servicetest.Clock}
		today := dayOf(noon)
		for _, by := range []string{byDays, byProducts, byCategories, byStatuses} {
			b.Run(by, func(b *testing.B) {
				for b.Loop() {
					if _, _, err := q.page(b.Context(), by, period{today - benchDays, today + 1}, nil, 51); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run("delivery time", func(b *testing.B) {
			for b.Loop() {
				if _, err := deliveryTime(b.Context(), q.Store, period{today - benchDays, today + 1}); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}
