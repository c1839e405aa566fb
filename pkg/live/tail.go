package live

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// tail is one time of following the topics, from the first stream to a while after the last one.
// It is the kafka.BatchHandler of all their partitions. All but the channel is under the hub's lock, and
// what is laid out once does not change any more.
type tail struct {
	hub      *Hub
	standing chan struct{} // closed once the partitions are laid out
	used     bool          // since it was looked at last
	late     bool          // somebody has waited in vain for it to stand: nobody else does

	parts  []kafka.Partition // in the order of event ids
	index  map[kafka.Partition]int
	layout string

	next  []int64 // of each partition: all before it has been handed to streams
	ends  []int64 // how far the partition went when it was begun with
	rings []ring

	keyed map[string][]*Stream
	whole []*Stream // those of everything
	open  int
}

func newTail(h *Hub) *tail {
	return &tail{hub: h, standing: make(chan struct{}), keyed: make(map[string][]*Stream)}
}

func (t *tail) streams() int { return t.open }

// Assigned implements kafka.BatchHandler. The first time it begins a little before the ends, so that
// clients who come from another instance find in memory what they have missed.
func (t *tail) Assigned(ctx context.Context, _ kafka.Generation, parts []kafka.Partition) (map[kafka.Partition]int64, error) {
	held, err := t.hub.held(ctx, t.hub.o.Topics...)
	if err != nil {
		return nil, err
	}
	t.hub.mu.Lock()
	defer t.hub.mu.Unlock()
	if t.parts == nil {
		t.layOut(parts, held)
		close(t.standing)
	} else {
		t.mend(held)
	}
	from := make(map[kafka.Partition]int64, len(parts))
	for _, p := range parts {
		i, ok := t.index[p]
		if !ok {
			return nil, fmt.Errorf("live: %s/%d was not there before", p.Topic, p.ID)
		}
		from[p] = t.next[i]
	}
	return from, nil
}

// held returns what the partitions of topics hold.
func (h *Hub) held(ctx context.Context, topics ...string) (map[kafka.Partition]kafka.Range, error) {
	held := make(map[kafka.Partition]kafka.Range)
	for _, topic := range topics {
		ranges, err := h.o.Source.Offsets(ctx, topic)
		if err != nil {
			return nil, err
		}
		for id, r := range ranges {
			held[kafka.Partition{Topic: topic, ID: id}] = r
		}
	}
	return held, nil
}

// layOut puts the partitions in their order: that of the topics, and of their numbers.
func (t *tail) layOut(parts []kafka.Partition, held map[kafka.Partition]kafka.Range) {
	topics := t.hub.o.Topics
	t.parts = slices.Clone(parts)
	slices.SortFunc(t.parts, func(a, b kafka.Partition) int {
		if a.Topic != b.Topic {
			return slices.Index(topics, a.Topic) - slices.Index(topics, b.Topic)
		}
		return int(a.ID - b.ID)
	})
	t.index = make(map[kafka.Partition]int, len(parts))
	t.next, t.ends = make([]int64, len(parts)), make([]int64, len(parts))
	t.rings = make([]ring, len(parts))
	limit := max(1, t.hub.o.Ring/len(parts))
	var layout strings.Builder
	for i, p := range t.parts {
		r := held[p]
		t.index[p] = i
		t.next[i], t.ends[i] = max(r.First, r.Last-int64(limit)), r.Last
		t.rings[i] = ring{limit: limit, from: t.next[i]}
		fmt.Fprintf(&layout, "%s/%d ", p.Topic, p.ID)
	}
	t.layout = layout.String()
}

// mend looks, after the topics could not be followed for a time, whether they are the same still. Where
// records are gone before they were read, a topic has lost its end or was made anew, streams end with an
// id that cannot be resumed. Where they stand would not do: a topic may have grown past it when they are back.
func (t *tail) mend(held map[kafka.Partition]kafka.Range) {
	for i, p := range t.parts {
		r := held[p]
		if r.First <= t.next[i] && t.next[i] <= r.Last {
			continue
		}
		t.hub.o.Log.Warn("records are gone before they were read", "topic", p.Topic, "partition", p.ID, "at", t.next[i], "first", r.First, "end", r.Last)
		at := min(max(t.next[i], r.First), r.Last)
		t.next[i], t.ends[i] = at, r.Last
		t.rings[i].clear(at)
		for _, s := range t.of(i) {
			s.abandon(i)
		}
	}
}

// of returns the streams that depend on a partition.
func (t *tail) of(part int) (streams []*Stream) {
	streams = slices.Clone(t.whole)
	for _, keyed := range t.keyed {
		for _, s := range keyed {
			if s.place(part) >= 0 {
				streams = append(streams, s)
			}
		}
	}
	return streams
}

// Deliver implements kafka.BatchHandler: it hands the events of one partition to their streams. It
// waits for nobody.
func (t *tail) Deliver(_ context.Context, recs []kafka.Record) error {
	if len(recs) == 0 {
		return nil
	}
	items := make([]item, 0, len(recs))
	for i := range recs {
		if e, ok := t.hub.o.Decode(&recs[i]); ok {
			items = append(items, item{offset: recs[i].Offset, event: &e})
		}
	}
	t.hub.mu.Lock()
	defer t.hub.mu.Unlock()
	part := t.index[kafka.Partition{Topic: recs[0].Topic, ID: recs[0].Partition}]
	for _, it := range items {
		if it.offset < t.next[part] {
			continue // a topic that was made anew is read from where it was found to end
		}
		t.rings[part].add(it)
		t.dispatch(part, it)
	}
	t.next[part] = max(t.next[part], recs[len(recs)-1].Offset+1)
	return nil
}

func (t *tail) dispatch(part int, it item) {
	if it.event.TakenBack {
		for _, s := range t.of(part) {
			s.push(part, it.offset, it.event)
		}
		return
	}
	for _, s := range t.whole {
		s.push(part, it.offset, it.event)
	}
	for _, s := range t.keyed[it.event.Key] {
		s.push(part, it.offset, it.event)
	}
}

// Revoked implements kafka.BatchHandler. What was read stays: it goes on from there.
func (t *tail) Revoked([]kafka.Partition) {}

// add has a stream get what happens from now on.
func (t *tail) add(s *Stream) {
	if s.scope.Key == "" {
		t.whole = append(t.whole, s)
	} else {
		t.keyed[s.scope.Key] = append(t.keyed[s.scope.Key], s)
	}
	t.open++
}

// remove has it get nothing more.
func (t *tail) remove(s *Stream) {
	is := func(o *Stream) bool { return o == s }
	t.open--
	if s.scope.Key == "" {
		t.whole = slices.DeleteFunc(t.whole, is)
		return
	}
	left := slices.DeleteFunc(t.keyed[s.scope.Key], is)
	if len(left) == 0 {
		delete(t.keyed, s.scope.Key)
		return
	}
	t.keyed[s.scope.Key] = left
}
