package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderlane/orderlane/bench/textbook"
	"github.com/orderlane/orderlane/bench/view"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Rates that are expected at least, to size what is filled in: a topic should last for about
// the time of a measure.
const (
	ourDrain, theirDrain     = 15_000, 1200
	ourRebuild, theirRebuild = 50_000, 3000
)

// measureDrain is the way without HTTP: a command topic that was filled while nothing ran
// is drained into the view.
func measureDrain(ctx context.Context, b *bench) error {
	our, err := b.drained(ctx, ours, "drain", ourDrain, ourCommand)
	if err != nil {
		return err
	}
	their, err := b.drained(ctx, theirs, "drain", theirDrain, func(i int) (kafka.Record, error) {
		return textbook.CommandRecord(newOrder(i))
	})
	if err != nil {
		return err
	}
	b.report.add(row{
		measure: "draining a filled command topic into the view", goal: ">= 20x",
		measured: perSecond(our), baseline: perSecond(their), ratio: ratio(our, their), met: our >= 20*their,
	})
	return nil
}

// measureRebuild is how fast a view is built from a full event topic.
func measureRebuild(ctx context.Context, b *bench) error {
	our, err := b.drained(ctx, ours, "rebuild", ourRebuild, ourEvent)
	if err != nil {
		return err
	}
	their, err := b.drained(ctx, theirs, "rebuild", theirRebuild, func(i int) (kafka.Record, error) {
		return textbook.EventRecord(newOrder(i), time.Now())
	})
	if err != nil {
		return err
	}
	b.report.add(row{
		measure: "projection rebuild from the topic, events", goal: ">= 50,000/s; >= 15x row at a time",
		measured: perSecond(our), baseline: perSecond(their), ratio: ratio(our, their), met: our >= 50_000 && our >= 15*their,
	})
	return nil
}

// drained fills a topic of a system, starts the system, and returns how many rows per second
// the view gets, from the first one on.
func (b *bench) drained(ctx context.Context, k kind, what string, expect int, make func(int) (kafka.Record, error)) (float64, error) {
	if k == theirs && b.alone {
		return 0, nil
	}
	n := int(float64(expect) * b.lasting.Seconds())
	b.say("%s: %v, %s messages", what, k, thousands(float64(n)))
	s, err := b.newSystem(ctx, k, 8)
	if err != nil {
		return 0, err
	}
	if what == "drain" { // the catalogue is there, and everything was done once
		if err := s.start(ctx); err != nil {
			return 0, err
		}
		if err := errors.Join(s.warm(ctx), s.stop()); err != nil {
			return 0, err
		}
	}
	before := s.seen
	if err := s.fill(ctx, n, make); err != nil {
		return 0, err
	}
	if err := s.startUnready(ctx); err != nil {
		return 0, err
	}
	early := s.seen - before // visible before this process could look
	cpu, cpuErr := s.proc.CPU()
	done := b.profile(ctx, s, 2*b.lasting)
	started := time.Now()
	seen, err := s.watch(ctx, func(visible int64) bool { return early+visible >= int64(n) }, func(int64) {})
	took := time.Since(started)
	if err != nil {
		return 0, err
	}
	perSec := steady(seen)
	b.say("  %s; all of it %v after the process was ready", perSecond(perSec), took.Round(time.Millisecond))
	if after, err := s.proc.CPU(); errors.Join(err, cpuErr) == nil {
		b.say("  %.0f core-seconds per million", ((after - cpu) * 1_000_000 / time.Duration(len(seen))).Seconds())
	}
	done()
	if what == "drain" {
		err = s.check(ctx, s.seen)
	} else if rows, keys, counting := s.view.Count(ctx); rows != int64(n) || keys != int64(n) {
		err = errors.Join(counting, fmt.Errorf("%v: %d events made %d rows for %d orders", k, n, rows, keys))
	}
	return perSec, errors.Join(err, s.stop(), s.end())
}

// steady is the rate at which rows have become visible, without those that came first: how
// long they took is not known.
func steady(seen []view.Seen) float64 {
	first := seen[0].At
	i := 0
	for i < len(seen) && seen[i].At.Equal(first) {
		i++
	}
	return rate(int64(len(seen)-i), seen[len(seen)-1].At.Sub(first))
}
