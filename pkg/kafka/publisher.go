package kafka

import (
	"fmt"

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
