package ordering

import (
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
)

// stamped is a record of catalog's at a position of an epoch of its log.
func stamped(r kafka.Record, epoch, position string) kafka.Record {
	for i := range r.Headers {
		if r.Headers[i].Key == bus.HeaderPosition {
			r.Headers[i].Value = []byte(position)
		}
	}
	r.Headers = append(r.Headers, kafka.Header{Key: bus.HeaderEpoch, Value: []byte(epoch)})
	return r
}

func epochBegan(epoch string, after int64) kafka.Record {
	e := bus.Envelope{ID: epoch, Type: bus.TypeEpochBegan, Epoch: epoch, Position: after}
	return e.Record("catalog.events.v1", []byte(bus.EpochKey), []byte("{}"))
}

// TestPricesOfALostFutureAreTakenBack restores the catalogue twice. What is sold is what is in its log.
func TestPricesOfALostFutureAreTakenBack(t *testing.T) {
	broker := memkafka.New(time.Now, kafka.TopicSpec{Name: "catalog.events.v1", Partitions: 1})
	records := []kafka.Record{
		stamped(defined(t, "TEA", 1, 100), "e1", "1"),
		stamped(defined(t, "CUP", 1, 700), "e1", "2"),
		stamped(repriced(t, "TEA", 2, 200), "e1", "3"), // lost, from here on
		stamped(defined(t, "POT", 1, 900), "e1", "4"),
		stamped(withdrawn(t, "CUP", 2), "e1", "5"),
		epochBegan("2-e", 2),
		stamped(repriced(t, "TEA", 2, 300), "2-e", "3"),
		stamped(repriced(t, "CUP", 2, 800), "2-e", "4"), // lost the second time
		epochBegan("3-e", 3),
		stamped(repriced(t, "TEA", 3, 400), "3-e", "4"),
	}
	if err := broker.Producer().Publish(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	part := kafka.Partition{Topic: "catalog.events.v1"}
	prices := func(l *PriceList) (out [3]int64) {
		for i, sku := range []string{"TEA", "CUP", "POT"} {
			if o := l.Offer(sku); o.Known && !o.Withdrawn {
				out[i] = o.Price.Amount
			}
		}
		return out
	}
	want := [][3]int64{
		{100, 0, 0},
		{100, 700, 0},
		{200, 700, 0},
		{200, 700, 900},
		{200, 0, 900},
		{100, 700, 0},
		{300, 700, 0},
		{300, 800, 0},
		{300, 700, 0},
		{400, 700, 0},
	}
	stepwise := NewPriceList()
	if err := stepwise.Load(t.Context(), broker, "nowhere"); err == nil {
		t.Error("a topic that is not there is loaded")
	}
	for i, r := range broker.Records(part, 0, -1) {
		deliver(t, stepwise, r)
		if got := prices(stepwise); got != want[i] {
			t.Errorf("after record %d the prices are %v, not %v", i, got, want[i])
		}
	}
	loaded := NewPriceList()
	if err := loaded.Load(t.Context(), broker, "catalog.events.v1"); err != nil {
		t.Fatal(err)
	}
	if got := prices(loaded); got != want[9] {
		t.Errorf("loaded, the prices are %v, not %v", got, want[9])
	}
	if next, err := loaded.Assigned(t.Context(), nil, nil); err != nil || next[part] != 10 {
		t.Errorf("it goes on at %d, %v", next[part], err)
	}
	if err := NewPriceList().Deliver(t.Context(), broker.Records(part, 0, -1)); err == nil {
		t.Error("a list that can't read the topic again takes a new epoch for nothing")
	}
}
