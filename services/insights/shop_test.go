package insights

import (
	"context"
	"errors"
	"time"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

// shop is a broker in memory and two instances of the view on one store, which share the partitions.
type shop struct {
	broker    *memkafka.Broker
	parts     []kafka.Partition
	instances []*instance
	reader    *service.Reader
	keys      []string
}

type instance struct {
	*projection.Projection
	consumer *memkafka.Consumer
	owned    []kafka.Partition
}

func newShop(t *rapid.T, store projection.Store) *shop {
	s := &shop{}
	var topics []kafka.TopicSpec
	var names []string
	for _, source := range newView().Sources() {
		topics, names = append(topics, kafka.TopicSpec{Name: source.Topic, Partitions: 2}), append(names, source.Topic)
	}
	s.broker = memkafka.New(servicetest.Clock, topics...)
	s.parts = s.broker.Partitions(names...)
	for range 2 {
		p, err := projection.New(context.Background(), projection.Options{
			View: newView(), Store: store, Clock: func() time.Time { return base }, Replay: s.broker.ReadRange,
			Step: rapid.IntRange(1, 30).Draw(t, "step"),
		})
		if err != nil {
			t.Fatal(err)
		}
		s.instances = append(s.instances, &instance{Projection: p, consumer: s.broker.Consumer(p)})
	}
	s.reader = &service.Reader{Store: store, Answers: s.instances[0].Answers}
	s.assign(t)
	return s
}

// assign shares the partitions out.
func (s *shop) assign(t *rapid.T) {
	for _, in := range s.instances {
		in.consumer.Revoke()
		in.owned = nil
	}
	for _, p := range s.parts {
		in := rapid.SampledFrom(s.instances).Draw(t, "owner")
		in.owned = append(in.owned, p)
	}
	for _, in := range s.instances {
		if err := in.consumer.Assign(context.Background(), in.owned...); err != nil {
			t.Fatal(err)
		}
	}
}

// publish publishes the events of all streams, and some of them once more.
func (s *shop) publish(t *rapid.T, m *model) {
	var all []kafka.Record
	for {
		var left []int
		for i, events := range m.streams {
			if len(events) > 0 {
				left = append(left, i)
			}
		}
		if len(left) == 0 {
			break
		}
		i := rapid.SampledFrom(left).Draw(t, "stream")
		r := m.streams[i][0]()
		m.streams[i] = m.streams[i][1:]
		all = append(all, r)
		s.keys = append(s.keys, string(r.Key))
		if rapid.IntRange(0, 9).Draw(t, "repeats") == 0 { // what a relay does that comes back
			all = append(all, all[len(all)-min(len(all), 3):]...)
		}
	}
	if err := s.broker.Producer().Publish(context.Background(), all); err != nil {
		t.Fatal(err)
	}
}

// fold has all that is published folded, in pieces, while partitions change hands and keys are repaired.
func (s *shop) fold(t *rapid.T) {
	for {
		var waiting []turn
		for _, in := range s.instances {
			for _, p := range in.owned {
				if in.consumer.Waiting(p) > 0 {
					waiting = append(waiting, turn{in, p})
				}
			}
		}
		if len(waiting) == 0 {
			return
		}
		next := rapid.SampledFrom(waiting).Draw(t, "next")
		if _, err := next.consumer.Step(next.Partition, rapid.IntRange(1, 30).Draw(t, "records")); err != nil {
			t.Fatal(err)
		}
		for stepped := 1; stepped > 0; {
			n, err := next.Step(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			stepped = n.Records
		}
		switch rapid.IntRange(0, 9).Draw(t, "then") {
		case 0:
			s.assign(t)
		case 1:
			err := next.Repair(context.Background(), rapid.SampledFrom(s.keys).Draw(t, "repaired"))
			if err != nil && !errors.Is(err, projection.ErrNotOwner) {
				t.Fatal(err)
			}
		}
	}
}

// turn is an instance and a partition of its that has records.
type turn struct {
	*instance
	kafka.Partition
}
