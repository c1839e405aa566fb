package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/IBM/sarama"
)

// Producer sends records in batches. It is safe for concurrent use.
type Producer interface {
	// Publish sends all records and returns when every in-sync replica has them; otherwise it
	// returns an error, and any of them may or may not have been written. Records of one key
	// are written in the order given. It rides out a broker's restart. Records on their way
	// are waited for although ctx has ended, for about twenty seconds at most.
	Publish(ctx context.Context, recs []Record) error

	// Close waits for what is on its way and disconnects.
	Close() error
}

// ErrFenced means that another producer with the same transactional id has taken over.
// The producer that returns it will never send again.
var ErrFenced = errors.New("kafka: another producer has taken over")

// ErrUnusable means that a transactional producer lost its way: how its last transaction
// ended is unknown to it. It will never send again; whoever still may send makes a new one.
var ErrUnusable = errors.New("kafka: producer can no longer be used")

// NewProducer returns an idempotent producer: retries inside Publish neither double nor
// reorder records. A later record of a partition may be written although an earlier one of
// the same Publish failed; where that matters, use NewOrderedProducer or
// NewTransactionalProducer. It connects at once, and fails if no broker answers.
func NewProducer(cfg Config) (Producer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	conf := cfg.producer()
	conf.Producer.Partitioner = newPartitioner
	p, err := sarama.NewSyncProducer(cfg.Brokers, conf)
	if err != nil {
		return nil, fmt.Errorf("kafka: connect producer: %w", err)
	}
	return &producer{sync: p}, nil
}

type producer struct {
	sync  sarama.SyncProducer
	close sync.Once
}

func (p *producer) Publish(ctx context.Context, recs []Record) error {
	if len(recs) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return sendError(p.sync.SendMessages(messages(recs)))
}

func (p *producer) Close() (err error) {
	p.close.Do(func() { err = p.sync.Close() })
	return err
}

// sendError makes an error of Sarama's list of errors, which only says how many there are.
func sendError(err error) error {
	if err == nil {
		return nil
	}
	var all sarama.ProducerErrors
	if errors.As(err, &all) && len(all) > 0 {
		return fmt.Errorf("kafka: send to %s (%d records failed, this is the first): %w", all[0].Msg.Topic, len(all), all[0].Err)
	}
	return fmt.Errorf("kafka: send: %w", err)
}

// messages turns records into Sarama's messages, in few allocations.
func messages(recs []Record) []*sarama.ProducerMessage {
	headers := 0
	for i := range recs {
		headers += len(recs[i].Headers)
	}
	room := make([]sarama.RecordHeader, headers)
	values := make([]sarama.ProducerMessage, len(recs))
	msgs := make([]*sarama.ProducerMessage, len(recs))
	for i := range recs {
		r := &recs[i]
		m := &values[i]
		m.Topic, m.Partition, m.Timestamp = r.Topic, r.Partition, r.Time
		if r.Key != nil {
			m.Key = sarama.ByteEncoder(r.Key)
		}
		if r.Value != nil {
			m.Value = sarama.ByteEncoder(r.Value)
		}
		m.Headers, room = room[:len(r.Headers):len(r.Headers)], room[len(r.Headers):]
		for j, h := range r.Headers {
			m.Headers[j] = sarama.RecordHeader{Key: headerBytes(h.Key), Value: h.Value}
		}
		msgs[i] = m
	}
	return msgs
}

// partitioner takes a record's own partition if it names one, and else the one of its key,
// as Sarama and kafka-go's Hash balancer have it.
type partitioner struct{ sarama.Partitioner }

func newPartitioner(topic string) sarama.Partitioner {
	return partitioner{sarama.NewHashPartitioner(topic)}
}

func (p partitioner) Partition(m *sarama.ProducerMessage, partitions int32) (int32, error) {
	if m.Partition >= 0 {
		return m.Partition, nil
	}
	return p.Partitioner.Partition(m, partitions)
}

// MessageRequiresConsistency says that a record may only go to the partition chosen.
func (p partitioner) MessageRequiresConsistency(m *sarama.ProducerMessage) bool {
	return m.Partition >= 0 || m.Key != nil
}
