package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Of a flash sale.
const (
	flashCallers = 10_000
	flashStock   = 6_000 // units; the callers want 1 to 3 each, and so more than three times as much
	flashSales   = 7     // one after the other, each of a product of its own
)

// measureFlash is how many reservations of one product per second are decided when all callers
// come at once: from the first command that is sent until all outcomes are on the topic.
func measureFlash(ctx context.Context, b *bench) (err error) {
	b.say("flash: %d sales of %s callers", flashSales, thousands(flashCallers))
	s, err := b.newSystem(ctx, ours, 8)
	if err != nil {
		return err
	}
	s.services = []string{inventory.Service}
	if err := s.launch(ctx); err != nil {
		return err
	}
	if err := s.proc.Until(ctx, startWithin, 10*time.Millisecond, func() error { return ready("http://" + s.operator + "/readyz") }); err != nil {
		return err
	}
	producer, err := kafka.NewProducer(kafka.Config{Brokers: s.brokers})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, producer.Close()) }()
	events := make(chan []kafka.Record, 1024)
	reading, end := context.WithCancel(ctx)
	read := make(chan error, 1)
	go func() {
		group := kafka.GroupConfig{Config: kafka.Config{Brokers: s.brokers}, Topics: []string{bus.EventsTopic(inventory.Service)}}
		read <- kafka.ConsumeAll(reading, group, newReader(func(ctx context.Context, recs []kafka.Record) error {
			select {
			case events <- recs:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}))
	}()
	rates, err := s.sales(ctx, producer, events)
	end()
	if err = errors.Join(err, <-read); err != nil {
		return errors.Join(err, s.proc.Alive())
	}
	median := rates[len(rates)/2]
	b.report.add(row{
		measure: fmt.Sprintf("flash sale: %s reservations of one product, to outcome", thousands(flashCallers)), goal: ">= 10,000/s",
		measured: fmt.Sprintf("%s (%s..%s)", perSecond(median), thousands(rates[0]), thousands(rates[len(rates)-1])), met: median >= 10_000,
	})
	return errors.Join(s.proc.Stop(), s.end())
}

// sales holds the sales, after one in which everything is done for the first time. It returns how many
// reservations per second were decided in each, sorted.
func (s *system) sales(ctx context.Context, producer kafka.Producer, events <-chan []kafka.Record) (rates []float64, err error) {
	for i := range 1 + flashSales {
		perSec, err := s.sell(ctx, fmt.Sprintf("FLASH-%d", i), producer, events)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			s.bench.say("  %s", perSecond(perSec))
			rates = append(rates, perSec)
		}
	}
	slices.Sort(rates)
	return rates, nil
}

// sell holds one sale, and returns how many reservations per second were decided in it.
func (s *system) sell(ctx context.Context, sku string, producer kafka.Producer, events <-chan []kafka.Record) (float64, error) {
	commands, err := saleOf(sku)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := producer.Publish(ctx, commands); err != nil {
		return 0, err
	}
	timeout := time.NewTimer(startWithin)
	defer timeout.Stop()
	var all []kafka.Record
	for len(all) < len(commands) {
		select {
		case recs := <-events:
			all = append(all, recs...)
		case <-timeout.C:
			return 0, fmt.Errorf("a sale of %d callers has only %d outcomes after %v", flashCallers, len(all)-1, startWithin)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	took := time.Since(began)
	return rate(flashCallers, took), checkSale(sku, all)
}

// saleOf returns the commands of a sale: goods come in, and all callers want some.
func saleOf(sku string) ([]kafka.Record, error) {
	commands := make([]kafka.Record, 0, flashCallers+1)
	add := func(c bus.Typed) error {
		data, err := bus.Encode(c)
		id, idErr := uuid.NewV7()
		if err := errors.Join(err, idErr); err != nil {
			return err
		}
		reply := bus.NoReply // as the services ask one another
		e := bus.Envelope{
			ID: id.String(), Type: c.MessageType(), Source: bus.Source("fulfilment"), Subject: inventory.Category + "-" + sku,
			Time: time.Now(), Correlation: id.String(), Caller: bus.Caller{ID: "fulfilment", Role: bus.RoleService}, ReplyTo: &reply,
		}
		commands = append(commands, e.Record(bus.CommandsTopic(inventory.Service), []byte(e.Subject), data))
		return nil
	}
	err := add(&inventory.ReceiveStock{SKU: sku, Location: "main", Quantity: flashStock})
	for i := range flashCallers {
		line := inventory.Line{OrderID: uuid.NewString(), Line: 1}
		err = errors.Join(err, add(&inventory.ReserveStock{SKU: sku, Line: line, Quantity: int64(1 + i%3)}))
	}
	return commands, err
}

// checkSale holds that exactly what there was is reserved, at no time more, and that everybody
// else was refused.
func checkSale(sku string, events []kafka.Record) error {
	var reserved int64
	decided := make(map[string]bool)
	for i := range events {
		var e struct { // what the events have in common
			inventory.Line
			Quantity int64            `json:"quantity"`
			Reason   string           `json:"reason"`
			Levels   inventory.Levels `json:"levels"`
		}
		r := &events[i]
		if err := bus.Decode(r.Value, &e); err != nil {
			return err
		}
		for _, l := range e.Levels.Locations {
			if l.Reserved > l.OnHand || e.Levels.Available < 0 {
				return fmt.Errorf("%s is oversold: %s", sku, r.Value)
			}
		}
		switch kind := r.Header(bus.HeaderType); {
		case string(r.Key) != inventory.Category+"-"+sku:
			return fmt.Errorf("%s has an event while %s is sold", r.Key, sku)
		case kind == inventory.TypeStockReceived && i == 0:
			continue
		case kind == inventory.TypeStockReserved:
			reserved += e.Quantity
		case kind != inventory.TypeStockReservationRefused || e.Reason != inventory.ReasonOutOfStock:
			return fmt.Errorf("a reservation of %s came to %s: %s", sku, kind, r.Value)
		}
		decided[e.OrderID] = true
	}
	if reserved != flashStock || len(decided) != flashCallers {
		return fmt.Errorf("of %d units of %s %d are reserved, by %d decisions for %d callers", flashStock, sku, reserved, len(decided), flashCallers)
	}
	return nil
}
