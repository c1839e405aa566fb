package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/bench/textbook"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/embedded"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/services/commandapi"
)

// fillBatch is how many messages are sent at once.
const fillBatch = 2000

// fill publishes n messages while the system does not run.
func (s *system) fill(ctx context.Context, n int, make func(i int) (kafka.Record, error)) error {
	topics := orderTopics(s.partitions)
	if s.kind == theirs {
		topics = textbook.Topics(s.partitions)
	}
	i := -1
	return s.publish(ctx, topics, func() (kafka.Record, bool, error) {
		if i++; i == n {
			return kafka.Record{}, false, nil
		}
		r, err := make(i)
		return r, true, err
	})
}

// publish makes topics and publishes messages, up to the last, while the system does not run.
func (s *system) publish(ctx context.Context, topics []kafka.TopicSpec, next func() (r kafka.Record, more bool, err error)) (err error) {
	brokers := s.bench.kafka
	if len(brokers) > 0 {
		if err := ensureTopics(ctx, brokers, topics...); err != nil {
			return err
		}
	} else {
		broker, err := embedded.Start(ctx, embedded.Options{Dir: filepath.Join(s.dir, "broker"), Topics: topics})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, broker.Close()) }()
		brokers = []string{broker.Addr()}
	}
	producer, err := kafka.NewProducer(kafka.Config{Brokers: brokers})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, producer.Close()) }()
	for batch, more := []kafka.Record(nil), true; more; {
		var r kafka.Record
		if r, more, err = next(); err != nil {
			return err
		}
		if more {
			batch = append(batch, r)
		}
		if len(batch) == fillBatch || !more && len(batch) > 0 {
			if err := producer.Publish(ctx, batch); err != nil {
				return fmt.Errorf("fill %s: %w", batch[0].Topic, err)
			}
			batch = batch[:0]
		}
	}
	return nil
}

// skus are the products of the sample catalogue.
var skus = []string{"TEA-001", "TEA-002", "POT-001", "CUP-001", "BOOK-01"}

// newOrder is the i-th order, the same as package load places.
func newOrder(i int) commandapi.NewOrder {
	return commandapi.NewOrder{
		CustomerID: fmt.Sprintf("c-%05d", i%10_000), Email: "ada@example.com", Currency: "EUR",
		Lines:    []ordering.Wanted{{SKU: skus[i%len(skus)], Quantity: 2}},
		ShipTo:   ordering.Address{Name: "Ada Lovelace", Street: "12 St James Square", PostalCode: "SW1Y 4JH", City: "London", Country: "GB"},
		Delivery: "standard", Payment: &ordering.Payment{Method: "sandbox_approve"},
	}
}

// ourCommand is the message that commandapi publishes for an order.
func ourCommand(i int) (kafka.Record, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return kafka.Record{}, err
	}
	c := textbook.Command(newOrder(i))
	c.OrderID = bus.DeriveID("order", id.String()).String()
	data, err := bus.Encode(&c)
	if err != nil {
		return kafka.Record{}, err
	}
	e := bus.Envelope{
		ID: id.String(), Type: c.MessageType(), Source: bus.Source("commandapi"), Subject: orderStreams + c.OrderID,
		Time: time.Now(), Correlation: id.String(), Caller: bus.Caller{ID: "local", Role: bus.RoleStaff},
	}
	return e.Record(bus.CommandsTopic(ordering.Service), []byte(e.Subject), data), nil
}

// epoch is that of the log whose events are on the topic.
const epoch = "bench"

// ourEvent is the message that the relay publishes for the i-th order placed.
func ourEvent(i int) (kafka.Record, error) {
	o := newOrder(i)
	id := uuid.NewString()
	command := uuid.NewString()
	data, err := bus.Encode(&ordering.OrderPlaced{
		OrderID: id, Version: 1, Number: "4F7K-9QXM", CustomerID: o.CustomerID, Status: ordering.StatusPlaced,
		PaymentStatus: ordering.PaymentPending, Currency: o.Currency, PlacedAt: time.Now().UTC(), Country: o.ShipTo.Country,
		Delivery: o.Delivery, PaymentMethod: o.Payment.Method,
		Lines:  []ordering.Line{{Line: 1, SKU: o.Lines[0].SKU, Name: "Assam tea, 250 g", Quantity: 2, UnitPrice: 1299, Tax: 433, Total: 2598}},
		Totals: ordering.Totals{Lines: 2598, Delivery: 400, Tax: 500, Total: 2998},
	})
	if err != nil {
		return kafka.Record{}, err
	}
	e := bus.Envelope{
		ID: fmt.Sprintf("%s%s/1", orderStreams, id), Type: ordering.TypeOrderPlaced, Source: bus.Source(ordering.Service),
		Subject: orderStreams + id, Time: time.Now(), Correlation: command, Causation: command, Caller: bus.Caller{ID: "local"},
		StreamVersion: 1, Position: int64(i + 1), Epoch: epoch,
	}
	return e.Record(bus.EventsTopic(ordering.Service), []byte(e.Subject), data), nil
}
