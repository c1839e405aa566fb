package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/orderlane/orderlane/pkg/embedded"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
)

// onEachBroker runs a test on the memory broker and over the wire on the embedded one.
func onEachBroker(t *testing.T, topics []kafka.TopicSpec, run func(*testing.T, Ends, kafka.Producer)) {
	t.Run("memory", func(t *testing.T) {
		b := memkafka.New(clock, topics...)
		run(t, b, b.Producer())
	})
	t.Run("embedded", func(t *testing.T) {
		b, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), Topics: topics, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		config := kafka.Config{Brokers: []string{b.Addr()}, ClientID: "test"}
		admin, err := kafka.NewAdmin(config)
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		producer, err := kafka.NewOrderedProducer(config)
		if err != nil {
			t.Fatal(err)
		}
		defer producer.Close()
		run(t, admin, producer)
	})
}

func TestWhatIsPublishedIsKnownByThePartitionsEnds(t *testing.T) {
	const partitions = 3
	topics := []kafka.TopicSpec{{Name: "test.events.v1", Partitions: partitions}, {Name: "test.personal.v1", Partitions: partitions}}
	onEachBroker(t, topics, func(t *testing.T, broker Ends, producer kafka.Producer) {
		event := func(topic, epoch string, position int64) kafka.Record {
			e := Envelope{ID: "x", Type: "orderlane.test.added.v1", Time: noon, StreamVersion: 1, Position: position, Epoch: epoch}
			key := fmt.Sprint("counter-", position%5)
			return e.Record(topic, []byte(key), []byte("{}"))
		}
		// Positions 1 to 20 were published, then the relay died in the midst of 21 to 30: of
		// them, partition 1 has the first ones only, and partition 2 none.
		on := func(r kafka.Record) int32 { return kafka.PartitionOf(r.Key, partitions) }
		var sent []kafka.Record
		has := map[int64]bool{}
		for position := int64(1); position <= 30; position++ {
			r := event("test.events.v1", "e1", position)
			if position <= 20 || on(r) == 0 || on(r) == 1 && position <= 25 {
				sent, has[position] = append(sent, r), true
			}
		}
		if err := producer.Publish(t.Context(), sent); err != nil {
			t.Fatal(err)
		}
		p, err := ReadPublished(t.Context(), broker, &Publication{Service: "test"}, "test.events.v1", "test.personal.v1")
		if err != nil {
			t.Fatal(err)
		}
		missing := 0
		for position := int64(1); position <= 31; position++ {
			r := event("test.events.v1", "e1", position)
			if got := p.Has(&r, "e1", position); got != has[position] {
				t.Errorf("position %d in partition %d: %v", position, on(r), got)
			} else if !got {
				missing++
			}
			if p.Has(&r, "e2", position) {
				t.Errorf("position %d of another life of the log counts as published", position)
			}
			personal := event("test.personal.v1", "e1", position)
			other := event("elsewhere", "e1", position)
			if p.Has(&personal, "e1", position) || p.Has(&other, "e1", position) {
				t.Errorf("position %d is on a topic that is empty or was not read", position)
			}
		}
		if missing < 3 {
			t.Fatalf("the keys leave %d positions out: the test tests nothing", missing)
		}
	})
}

func TestATopicWhoseEndIsNoEventIsAnError(t *testing.T) {
	broker := memkafka.New(clock, kafka.TopicSpec{Name: "test.events.v1", Partitions: 1})
	r := kafka.Record{Topic: "test.events.v1", Headers: []kafka.Header{{Key: HeaderPosition, Value: []byte("somewhere")}}}
	if err := broker.Producer().Publish(t.Context(), []kafka.Record{r}); err != nil {
		t.Fatal(err)
	}
	if p, err := ReadPublished(t.Context(), broker, &Publication{Service: "test"}, "test.events.v1"); err == nil {
		t.Errorf("got %+v", p)
	}
	if p, err := ReadPublished(t.Context(), broker, &Publication{Service: "test"}, "nowhere"); err == nil {
		t.Errorf("got %+v", p)
	}
	gone := errors.New("gone")
	if _, err := ReadPublished(t.Context(), away{broker, gone}, &Publication{Service: "test"}, "test.events.v1"); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

// away is a broker that can say what it has, and goes away before it is read.
type away struct {
	*memkafka.Broker
	err error
}

func (a away) LastRecord(context.Context, kafka.Partition, kafka.Range) (kafka.Record, bool, error) {
	return kafka.Record{}, false, a.err
}
