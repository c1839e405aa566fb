package relay_test

import (
	"context"
	"testing"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/relay"
)

const askedTopic = "others.commands.v1"

// TestWhatAnEventAsksForIsSentAgainAlsoWhereTheEventIsThere has a leader die after the event was
// published, with or without what it asks for: nothing but the cursor tells which.
func TestWhatAnEventAsksForIsSentAgainAlsoWhereTheEventIsThere(t *testing.T) {
	w := newWorld(t)
	w.broker = memkafka.New(w.clock, kafka.TopicSpec{Name: topic, Partitions: 3}, kafka.TopicSpec{Name: askedTopic, Partitions: 1})
	asking := func(o *relay.Options) {
		w.resuming(o)
		o.Translate = func(ctx context.Context, epoch string, r *es.Record) ([]kafka.Record, error) {
			records, err := translate(ctx, epoch, r)
			ask := bus.Envelope{ID: "ask of " + r.ID(), Subject: r.Stream, Time: r.Time}
			return append(records, ask.Record(askedTopic, []byte(r.Stream), r.Data)), err
		}
	}
	first := w.relay("first", asking)
	w.happen([]string{"a-1", "a-2", "a-1"})
	w.step(first, 3) // and it dies before its cursor is saved
	w.happen([]string{"a-2"})

	w.now = w.now.Add(leaseTTL)
	second := w.relay("second", asking)
	w.step(second, 4)
	w.want(4, 0)
	asked := map[string]int{}
	for _, r := range w.broker.Records(kafka.Partition{Topic: askedTopic}, 0, -1) {
		asked[r.Header(bus.HeaderID)]++
	}
	for id, want := range map[string]int{"ask of a-1/1": 2, "ask of a-2/1": 2, "ask of a-1/2": 2, "ask of a-2/2": 1} {
		if asked[id] != want {
			t.Errorf("%s was sent %d times, want %d", id, asked[id], want)
		}
	}
}
