package live

import (
	"errors"
	"testing"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// A topic loses its end, as in an unclean election of a leader, and has grown past the client's place
// with other events before the client is back.
func TestAClientOfATopicThatLostItsEndReadsAnew(t *testing.T) {
	for name, o := range map[string]Options{"one that keeps up": {}, "one that does not": {Buffer: 1}} {
		t.Run(name, func(t *testing.T) {
			fill := func(w *world, n int) {
				for range n {
					w.publish(own, "a")
				}
			}
			before := &world{t: t, broker: newBroker(), place: make(map[int]kafka.Record), log: make(map[kafka.Partition][]kafka.Record)}
			fill(before, 40)
			i := newInstance(t, before.broker, o)
			i.deliver(t, -1)
			c := &client{world: before, key: "a"}
			c.connect(i)
			fill(before, 2)
			i.deliver(t, -1)

			after := &world{t: t, broker: newBroker(), place: make(map[int]kafka.Record), log: make(map[kafka.Partition][]kafka.Record)}
			fill(after, 30) // what is left of it
			i.consumer.Revoke()
			i.hub.o.Source, i.consumer, i.broker = memory{after.broker}, after.broker.Consumer(i.hub.tail), after.broker
			i.assign(t)
			fill(after, 15)
			i.deliver(t, -1)
			c.step(-1)
			if c.stream != nil {
				t.Fatal("its stream goes on")
			}
			fill(after, 20)
			i.deliver(t, -1)
			if s, err := i.hub.Resume(t.Context(), scopeOf("a"), c.id); !errors.Is(err, ErrTooOld) {
				t.Errorf("%v %v", s, err)
			}
		})
	}
}

func TestAFreshStreamBeginsWhereATopicDoesIfTheViewStandsBeforeOrBehindIt(t *testing.T) {
	for name, at := range map[string]int64{"a view that has never seen a partition": 0, "one before a transaction's marker": 2, "one of a topic that lost its end": 5} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, Options{MaxReplay: 1})
			s.publish("a 1", "a 2", "a 3")
			view := make(map[kafka.Partition]int64)
			for _, p := range s.broker.Partitions(own) {
				view[p] = at
				if err := s.broker.DeleteRecords(t.Context(), p, -1); err != nil {
					t.Fatal(err)
				}
			}
			fresh, err := s.From(t.Context(), scopeOf("a"), view)
			if err != nil {
				t.Fatal(err)
			}
			var ready string
			if err := fresh.begin(&Event{Name: "ready"}, func(b []byte) error { ready = string(b); return nil }); err != nil {
				t.Fatal(err)
			}
			fresh.Close() // it is lost at once
			again, err := s.Resume(t.Context(), scopeOf("a"), frames(ready)[0].id)
			if err != nil {
				t.Fatal(err)
			}
			l := s.follows(again, nil)
			s.publish("a 4")
			eventually(t, "what comes is told", func() bool { return l.told() == "4" })
		})
	}
}
