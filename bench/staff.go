package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/bench/load"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Bounds of the staff.
const (
	staffConnections = 64
	staffBacklog     = 4096 // requests that wait to be sent
)

// staff plays the people of a warehouse beside a system: each shipment that is created is
// dispatched, and each that is dispatched is delivered, both over HTTP. It reads the topics from
// their start, so it also sees which orders have come to their end. Its methods are safe for
// concurrent use.
type staff struct {
	requests chan load.Request
	end      context.CancelFunc
	ended    chan error // what went wrong, once both halves have ended

	mu       sync.Mutex
	complete map[load.ID]bool
	last     time.Time // when an order was seen complete last
	tell     func(complete int64)
}

// hire starts the staff of a system that serves.
func (s *system) hire(ctx context.Context) *staff {
	ctx, cancel := context.WithCancel(ctx)
	w := &staff{
		requests: make(chan load.Request, staffBacklog), end: cancel, ended: make(chan error, 1),
		complete: make(map[load.ID]bool), last: time.Now(), tell: func(int64) {},
	}
	go func() {
		reading := make(chan error, 1)
		go func() {
			reading <- kafka.ConsumeAll(ctx, kafka.GroupConfig{
				Config: kafka.Config{Brokers: s.brokers},
				Topics: []string{bus.EventsTopic(shipping.Service), bus.EventsTopic(fulfilment.Service)},
			}, newReader(w.take))
		}()
		err := load.Post(ctx, s.api, staffConnections, w.requests)
		if ctx.Err() != nil {
			err = nil
		}
		cancel()
		w.ended <- errors.Join(err, <-reading)
	}()
	return w
}

// ending is in the events of orders to which nothing more will happen.
var ending = []byte(`"ended":true`)

// take has done what events ask for, and counts complete orders.
func (w *staff) take(ctx context.Context, recs []kafka.Record) error {
	var done []load.ID
	for i := range recs {
		r := &recs[i]
		id, err := load.ParseID(string(r.Key))
		if err != nil {
			return fmt.Errorf("event of %s: %w", r.Topic, err)
		}
		shipment := string(r.Key[len(r.Key)-36:])
		var do load.Request
		switch r.Header(bus.HeaderType) {
		case shipping.TypeShipmentCreated:
			do = load.Request{Path: "/v1/shipments/" + shipment + "/dispatch", Body: `{"carrier":"DHL","tracking":"00340434"}`}
		case shipping.TypeShipmentDispatched:
			do = load.Request{Path: "/v1/shipments/" + shipment + "/deliver", Body: "{}"}
		default:
			if r.Topic == bus.EventsTopic(fulfilment.Service) && bytes.Contains(r.Value, ending) {
				done = append(done, id)
			}
			continue
		}
		select {
		case w.requests <- do:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	before := len(w.complete)
	for _, id := range done {
		w.complete[id] = true
	}
	if len(w.complete) > before {
		w.last = time.Now()
		w.tell(int64(len(w.complete)))
	}
	return nil
}

// Complete is how many orders have come to their end, and when the last of them was seen.
func (w *staff) Complete() (int64, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(len(w.complete)), w.last
}

// Tell has each further number of complete orders told.
func (w *staff) Tell(tell func(complete int64)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tell = tell
}

// Drive runs a load and waits until all that it placed is complete. It fails when stalled passes
// without another complete order, and when the staff has gone.
func (w *staff) Drive(ctx context.Context, run func(context.Context, *load.Backlog) (*load.Result, error)) (*load.Result, error) {
	before, _ := w.Complete()
	backlog := &load.Backlog{Limit: openOrders}
	w.Tell(func(complete int64) { backlog.Visible(complete - before) })
	loading, cancel := context.WithCancel(ctx)
	defer cancel()
	var result *load.Result
	loaded := make(chan error, 1)
	go func() {
		var err error
		result, err = run(loading, backlog)
		loaded <- err
	}()
	var ended bool
	err := w.await(ctx, func(complete int64) (bool, error) {
		if !ended {
			select {
			case err := <-loaded:
				if ended = true; err != nil {
					return false, err
				}
			default:
				return false, nil
			}
		}
		return complete-before >= result.Accepted(), nil
	})
	if !ended {
		cancel()
		if failed := <-loaded; !errors.Is(failed, context.Canceled) {
			err = errors.Join(err, failed)
		}
	}
	return result, err
}

// Await waits until n orders are complete, as Drive does.
func (w *staff) Await(ctx context.Context, n int64) error {
	return w.await(ctx, func(complete int64) (bool, error) { return complete >= n, nil })
}

func (w *staff) await(ctx context.Context, until func(complete int64) (bool, error)) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	began := time.Now()
	for {
		complete, last := w.Complete()
		if ok, err := until(complete); ok || err != nil {
			return err
		}
		if last.Before(began) {
			last = began
		}
		if time.Since(last) > stalled {
			return fmt.Errorf("no order has been completed for %v; %d are", stalled, complete)
		}
		select {
		case err := <-w.ended:
			w.ended <- err
			return errors.Join(errors.New("the staff has gone"), err)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Dismiss ends the staff, and returns what went wrong.
func (w *staff) Dismiss() error {
	w.end()
	return <-w.ended
}
