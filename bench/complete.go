package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/orderlane/orderlane/bench/load"
)

const (
	// openOrders is how many orders may be on their way from placed to delivered: what some two
	// seconds of the goal bring.
	openOrders = 2048
	// completeFor is how many times as long this load lasts as others, since it must be sustained.
	completeFor = 3
	// plenty is more of each product than is ordered.
	plenty = 1_000_000_000
)

// measureComplete is how many orders of two lines per second go their whole way, from the POST
// until they are delivered and paid and nothing more is to be done, with all services in one
// process; and what each service costs.
func measureComplete(ctx context.Context, b *bench) error {
	lasting := completeFor * b.lasting
	b.say("complete: all services, %v", lasting)
	s, staff, err := b.newShop(ctx)
	if err != nil {
		return err
	}
	defer staff.end()
	began, _ := staff.Complete()
	before, cpuErr := s.proc.CPU()
	profile := filepath.Join(s.dir, "complete.cpu.pprof")
	if b.profiles != "" {
		profile = filepath.Join(b.profiles, filepath.Base(s.dir)+".cpu.pprof")
	}
	profiled := make(chan error, 1)
	go func() {
		profiled <- download(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", s.operator, int(lasting.Seconds())), profile)
	}()
	result, err := staff.Drive(ctx, func(ctx context.Context, backlog *load.Backlog) (*load.Result, error) {
		return load.Closed(ctx, load.Target{Addr: s.api, Lines: 2}, connections, lasting, backlog)
	})
	if err != nil {
		return errors.Join(err, s.proc.Alive())
	}
	n := result.Accepted()
	_, last := staff.Complete()
	after, err := s.proc.CPU()
	if err := errors.Join(cpuErr, err, <-profiled); err != nil {
		return err
	}
	perSec, each := rate(n, last.Sub(result.Start)), (after-before)/time.Duration(n)
	b.say("  %s, %v of CPU an order", perSecond(perSec), each.Round(time.Microsecond))
	b.complete = perSec
	b.report.add(
		row{measure: "complete orders of two lines, placed to delivered", goal: ">= 1,000/s", measured: perSecond(perSec), met: perSec >= 1000},
		row{measure: "core-seconds per million complete orders", measured: thousands((1_000_000 * each).Seconds())},
	)
	if err := b.noteCosts(ctx, s, profile, each, began+n); err != nil {
		return err
	}
	return errors.Join(s.audit(ctx, began+n), staff.Dismiss(), s.stop(), s.end())
}

// newShop starts a system with all services, enough stock, and staff, in which everything has been
// done once.
func (b *bench) newShop(ctx context.Context) (*system, *staff, error) {
	s, err := b.newSystem(ctx, ours, 8)
	if err != nil {
		return nil, nil, err
	}
	s.services = nil
	if err := s.start(ctx); err != nil {
		return nil, nil, err
	}
	receipts := make(chan load.Request, len(skus))
	for _, sku := range skus {
		receipts <- load.Request{Path: "/v1/stock/" + sku + "/receive", Body: fmt.Sprintf(`{"location":"main","quantity":%d}`, plenty)}
	}
	close(receipts)
	if err := load.Post(ctx, s.api, 1, receipts); err != nil {
		return nil, nil, err
	}
	staff := s.hire(ctx)
	err = s.warm(ctx)
	if err == nil {
		err = staff.Await(ctx, s.seen)
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.proc.Alive(), staff.Dismiss())
	}
	return s, staff, nil
}
