package textbook

import (
	"time"

	"github.com/IBM/sarama"
	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/services/commandapi"
)

// CommandRecord is the message that the API publishes for an order, to fill the topic with.
func CommandRecord(o commandapi.NewOrder) (kafka.Record, error) {
	c := &PlaceOrder{CommandID: uuid.NewString(), PlaceOrder: Command(o)}
	return record(CommandsTopic, c.OrderID, c)
}

// EventRecord is the message that is published when an order was placed.
func EventRecord(o commandapi.NewOrder, now time.Time) (kafka.Record, error) {
	e, _ := decide(&PlaceOrder{CommandID: uuid.NewString(), PlaceOrder: Command(o)}, now)
	return record(EventsTopic, e.OrderID, e)
}

// record makes a message as the buses do.
func record(topic, key string, v any) (kafka.Record, error) {
	m, err := marshaler.Marshal(v)
	if err != nil {
		return kafka.Record{}, err
	}
	m.Metadata.Set(partitionKey, key)
	p, err := keyed.Marshal(topic, m)
	if err != nil {
		return kafka.Record{}, err
	}
	r := kafka.Record{Topic: topic, Partition: kafka.AnyPartition, Key: []byte(key), Value: p.Value.(sarama.ByteEncoder)}
	for _, h := range p.Headers {
		r.Headers = append(r.Headers, kafka.Header{Key: string(h.Key), Value: h.Value})
	}
	return r, nil
}
