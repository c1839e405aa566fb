// Package load places orders over HTTP as fast as a server takes them, or at the times of a
// plan. It is lean, since it shares the cores with what it measures: raw connections, requests
// made once, answers read by their first bytes.
package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Order is one accepted order.
type Order struct {
	ID      ID
	Planned time.Duration // since the start of the load: when its sending was due
}

// Result is what a load has done.
type Result struct {
	Start  time.Time
	Took   time.Duration // until the last answer
	Orders []Order       // accepted, in no order
}

// Accepted is how many orders were accepted.
func (r *Result) Accepted() int64 { return int64(len(r.Orders)) }

// Backlog bounds how far a load runs ahead of the view: it is the orders that are accepted
// and not visible yet. Without one, a server that accepts faster than it decides would be
// given work for minutes. The zero value bounds nothing. It is safe for concurrent use.
type Backlog struct {
	Limit    int64
	accepted atomic.Int64
	visible  atomic.Int64
}

// Visible says how many orders are visible.
func (b *Backlog) Visible(n int64) { b.visible.Store(n) }

// wait returns when there is room for one more order.
func (b *Backlog) wait(ctx context.Context) error {
	if b.Limit == 0 || b.accepted.Load()-b.visible.Load() < b.Limit {
		return ctx.Err()
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for b.accepted.Load()-b.visible.Load() >= b.Limit {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return ctx.Err()
}

// Closed places orders for the given time over some connections, each of which sends when it
// has its answer. Any answer but 202 is an error.
func Closed(ctx context.Context, target Target, connections int, lasting time.Duration, backlog *Backlog) (*Result, error) {
	return run(ctx, target, connections, func(ctx context.Context, start time.Time, _, _ int) (time.Duration, bool) {
		if backlog.wait(ctx) != nil {
			return 0, false
		}
		due := time.Since(start)
		backlog.accepted.Add(1)
		return due, due < lasting
	})
}

// Count is Closed for a number of orders instead of a time.
func Count(ctx context.Context, target Target, connections, orders int, backlog *Backlog) (*Result, error) {
	var sent atomic.Int64
	return run(ctx, target, connections, func(ctx context.Context, start time.Time, _, _ int) (time.Duration, bool) {
		if backlog.wait(ctx) != nil {
			return 0, false
		}
		backlog.accepted.Add(1)
		return time.Since(start), sent.Add(1) <= int64(orders)
	})
}

// Open places orders at a rate per second for the given time, whether or not earlier ones are
// answered, as long as a connection is free. An order that is sent late counts from when it
// was due.
func Open(ctx context.Context, target Target, connections int, rate float64, lasting time.Duration) (*Result, error) {
	gap := time.Duration(float64(time.Second) / rate)
	return run(ctx, target, connections, func(ctx context.Context, start time.Time, connection, n int) (time.Duration, bool) {
		due := time.Duration(n*connections+connection) * gap
		if due >= lasting {
			return 0, false
		}
		if ahead := due - time.Since(start); ahead > 0 {
			timer := time.NewTimer(ahead)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
				return 0, false
			}
		}
		return due, true
	})
}

// next says when the n-th order of a connection was due; false ends the connection.
type next func(ctx context.Context, start time.Time, connection, n int) (due time.Duration, more bool)

func run(ctx context.Context, target Target, connections int, next next) (*Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conns := make([]*orderer, connections)
	for i := range conns {
		c, err := dial(target, i*997)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		conns[i] = c
	}
	var wg sync.WaitGroup
	placed := make([][]Order, connections)
	start := time.Now()
	for i, c := range conns {
		wg.Go(func() {
			orders, err := c.drive(ctx, start, i, next)
			if err != nil {
				cancel(err)
			}
			placed[i] = orders
		})
	}
	wg.Wait()
	r := &Result{Start: start, Took: time.Since(start)}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	for _, orders := range placed {
		r.Orders = append(r.Orders, orders...)
	}
	return r, nil
}

func (o *orderer) drive(ctx context.Context, start time.Time, connection int, next next) ([]Order, error) {
	orders := make([]Order, 0, 1024)
	for n := 0; ; n++ {
		due, more := next(ctx, start, connection, n)
		if !more {
			return orders, nil
		}
		id, status, err := o.place()
		if err != nil {
			return nil, fmt.Errorf("place an order: %w", err)
		}
		if status != 202 {
			return nil, fmt.Errorf("an order was answered with %d", status)
		}
		orders = append(orders, Order{ID: id, Planned: due})
	}
}
