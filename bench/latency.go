package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/orderlane/orderlane/bench/load"
	"github.com/orderlane/orderlane/bench/view"
)

// latencyConnections are enough that one is always free: at half the maximum an answer takes a
// few milliseconds.
const latencyConnections = 512

// measureLatency is how long an order takes from the time its POST was due until it is
// visible, at half the maximum of the same run.
func measureLatency(ctx context.Context, b *bench) error {
	if b.maximum == 0 {
		t, err := b.through(ctx, ours, 8)
		if err != nil {
			return err
		}
		b.maximum = t.rate
	}
	perSec := b.maximum / 2
	b.say("latency: %s/s for %v", thousands(perSec), b.lasting)
	s, err := b.newSystem(ctx, ours, 8)
	if err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	if err := s.warm(ctx); err != nil {
		return err
	}
	before, cpuErr := s.proc.CPU()
	done := b.profile(ctx, s, b.lasting)
	result, seen, err := s.drive(ctx, func(ctx context.Context, _ *load.Backlog) (*load.Result, error) {
		return load.Open(ctx, load.Target{Addr: s.api}, latencyConnections, perSec, b.lasting)
	})
	done()
	if err != nil {
		return err
	}
	if after, err := s.proc.CPU(); errors.Join(cpuErr, err) == nil {
		b.report.note("At half the maximum the process spends %.0f core-seconds per million orders.",
			((after - before) * 1_000_000 / time.Duration(result.Accepted())).Seconds())
	}
	h, err := latencies(result, seen)
	if err != nil {
		return err
	}
	p50, p99 := time.Duration(h.ValueAtQuantile(50)), time.Duration(h.ValueAtQuantile(99))
	b.report.add(row{
		measure: fmt.Sprintf("POST to visible at %s (50 %% of the maximum)", perSecond(perSec)), goal: "p50 <= 10 ms, p99 <= 40 ms",
		measured: fmt.Sprintf("p50 %s, p99 %s", millis(p50), millis(p99)),
		met:      p50 <= 10*time.Millisecond && p99 <= 40*time.Millisecond,
	})
	b.say("  p50 %s, p90 %s, p99 %s, max %s", millis(p50), millis(time.Duration(h.ValueAtQuantile(90))), millis(p99), millis(time.Duration(h.Max())))
	if err := s.check(ctx, s.seen); err != nil {
		return err
	}
	return errors.Join(s.stop(), s.end())
}

// latencies are those of all orders of a load, in nanoseconds.
func latencies(result *load.Result, seen []view.Seen) (*hdrhistogram.Histogram, error) {
	h := hdrhistogram.New(int64(10*time.Microsecond), int64(5*time.Minute), 3)
	at := make(map[load.ID]time.Time, len(seen))
	for _, s := range seen {
		at[s.ID] = s.At
	}
	for _, o := range result.Orders {
		visible, ok := at[o.ID]
		if !ok {
			return nil, fmt.Errorf("order %x was accepted and is not visible", o.ID)
		}
		if err := h.RecordValue(int64(visible.Sub(result.Start.Add(o.Planned)))); err != nil {
			return nil, err
		}
	}
	return h, nil
}
