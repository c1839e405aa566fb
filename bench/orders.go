package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderlane/orderlane/bench/load"
)

const (
	// connections is how many clients place orders at the same time: enough to keep both cores
	// busy, as each waits for its answer before it sends the next.
	connections = 256
	// maxBacklog is how many orders may be accepted and not visible yet: some tenths of a
	// second of work, so that what is measured is the whole way and not its beginning.
	maxBacklog = 4096
)

// through is what a run from POST to view has shown.
type through struct {
	rate float64       // orders per second, from the first POST to the last visible one
	cpu  time.Duration // of the process, for all of them
	n    int64
}

// perMillion is the CPU time of a million orders.
func (t through) perMillion() time.Duration { return t.cpu * 1_000_000 / time.Duration(max(t.n, 1)) }

// measureOrders is the whole way from POST to the view, as fast as it goes: with 8 partitions
// and with one, against the textbook way. It tells the core-seconds too, and keeps the maximum
// for measureLatency.
func measureOrders(ctx context.Context, b *bench) error {
	for _, c := range []struct {
		partitions int
		atLeast    float64 // times the textbook way
	}{{8, 8}, {1, 10}} {
		our, err := b.through(ctx, ours, c.partitions)
		if err != nil {
			return err
		}
		their, err := b.through(ctx, theirs, c.partitions)
		if err != nil {
			return err
		}
		r := row{
			measure:  fmt.Sprintf("orders/s, POST to view, %s", partitions(c.partitions)),
			goal:     fmt.Sprintf(">= %.0fx", c.atLeast),
			measured: perSecond(our.rate), baseline: perSecond(their.rate), ratio: ratio(our.rate, their.rate),
			met: our.rate >= c.atLeast*their.rate,
		}
		if c.partitions == 8 {
			r.goal, r.met = ">= 8,000/s; "+r.goal, r.met && our.rate >= 8000
			b.maximum = our.rate
		}
		b.report.add(r)
		if c.partitions == 8 && our.cpu > 0 {
			b.report.add(row{
				measure: "core-seconds per million orders, accept to view", goal: "<= 150",
				measured: fmt.Sprintf("%.0f", our.perMillion().Seconds()), baseline: fmt.Sprintf("%.0f", their.perMillion().Seconds()),
				ratio: ratio(their.perMillion().Seconds(), our.perMillion().Seconds()), met: our.perMillion() <= 150*time.Second,
			})
		}
	}
	return nil
}

func partitions(n int) string {
	if n == 1 {
		return "1 partition"
	}
	return fmt.Sprintf("%d partitions", n)
}

// through drives a system as fast as it goes.
func (b *bench) through(ctx context.Context, k kind, partitions int) (t through, err error) {
	if k == theirs && b.alone {
		return t, nil
	}
	b.say("orders: %v, %d partitions, %v", k, partitions, b.lasting)
	s, err := b.newSystem(ctx, k, partitions)
	if err != nil {
		return t, err
	}
	if err := s.start(ctx); err != nil {
		return t, err
	}
	if err := s.warm(ctx); err != nil {
		return t, err
	}
	before, cpuErr := s.proc.CPU()
	done := b.profile(ctx, s, b.lasting)
	result, seen, err := s.drive(ctx, func(ctx context.Context, backlog *load.Backlog) (*load.Result, error) {
		return load.Closed(ctx, load.Target{Addr: s.api}, connections, b.lasting, backlog)
	})
	done()
	if err != nil {
		return t, err
	}
	after, err := s.proc.CPU()
	if errors.Join(cpuErr, err) == nil {
		t.cpu = after - before
	}
	t.n = result.Accepted()
	t.rate = rate(t.n, seen[len(seen)-1].At.Sub(result.Start))
	b.say("  %s, %.0f core-seconds per million orders", perSecond(t.rate), t.perMillion().Seconds())
	if err := s.check(ctx, s.seen); err != nil {
		return t, err
	}
	return t, errors.Join(s.stop(), s.end())
}
