package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/orderlane/orderlane/bench/count"
	"github.com/orderlane/orderlane/bench/textbook"
	"github.com/orderlane/orderlane/bench/view"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// orderStreams is what the names of orders' streams begin with.
const orderStreams = "order-"

// check counts what a run has left everywhere: every order that was accepted must be there
// once, as a command, an outcome, an event stored and published, and a row of the view. A
// figure of a run that fails it is worth nothing.
func (s *system) check(ctx context.Context, accepted int64) error {
	s.bench.say("  counting: %s orders of %v", thousands(float64(accepted)), s.kind)
	topics := s.ourTopics
	if s.kind == theirs {
		topics = s.theirTopics
	}
	counts, err := topics(ctx)
	if err != nil {
		return err
	}
	rows, err := s.countRows(ctx)
	if err != nil {
		return err
	}
	for _, c := range append(counts, rows...) {
		if c.n != accepted || c.keys != accepted {
			return fmt.Errorf("%v: accepted %d orders, but there are %d %s for %d of them", s.kind, accepted, c.n, c.what, c.keys)
		}
	}
	return nil
}

// counted is how much there is of something, and for how many orders or commands.
type counted struct {
	what    string
	n, keys int64
}

// countTopic counts first occurrences: what comes again with the same version is allowed to.
func (s *system) countTopic(ctx context.Context, what, topic string, version func(*kafka.Record) (int64, error)) (counted, error) {
	m, err := count.Topic(ctx, s.brokers, topic, version)
	return counted{what, m.Records - m.Repeats, m.Keys}, err
}

func (s *system) ourTopics(ctx context.Context) ([]counted, error) {
	commands, err := s.countTopic(ctx, "commands", bus.CommandsTopic("ordering"), once)
	if err != nil {
		return nil, err
	}
	outcomes, err := s.countTopic(ctx, "outcomes", bus.OutcomesTopic, func(r *kafka.Record) (int64, error) {
		if !strings.HasPrefix(r.Header(bus.HeaderSubject), orderStreams) {
			return 0, nil // of a product
		}
		if status := r.Header(bus.HeaderStatus); status != "succeeded" {
			return 0, fmt.Errorf("a command has the outcome %q: %s", status, r.Value)
		}
		return 1, nil
	})
	if err != nil {
		return nil, err
	}
	events, err := s.countTopic(ctx, "events", bus.EventsTopic("ordering"), func(r *kafka.Record) (int64, error) {
		return strconv.ParseInt(r.Header(bus.HeaderStreamVersion), 10, 64)
	})
	if err != nil {
		return nil, err
	}
	return []counted{commands, outcomes, events}, nil
}

func once(*kafka.Record) (int64, error) { return 1, nil }

func (s *system) theirTopics(ctx context.Context) ([]counted, error) {
	commands, err := s.countTopic(ctx, "commands", textbook.CommandsTopic, once)
	if err != nil {
		return nil, err
	}
	events, err := s.countTopic(ctx, "events", textbook.EventsTopic, once)
	return []counted{commands, events}, err
}

// countRows counts the rows of the databases.
func (s *system) countRows(ctx context.Context) ([]counted, error) {
	type place struct {
		what, file string
		table      view.Table
	}
	places := []place{
		{"rows of the view", filepath.Join(s.dir, "orderview.view.db"), ourTable()},
		{"stored events", filepath.Join(s.dir, "ordering.log.db"), view.Table{Schema: "ordering", Name: "events", Key: "position"}},
	}
	if s.kind == theirs {
		places = []place{
			{"rows of the view", textbook.ViewFile(s.dir), view.Table{Schema: "public", Name: "orders", Key: "id"}},
			{"stored events", textbook.LogFile(s.dir), view.Table{Schema: "public", Name: "events", Key: "command"}},
			{"outcomes", textbook.LogFile(s.dir), view.Table{Schema: "public", Name: "outcomes", Key: "command"}},
		}
	}
	var all []counted
	for _, p := range places {
		v, err := view.Open(ctx, s.postgres, p.file, p.table)
		if err != nil {
			return nil, err
		}
		rows, keys, err := v.Count(ctx)
		if closing := v.Close(); err == nil {
			err = closing
		}
		if err != nil {
			return nil, fmt.Errorf("count the %s of %v: %w", p.what, s.kind, err)
		}
		all = append(all, counted{p.what, rows, keys})
	}
	return all, nil
}
