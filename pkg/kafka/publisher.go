package kafka

import (
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	wmkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
)

// MetadataKey names the metadata of a Watermill message that becomes the Kafka record's key,
// and decides its partition. It is not sent as a header.
const MetadataKey = "partition_key"

// NewPublisher returns watermill-kafka's publisher, idempotent and waiting for all in-sync
// replicas: Publish returns when the message is on Kafka. A message's metadata become headers,
// its UUID becomes ce_id. It is safe for concurrent use, and concurrent calls share requests;
// several messages in one call are sent one after the other. It connects at once, and fails if
// no broker answers.
func NewPublisher(cfg Config) (message.Publisher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p, err := wmkafka.NewPublisher(wmkafka.PublisherConfig{
		Brokers:               cfg.Brokers,
		Marshaler:             marshaler{},
		OverwriteSaramaConfig: cfg.producer(),
	}, watermill.NopLogger{})
	if err != nil {
		return nil, fmt.Errorf("kafka: connect publisher: %w", err)
	}
	return p, nil
}

// gatherPause is how far apart the requests of a gathering publisher begin at the least. It
// makes batches where a few thousand messages a second come one by one: every stage behind the
// topic then works on some at a time, which costs less than it delays.
const gatherPause = 2 * time.Millisecond

// NewGatheringPublisher returns a publisher that writes what NewPublisher's does, for much less:
// messages of concurrent calls go out together, for all partitions in one request, gatherPause
// after the last request or later. It is for a broker that leads all partitions, since none of
// them goes on while one can't be written. The clock says when messages are produced.
func NewGatheringPublisher(cfg Config, clock func() time.Time) (message.Publisher, error) {
	p, err := newProducer(cfg, gatherPause)
	if err != nil {
		return nil, err
	}
	return &gathering{producer: p, clock: clock}, nil
}

type gathering struct {
	producer *producer
	clock    func() time.Time
}

// Publish implements Watermill's publisher.
func (g *gathering) Publish(topic string, msgs ...*message.Message) error {
	if len(msgs) == 0 {
		return nil
	}
	recs := make([]Record, len(msgs))
	now := g.clock()
	for i, m := range msgs {
		recs[i] = recordOf(topic, m, now)
	}
	return g.producer.Publish(msgs[0].Context(), recs)
}

// Close waits for what is on its way and disconnects.
func (g *gathering) Close() error { return g.producer.Close() }

// recordOf is the record of a message, with all its header values in one allocation.
func recordOf(topic string, m *message.Message, now time.Time) Record {
	r := Record{Topic: topic, Partition: AnyPartition, Value: m.Payload, Time: now}
	size := len(m.UUID)
	for _, value := range m.Metadata {
		size += len(value)
	}
	values := make([]byte, 0, size)
	keep := func(value string) []byte {
		from := len(values)
		values = append(values, value...)
		return values[from:len(values):len(values)]
	}
	r.Headers = append(make([]Header, 0, len(m.Metadata)+1), Header{Key: headerID, Value: keep(m.UUID)})
	for name, value := range m.Metadata {
		switch name {
		case MetadataKey:
			r.Key = keep(value)
		case headerID: // is the UUID
		default:
			r.Headers = append(r.Headers, Header{Key: name, Value: keep(value)})
		}
	}
	return r
}

// marshaler writes messages as CloudEvents in Kafka's binary mode; bus fills the metadata.
type marshaler struct{}

// Marshal implements watermill-kafka's Marshaler.
func (marshaler) Marshal(topic string, msg *message.Message) (*sarama.ProducerMessage, error) {
	m := &sarama.ProducerMessage{
		Topic:   topic,
		Value:   sarama.ByteEncoder(msg.Payload),
		Headers: make([]sarama.RecordHeader, 1, len(msg.Metadata)+1),
	}
	m.Headers[0] = sarama.RecordHeader{Key: headerBytes(headerID), Value: []byte(msg.UUID)}
	for name, value := range msg.Metadata {
		switch name {
		case MetadataKey:
			m.Key = sarama.StringEncoder(value)
		case headerID: // is the UUID
		default:
			m.Headers = append(m.Headers, sarama.RecordHeader{Key: headerBytes(name), Value: []byte(value)})
		}
	}
	return m, nil
}
