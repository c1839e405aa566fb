package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/orderlane/orderlane/bench/load"
	"github.com/orderlane/orderlane/bench/mix"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/service"
	"github.com/orderlane/orderlane/services/orderview"
)

// Of a rebuild.
const (
	swapReads   = 1000 // per second
	swapReaders = 32
	swapWrites  = 200  // messages per second that come meanwhile
	swapOrders  = 4000 // that the messages are of
	swapSeed    = 6
	swapEvery   = 20 * time.Millisecond // messages are published, and the builds looked at
)

// measureSwap rebuilds the order view while orders are read, and events come in: how fast that is, what readers feel of it,
// and whether an answer is ever older than one that was given before.
func measureSwap(ctx context.Context, b *bench) error {
	st, err := b.stand(ctx)
	if err != nil {
		return err
	}
	o := st.data.Options()
	o.Seed, o.Orders = swapSeed, swapOrders
	coming := b.learned.Data(o) // orders that are not in the data set
	w := &watch{st: st, next: coming.After(st.read), versions: make([]atomic.Int64, len(st.ids)+swapOrders)}
	for i := range swapOrders {
		w.coming = append(w.coming, coming.Order(i).ID)
	}
	b.say("swap: %d reads and %d messages a second, %v without a rebuild", swapReads, swapWrites, b.lasting)
	calm, err := w.run(ctx, func(ctx context.Context) error { return pause(ctx, b.lasting) })
	if err != nil {
		return err
	}
	b.say("  %s", quantiles(calm))
	total := float64(st.filled.records(orderview.Service))
	done := b.profile(ctx, st.system, b.lasting)
	var took time.Duration
	busy, err := w.run(ctx, func(ctx context.Context) (err error) {
		took, err = st.rebuild(ctx)
		return err
	})
	done()
	if err != nil {
		return errors.Join(err, st.proc.Alive())
	}
	b.say("  %s records in %v; reads: %s", thousands(total), took.Round(time.Millisecond), quantiles(busy))
	if err := st.right(ctx); err != nil {
		return err
	}
	p99, was := busy.ValueAtQuantile(99), calm.ValueAtQuantile(99)
	wrong := w.wrong.Load()
	b.report.add(
		row{
			measure: fmt.Sprintf("wrong answers in %s reads while a view of %s events was built anew", thousands(float64(busy.TotalCount())), thousands(total)),
			goal:    "0", measured: thousands(float64(wrong)), met: wrong == 0,
		},
		row{measure: "that rebuild, beside the live view", measured: perSecond(total / took.Seconds())},
		row{
			measure: fmt.Sprintf("reads at %s/s meanwhile, against before it", thousands(swapReads)), measured: quantiles(busy), baseline: quantiles(calm),
			ratio: fmt.Sprintf("%.1fx", float64(p99)/float64(was)),
		},
	)
	return errors.Join(st.unbroken(ctx), st.proc.Stop())
}

// watch reads orders and holds that none is older than it was before.
type watch struct {
	st       *standing
	next     *mix.Messages
	coming   []string       // ids of the orders that come
	versions []atomic.Int64 // of each order, the highest that was read
	wrong    atomic.Int64
}

// run reads, and publishes what comes, as long as something is done.
func (w *watch) run(ctx context.Context, do func(context.Context) error) (*hdrhistogram.Histogram, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answers struct {
		*load.Answers
		error
	}
	read, published := make(chan answers, 1), make(chan error, 1)
	ended := make(chan struct{})
	go func() { published <- w.publish(ctx, ended) }()
	go func() {
		floors := make([]struct {
			order int
			least int64
		}, swapReaders)
		r := load.Reader{
			Addr: w.st.api, Connections: swapReaders, Lasting: projectWithin, Rate: swapReads, Until: ended,
			Ask: func(b []byte, connection, n int) []byte {
				i := chance(connection, n, len(w.st.ids))
				if n%2 == 0 {
					i = len(w.st.ids) + chance(connection, n, swapOrders)
				}
				f := &floors[connection]
				f.order, f.least = i, w.versions[i].Load()
				return append(append(append(b, "/v1/orders/"...), w.id(i)...), load.HTTP11...)
			},
			Check: func(connection, _, status int, body []byte) error {
				f := &floors[connection]
				return w.check(f.order, f.least, status, body)
			},
		}
		a, err := r.Run(ctx)
		read <- answers{a, err}
	}()
	err := do(ctx)
	close(ended)
	a := <-read
	if err = errors.Join(err, a.error, <-published); err != nil {
		return nil, err
	}
	return a.Times, nil
}

