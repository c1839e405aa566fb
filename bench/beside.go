package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/orderlane/orderlane/bench/load"
	"github.com/orderlane/orderlane/services/orderview"
)

// Of reads beside writes.
const (
	besidePairs   = 3    // of loads, without and with reads in turn, since a machine's pace changes
	besideRate    = 200  // orders per second
	besideReads   = 10   // reads for each order
	besideCores   = 1    // of the process that answers reads
	besideGoal    = 1.1  // times the latency without reads
	besidePlaced  = 2000 // orders that are read
	besideReaders = 32
)

// measureBeside is how long an order takes to be visible while ten times as many orders are read from the process that
// shows them, which has a quota of CPU time, against the same without reads.
func measureBeside(ctx context.Context, b *bench) (err error) {
	b.say("beside: %d orders and %d reads a second, %d x 2 x %v", besideRate, besideReads*besideRate, besidePairs, b.lasting/2)
	writes, err := b.newSystem(ctx, ours, 8)
	if err != nil {
		return err
	}
	writes.services = slices.DeleteFunc(slices.Clone(spine), func(name string) bool { return name == orderview.Service })
	if err := writes.launch(ctx); err != nil {
		return err
	}
	if err := writes.proc.Until(ctx, startWithin, 10*time.Millisecond, func() error { return ready("http://" + writes.operator + "/readyz") }); err != nil {
		return err
	}
	reads, err := b.beside(ctx, writes)
	if err != nil {
		return err
	}
	how, release, err := reads.proc.Quota(besideCores)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reads.stop(), release(), writes.proc.Stop(), reads.end(), writes.end()) }()
	ids, err := writes.begin(ctx, reads)
	if err != nil {
		return err
	}
	var without, with *hdrhistogram.Histogram
	for range besidePairs {
		for _, c := range []struct {
			reads int
			into  **hdrhistogram.Histogram
		}{{0, &without}, {besideReads, &with}} {
			h, err := writes.seenIn(ctx, reads, c.reads*besideRate, ids)
			if err != nil {
				return errors.Join(err, reads.proc.Alive(), writes.proc.Alive())
			}
			b.say("  beside %d reads a second: %s", c.reads*besideRate, quantiles(h))
			if *c.into == nil {
				*c.into = h
			} else {
				(*c.into).Merge(h)
			}
		}
	}
	worst := float64(with.ValueAtQuantile(99)) / float64(without.ValueAtQuantile(99))
	b.report.add(row{
		measure: fmt.Sprintf("POST to visible at %d/s, beside %d reads/s in another process with %s", besideRate, besideReads*besideRate, how),
		goal:    "p99 within 10 %", measured: quantiles(with), baseline: quantiles(without), ratio: fmt.Sprintf("%.2fx", worst), met: worst <= besideGoal,
	})
	return reads.check(ctx, reads.seen)
}

// beside starts the order view in a process of its own, with the broker and the database of another system.
func (b *bench) beside(ctx context.Context, of *system) (*system, error) {
	b.systems++
	s := &system{
		kind: ours, bench: b, partitions: of.partitions, services: []string{orderview.Service}, dir: of.dir,
		postgres: of.postgres, joins: of.brokers,
	}
	return s, s.start(ctx)
}

// begin has everything done once, and places the orders that are read.
func (s *system) begin(ctx context.Context, reads *system) (ids []string, err error) {
	for i, sku := range skus {
		var path, token string
		err := s.proc.Until(ctx, startWithin, 20*time.Millisecond, func() (err error) {
			if err = s.get(ctx, "/v1/products/"+sku, ""); err == nil {
				path, token, err = s.place(ctx, i, "product-"+sku+"@1")
			}
			return err
		})
		if err = errors.Join(err, reads.get(ctx, path, token)); err != nil {
			return nil, err
		}
	}
	if err := reads.view.Next(ctx, func(string) { reads.seen++ }); err != nil {
		return nil, err
	}
	result, _, err := reads.drive(ctx, func(ctx context.Context, backlog *load.Backlog) (*load.Result, error) {
		return load.Count(ctx, load.Target{Addr: s.api}, 16, besidePlaced, backlog)
	})
	if err != nil {
		return nil, err
	}
	for _, o := range result.Orders {
		h := hex.EncodeToString(o.ID[:])
		ids = append(ids, strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-"))
	}
	return ids, nil
}

// seenIn places orders at a rate, while some are read in the process that shows them, and returns how long
// they took to be visible there.
func (s *system) seenIn(ctx context.Context, reads *system, perSec int, ids []string) (*hdrhistogram.Histogram, error) {
	answered := make(chan error, 1)
	go func() {
		if perSec == 0 {
			answered <- nil
			return
		}
		r := load.Reader{
			Addr: reads.api, Connections: besideReaders, Lasting: s.bench.lasting / 2, Rate: float64(perSec),
			Ask: func(b []byte, connection, n int) []byte {
				return append(append(append(b, "/v1/orders/"...), ids[chance(connection, n, len(ids))]...), load.HTTP11...)
			},
		}
		answers, err := r.Run(ctx)
		if err == nil {
			s.bench.say("  %s reads, %s", perSecond(answers.PerSecond()), quantiles(answers.Times))
		}
		answered <- err
	}()
	result, seen, err := reads.drive(ctx, func(ctx context.Context, _ *load.Backlog) (*load.Result, error) {
		return load.Open(ctx, load.Target{Addr: s.api}, latencyConnections/4, besideRate, s.bench.lasting/2)
	})
	if err := errors.Join(err, <-answered); err != nil {
		return nil, err
	}
	return latencies(result, seen)
}
