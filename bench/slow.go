package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/orderlane/orderlane/bench/load"
)

// Of the slow provider.
const (
	slowPairs = 3 // of loads, without and with it in turn, since a machine's pace changes
	// slowest is how many orders per second are paid slowly at the most: each keeps two of the
	// gateway's 128 lanes for 200 ms.
	slowest = 200
	// unhurried is the rate where it is not known what the machine can do.
	unhurried = 100
)

// measureSlow is how long an order takes from the time its POST was due until it is visible,
// while as many other orders are paid with a provider that takes 200 ms, against the same with a
// provider that answers at once. All services run, and the load is half of what they can do.
func measureSlow(ctx context.Context, b *bench) error {
	perSec := float64(unhurried)
	if b.complete > 0 {
		perSec = min(b.complete/4, slowest)
	}
	b.say("slow: %s and as many others, %d x 2 x %v", perSecond(perSec), slowPairs, b.lasting/2)
	s, staff, err := b.newShop(ctx)
	if err != nil {
		return err
	}
	defer staff.end()
	var without, with *hdrhistogram.Histogram
	for range slowPairs {
		for _, c := range []struct {
			method string
			into   **hdrhistogram.Histogram
		}{{"sandbox_approve", &without}, {"sandbox_slow", &with}} {
			h, err := s.beside(ctx, c.method, perSec, b.lasting/2)
			if err == nil {
				err = staff.Await(ctx, s.seen)
			}
			if err != nil {
				return errors.Join(err, s.proc.Alive())
			}
			b.say("  beside %s: %s", c.method, quantiles(h))
			if *c.into == nil {
				*c.into = h
			} else {
				(*c.into).Merge(h)
			}
		}
	}
	worst := 0.0
	for _, q := range []float64{50, 99} {
		worst = max(worst, float64(with.ValueAtQuantile(q))/float64(without.ValueAtQuantile(q)))
	}
	b.report.add(row{
		measure: fmt.Sprintf("POST to visible at %s, beside as many that are paid in 200 ms", perSecond(perSec)), goal: "within 20 %",
		measured: quantiles(with), baseline: quantiles(without), ratio: fmt.Sprintf("%.2fx", worst), met: worst <= 1.2,
	})
	return errors.Join(s.audit(ctx, s.seen), staff.Dismiss(), s.stop(), s.end())
}

// beside places orders at a rate, and at the same time as many that are paid by a method. It returns
// how long the first ones took to be visible.
func (s *system) beside(ctx context.Context, method string, perSec float64, lasting time.Duration) (*hdrhistogram.Histogram, error) {
	var watched *load.Result
	_, seen, err := s.drive(ctx, func(ctx context.Context, _ *load.Backlog) (*load.Result, error) {
		type loaded struct {
			*load.Result
			error
		}
		other := make(chan loaded, 1)
		go func() {
			r, err := load.Open(ctx, load.Target{Addr: s.api, Lines: 2, Method: method}, latencyConnections/4, perSec, lasting)
			other <- loaded{r, err}
		}()
		r, err := load.Open(ctx, load.Target{Addr: s.api, Lines: 2}, latencyConnections/4, perSec, lasting)
		o := <-other
		if err := errors.Join(err, o.error); err != nil {
			return nil, err
		}
		watched = r
		return &load.Result{Start: r.Start, Took: max(r.Took, o.Took), Orders: append(r.Orders[:len(r.Orders):len(r.Orders)], o.Orders...)}, nil
	})
	if err != nil {
		return nil, err
	}
	return latencies(watched, seen)
}

func quantiles(h *hdrhistogram.Histogram) string {
	return fmt.Sprintf("p50 %s, p99 %s", millis(time.Duration(h.ValueAtQuantile(50))), millis(time.Duration(h.ValueAtQuantile(99))))
}
