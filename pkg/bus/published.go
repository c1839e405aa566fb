package bus

import (
	"context"
	"fmt"
	"slices"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Published is what the topics of one log hold already: the last record of each partition.
// Records of a partition are in the order of their positions, so whatever is at or below
// the last one's is there. It implements relay.Resumed.
type Published struct {
	broker      Ends
	publication *Publication
	topics      []string
	partitions  map[string]int32 // by topic
	ends        map[kafka.Partition]end
}

// end is the last record of a partition; the zero end is that of one that holds none.
type end struct {
	Envelope
	held kafka.Range
}

// Ends tells what topics hold: kafka.Admin, or the memory broker where steps are driven by hand.
type Ends interface {
	// Offsets returns what each partition of a topic holds.
	Offsets(ctx context.Context, topic string) (map[int32]kafka.Range, error)
	// LastRecord returns the last committed record of a partition; ok is false if there is none.
	LastRecord(ctx context.Context, p kafka.Partition, held kafka.Range) (last kafka.Record, ok bool, err error)
	// ReadRange calls fn for each record at offsets from..to-1 that there is, in order.
	ReadRange(ctx context.Context, p kafka.Partition, from, to int64, fn func(kafka.Record) error) error
}

// ReadPublished reads the ends of topics that only the relay of a publication writes to.
func ReadPublished(ctx context.Context, broker Ends, publication *Publication, topics ...string) (*Published, error) {
	p := &Published{
		broker: broker, publication: publication, topics: topics,
		partitions: make(map[string]int32), ends: make(map[kafka.Partition]end),
	}
	for _, topic := range topics {
		ranges, err := broker.Offsets(ctx, topic)
		if err != nil {
			return nil, err
		}
		p.partitions[topic] = int32(len(ranges))
		for id, held := range ranges {
			part := kafka.Partition{Topic: topic, ID: id}
			p.ends[part] = end{held: held}
			if held.First == held.Last {
				continue
			}
			last, ok, err := broker.LastRecord(ctx, part, held)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			e, err := EnvelopeOf(&last)
			if err != nil {
				return nil, fmt.Errorf("bus: the last record of %s/%d is none of a relay's: %w", topic, id, err)
			}
			p.ends[part] = end{e, held}
		}
	}
	return p, nil
}

// Has reports whether a record that publishes an event is on its topic already.
func (p *Published) Has(r *kafka.Record, epoch string, position int64) bool {
	n := p.partitions[r.Topic]
	if n == 0 {
		return false
	}
	e, ok := p.ends[kafka.Partition{Topic: r.Topic, ID: kafka.PartitionOf(r.Key, n)}]
	return ok && e.Epoch == epoch && position <= e.Position
}

// Check returns an error that wraps es.ErrRestored if the topics hold what a log that ends at
// head does not: then its database was restored to an earlier point, and no new epoch was begun.
func (p *Published) Check(ctx context.Context, head es.Head) error {
	for _, part := range p.all() {
		e := p.ends[part]
		switch {
		case e.Type == "" || es.Generation(e.Epoch) < es.Generation(head.Epoch):
			continue // nothing there, or of a life before this one, whose future may be lost
		case e.Epoch != head.Epoch:
			return fmt.Errorf("%w: %s/%d holds %s of epoch %s, and the log, which ends at position %d, runs under epoch %s",
				es.ErrRestored, part.Topic, part.ID, e.ID, e.Epoch, head.Position, head.Epoch)
		case e.Type == TypeEpochBegan:
			continue
		}
		same, err := p.inLog(ctx, &e.Envelope, head)
		if err != nil {
			return err
		}
		if !same {
			return fmt.Errorf("%w: %s/%d holds %s at position %d of epoch %s, which is not in the log, which ends at position %d",
				es.ErrRestored, part.Topic, part.ID, e.ID, e.Position, e.Epoch, head.Position)
		}
	}
	return nil
}

// all are the partitions of the topics, in order.
func (p *Published) all() []kafka.Partition {
	var all []kafka.Partition
	for _, topic := range p.topics {
		for id := range p.partitions[topic] {
			all = append(all, kafka.Partition{Topic: topic, ID: id})
		}
	}
	return slices.Compact(all)
}

// inLog says whether a log that ends at head holds the event that a record was made of. Its time
// tells it from one that took its place after a restore, also if that is of the same command.
func (p *Published) inLog(ctx context.Context, e *Envelope, head es.Head) (bool, error) {
	if e.Position < 1 || e.Position > head.Position {
		return false, nil
	}
	held, err := p.publication.Log.Read(ctx, e.Position-1, 1)
	if err != nil {
		return false, fmt.Errorf("bus: compare %s with the log: %w", e.ID, err)
	}
	return len(held) == 1 && held[0].ID() == e.ID && held[0].Time.Equal(e.Time), nil
}
