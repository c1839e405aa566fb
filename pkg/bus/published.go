package bus

import (
	"context"
	"fmt"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// Published is what the topics of one log hold already: the log position of the last
// record of each partition. Records of a partition are in the order of their positions,
// so whatever is at or below it is there.
type Published struct {
	partitions map[string]int32 // by topic
	ends       map[kafka.Partition]end
}

type end struct {
	epoch    string
	position int64
}

// Ends tells where topics end: kafka.Admin, or the memory broker where steps are driven by hand.
type Ends interface {
	// Offsets returns what each partition of a topic holds.
	Offsets(ctx context.Context, topic string) (map[int32]kafka.Range, error)
	// LastRecord returns the last committed record of a partition; ok is false if there is none.
	LastRecord(ctx context.Context, p kafka.Partition, held kafka.Range) (last kafka.Record, ok bool, err error)
}

// ReadPublished reads the ends of topics that only one relay writes to.
func ReadPublished(ctx context.Context, broker Ends, topics ...string) (*Published, error) {
	p := &Published{partitions: make(map[string]int32), ends: make(map[kafka.Partition]end)}
	for _, topic := range topics {
		ranges, err := broker.Offsets(ctx, topic)
		if err != nil {
			return nil, err
		}
		p.partitions[topic] = int32(len(ranges))
		for id, held := range ranges {
			part := kafka.Partition{Topic: topic, ID: id}
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
			p.ends[part] = end{e.Epoch, e.Position}
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
	return ok && e.epoch == epoch && position <= e.position
}
