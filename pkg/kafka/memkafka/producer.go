package memkafka

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// Producer returns a producer like kafka.NewProducer's and kafka.NewOrderedProducer's.
func (b *Broker) Producer() kafka.Producer { return &producer{broker: b} }

// Transactional returns a producer like kafka.NewTransactionalProducer's: it writes all or
// nothing, and fences the one made before it with the same id.
func (b *Broker) Transactional(id string) kafka.Producer {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.epochs[id]++
	return &producer{broker: b, id: id, epoch: b.epochs[id]}
}

type producer struct {
	broker *Broker
	id     string // "" is not transactional
	epoch  int
	closed bool
}

func (p *producer) Publish(ctx context.Context, recs []kafka.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.broker.mu.Lock()
	defer p.broker.mu.Unlock()
	switch {
	case p.closed:
		return errClosed
	case p.id != "" && p.broker.epochs[p.id] != p.epoch:
		return kafka.ErrFenced
	case len(recs) == 0:
		return nil
	}
	return p.broker.publish(recs, p.id != "")
}

func (p *producer) Close() error {
	p.broker.mu.Lock()
	defer p.broker.mu.Unlock()
	p.closed = true
	return nil
}

// Publisher returns a Watermill publisher that writes messages as kafka.NewPublisher's does, with
// headers in the order of their names.
func (b *Broker) Publisher() message.Publisher { return &publisher{b.Producer()} }

type publisher struct{ producer kafka.Producer }

// headerID holds a message's UUID.
const headerID = "ce_id"

func (p *publisher) Publish(topic string, msgs ...*message.Message) error {
	for _, m := range msgs {
		r := kafka.Record{
			Topic: topic, Partition: kafka.AnyPartition, Value: m.Payload,
			Headers: []kafka.Header{{Key: headerID, Value: []byte(m.UUID)}},
		}
		for name, value := range m.Metadata {
			switch name {
			case kafka.MetadataKey:
				r.Key = []byte(value)
			case headerID: // is the UUID
			default:
				r.Headers = append(r.Headers, kafka.Header{Key: name, Value: []byte(value)})
			}
		}
		slices.SortFunc(r.Headers, func(a, b kafka.Header) int { return cmp.Compare(a.Key, b.Key) })
		if err := p.producer.Publish(m.Context(), []kafka.Record{r}); err != nil {
			return fmt.Errorf("memkafka: publish to %s: %w", topic, err)
		}
	}
	return nil
}

func (p *publisher) Close() error { return p.producer.Close() }
