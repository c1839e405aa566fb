package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/api"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/bench/count"
	"github.com/orderlane/orderlane/bench/load"
	"github.com/orderlane/orderlane/bench/mix"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// The orders that data sets are made of, by how they go.
const (
	lifeDelivered = 240
	lifeDeclined  = 12
	lifeCancelled = 24
	lifeReturned  = 24 // of those that were delivered
)

// lives returns the lives of some hundred orders of two lines that the whole platform has led: most are
// delivered, some are declined, cancelled or returned in part. It runs the platform once.
func (b *bench) lives(ctx context.Context) (*mix.Lives, error) {
	if b.learned != nil {
		return b.learned, nil
	}
	b.say("data sets: learning how orders go from %d of them", lifeDelivered+lifeDeclined+lifeCancelled)
	plain := *b // what happens is the same on every broker and database
	plain.kafka, plain.postgres, plain.profiles = nil, "", ""
	defer func() { b.systems, b.running = plain.systems, plain.running }()
	s, staff, err := plain.newShop(ctx)
	if err != nil {
		return nil, err
	}
	defer staff.end()
	if err := s.live(ctx, staff); err != nil {
		return nil, errors.Join(err, s.proc.Alive())
	}
	var records []kafka.Record
	if err := s.read(ctx, func(r kafka.Record) error { records = append(records, r); return nil }); err != nil {
		return nil, err
	}
	if b.learned, err = mix.Learn(records); err != nil {
		return nil, err
	}
	b.say("  %s", b.learned)
	return b.learned, errors.Join(staff.Dismiss(), s.stop(), s.end())
}

// live has orders go their ways, and waits until nothing more happens.
func (s *system) live(ctx context.Context, staff *staff) error {
	before, _ := staff.Complete()
	for _, c := range []struct {
		method string
		orders int
	}{{"sandbox_approve", lifeDelivered}, {"sandbox_decline", lifeDeclined}} {
		if _, err := load.Count(ctx, load.Target{Addr: s.api, Lines: 2, Method: c.method}, 8, c.orders, &load.Backlog{}); err != nil {
			return err
		}
	}
	two := newOrder(1)
	two.Lines = append(two.Lines, newOrder(2).Lines...)
	for range lifeCancelled {
		order, err := s.command(ctx, "/v1/orders", &two)
		if err != nil {
			return err
		}
		if _, err := s.command(ctx, "/v1/orders/"+order+"/cancel", map[string]string{"reason": "changed my mind"}); err != nil {
			return err
		}
	}
	if err := staff.Await(ctx, before+lifeDelivered+lifeDeclined+lifeCancelled); err != nil {
		return err
	}
	return s.giveBack(ctx)
}

// giveBack has customers send goods back, of orders that were delivered, and waits until their money is given back.
func (s *system) giveBack(ctx context.Context) error {
	var list struct {
		Items []struct {
			ID    string     `json:"id"`
			Lines []struct{} `json:"lines"`
		} `json:"items"`
	}
	if status, err := s.look(ctx, "/v1/orders?status=delivered&limit=200", &list); err != nil || status != http.StatusOK {
		return errors.Join(err, fmt.Errorf("the list of orders is answered with %d", status))
	}
	type line struct {
		Line     int    `json:"line"`
		Quantity int    `json:"quantity"`
		Reason   string `json:"reason,omitzero"`
		Restock  bool   `json:"restock,omitzero"`
	}
	n := 0
	for _, o := range list.Items {
		if len(o.Lines) != 2 || n == lifeReturned {
			continue
		}
		n++
		back, err := s.command(ctx, "/v1/orders/"+o.ID+"/returns", map[string]any{"lines": []line{{Line: 1, Quantity: 1, Reason: "chipped"}}})
		if err != nil {
			return err
		}
		// The order asks shipping for the return: it is there a moment later.
		err = s.proc.Until(ctx, startWithin, 20*time.Millisecond, func() error { return s.get(ctx, "/v1/returns/"+back, "") })
		if err != nil {
			return err
		}
		if _, err := s.command(ctx, "/v1/returns/"+back+"/receive", map[string]any{"lines": []line{{Line: 1, Quantity: 1, Restock: true}}}); err != nil {
			return err
		}
	}
	return s.proc.Until(ctx, startWithin, 100*time.Millisecond, func() error {
		m, err := count.Topic(ctx, s.brokers, bus.EventsTopic(payments.Service), func(r *kafka.Record) (int64, error) {
			if r.Header(bus.HeaderType) == payments.TypePaymentRefunded {
				return 1, nil
			}
			return 0, nil
		})
		if err == nil && m.Keys < int64(n) {
			err = fmt.Errorf("%d of %d orders have their money back", m.Keys, n)
		}
		return err
	})
}

// command sends a command, waits until it has succeeded, and returns the id of its resource.
func (s *system) command(ctx context.Context, path string, body any) (string, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.api+path, strings.NewReader(string(data)))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Prefer", "wait=10")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	// A cancellation may come too late, which is a life too.
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusConflict {
		return "", fmt.Errorf("POST %s: %s: %s", path, resp.Status, answer)
	}
	var a struct {
		Resource bus.Resource `json:"resource"`
	}
	return a.Resource.ID, errors.Join(json.Unmarshal(answer, &a))
}

// read passes on all events, and all that is personal, of the platform's topics, once nothing has come for a while.
func (s *system) read(ctx context.Context, take func(kafka.Record) error) error {
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: s.brokers})
	if err != nil {
		return err
	}
	defer admin.Close()
	var topics []string
	for _, service := range api.Services {
		topics = append(topics, bus.EventsTopic(service.Name))
		if len(service.Personal) > 0 {
			topics = append(topics, bus.PersonalTopic(service.Name))
		}
	}
	held := func() (ends map[kafka.Partition]int64, all int64, err error) {
		ends = make(map[kafka.Partition]int64)
		for _, topic := range topics {
			ranges, err := admin.Offsets(ctx, topic)
			if err != nil {
				return nil, 0, err
			}
			for id, r := range ranges {
				ends[kafka.Partition{Topic: topic, ID: id}] = r.Last
				all += r.Last
			}
		}
		return ends, all, nil
	}
	for last := int64(-1); ; {
		ends, all, err := held()
		if err != nil {
			return err
		}
		if all == last {
			for p, end := range ends {
				if err := admin.ReadRange(ctx, p, 0, end, take); err != nil {
					return err
				}
			}
			return nil
		}
		last = all
		if err := pause(ctx, settle/2); err != nil {
			return err
		}
	}
}
