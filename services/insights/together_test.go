package insights

import (
	"context"
	"fmt"
	"testing"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
	"github.com/orderlane/orderlane/pkg/service"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

// TestInstancesThatFoldAtTheSameTimeAddUpToTheWhole has two instances with a connection each, that share the
// partitions and write the same tables at once.
func TestInstancesThatFoldAtTheSameTimeAddUpToTheWhole(t *testing.T) {
	const orders, instances = 400, 2
	url := realparts.Postgres(t)
	var specs []kafka.TopicSpec
	var topics []string
	for _, s := range newView().Sources() {
		specs, topics = append(specs, kafka.TopicSpec{Name: s.Topic, Partitions: 4}), append(topics, s.Topic)
	}
	broker := memkafka.New(servicetest.Clock, specs...)
	p := &publisher{t: t, epoch: "e1", versions: map[string]int64{}}
	for i := range orders {
		if err := broker.Producer().Publish(t.Context(), p.completeOrder(i*400)); err != nil {
			t.Fatal(err)
		}
	}
	folded := make(chan error, instances)
	var reader *service.Reader
	for n := range instances {
		store, err := pgstore.Open(t.Context(), url, "insights", pgstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		view, err := projection.New(t.Context(), projection.Options{View: newView(), Store: store, Clock: servicetest.Clock, Replay: broker.ReadRange, Step: 50})
		if err != nil {
			t.Fatal(err)
		}
		reader = &service.Reader{Store: store, Answers: view.Answers}
		var owned []kafka.Partition
		for i, part := range broker.Partitions(topics...) {
			if i%instances == n {
				owned = append(owned, part)
			}
		}
		go func() { folded <- foldAll(t.Context(), broker, view, owned) }()
	}
	for range instances {
		if err := <-folded; err != nil {
			t.Fatal(err)
		}
	}
	today := dayOf(noon)
	_, s, err := (&queries{Reader: reader}).page(t.Context(), byDays, period{today - benchDays, today + 5}, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%v %v %v", *s.Totals[0].Orders, s.Totals[0].Units, *s.Totals[0].Money)
	want := fmt.Sprintf("%v %v %v", OrderFigures{orders, orders, orders, 400 * orders, 233 * orders, 1566 * orders},
		GoodsFigures{Ordered: 3 * orders, Shipped: 3 * orders, Net: 3 * orders},
		MoneyFigures{orders, 1566 * orders, orders, 100 * orders, 1466 * orders, 1305 * orders, 261 * orders})
	if len(s.Totals) != 1 || got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// foldAll folds what partitions have.
func foldAll(ctx context.Context, broker *memkafka.Broker, view *projection.Projection, parts []kafka.Partition) error {
	consumer := broker.Consumer(view)
	if err := consumer.Assign(ctx, parts...); err != nil {
		return err
	}
	defer consumer.Revoke()
	for {
		delivered, err := consumer.StepAny(50)
		if err != nil {
			return err
		}
		stepped, err := view.Step(ctx)
		if err != nil {
			return err
		}
		if delivered == 0 && stepped.Records == 0 {
			return nil
		}
	}
}