func (w *watch) id(i int) string {
	if i < len(w.st.ids) {
		return w.st.ids[i]
	}
	return w.coming[i-len(w.st.ids)]
}

var versionMember = []byte(`"version":`)

// check takes note of an answer. An order that has never been shown may be missing.
func (w *watch) check(order int, least int64, status int, body []byte) error {
	var version int64
	if status == http.StatusOK {
		_, rest, _ := bytes.Cut(body, versionMember) // the order's comes before those of what belongs to it
		end := bytes.IndexAny(rest, ",}")
		v, err := strconv.ParseInt(string(rest[:max(0, end)]), 10, 64)
		if err != nil {
			return fmt.Errorf("an order without a version: %s", body)
		}
		version = v
	} else if status != http.StatusNotFound {
		return fmt.Errorf("it was answered with %d: %s", status, body)
	}
	if version < least || version == 0 && order < len(w.st.ids) {
		if w.wrong.Add(1) == 1 {
			w.st.bench.say("  the first wrong answer: version %d after %d: %s", version, least, body)
		}
	}
	for {
		was := w.versions[order].Load()
		if version <= was || w.versions[order].CompareAndSwap(was, version) {
			return nil
		}
	}
}

// publish publishes what comes, until ended.
func (w *watch) publish(ctx context.Context, ended <-chan struct{}) (err error) {
	producer, err := kafka.NewProducer(kafka.Config{Brokers: w.st.brokers})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, producer.Close()) }()
	tick := time.NewTicker(swapEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		var batch []kafka.Record
		for range int(swapWrites * swapEvery / time.Second) {
			if r, ok := w.next.Next(); ok {
				batch = append(batch, r)
			}
		}
		if len(batch) > 0 {
			if err := producer.Publish(ctx, batch); err != nil {
				return err
			}
		}
	}
}

// rebuild builds the order view anew, and returns how long it took until that was swapped in.
func (st *standing) rebuild(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+st.operator+"/admin/projections/rebuild/"+orderview.Service, nil)
	if err != nil {
		return 0, err
	}
	if _, _, err := call(r); err != nil {
		return 0, err
	}
	err = st.proc.Until(ctx, projectWithin, swapEvery, func() error {
		views, err := st.views(ctx)
		if err != nil {
			return err
		}
		for _, v := range views {
			if v.View == orderview.Service {
				return replaced(v)
			}
		}
		return errors.New("the order view is not there")
	})
	return time.Since(began), err
}

// replaced returns an error as long as the first build of a view is the one in use.
func replaced(v service.ViewReport) error {
	for _, b := range v.Builds {
		if b.State == "active" && b.Build > 1 {
			return nil
		}
	}
	return fmt.Errorf("it is not replaced yet: %+v", v.Builds)
}

// right holds that orders stand as they do in the data set.
func (st *standing) right(ctx context.Context) error {
	for i := range listChecks * 4 {
		want := st.sample(i)
		var got struct {
			ID     string `json:"id"`
			Status string `json:"status"`
		}
		if _, err := st.look(ctx, "/v1/orders/"+want.ID, &got); err != nil {
			return err
		}
		if got.ID != want.ID || got.Status != string(want.Status) {
			return fmt.Errorf("after the rebuild order %s is %q, and should be %q", want.ID, got.Status, want.Status)
		}
	}
	return nil
}
