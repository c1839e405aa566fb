package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/bench/load"
)

// Of the footprint.
const (
	manyOrders = 100_000
	starts     = 5
	settle     = 2 * time.Second // after the last order, as nobody looks at memory in the middle of a load
)

// measureFootprint is what the process with everything embedded takes: memory after many
// orders, and time from its start to its first visible order.
func measureFootprint(ctx context.Context, b *bench) error {
	if len(b.kafka) > 0 || b.postgres != "" {
		b.say("footprint: is for everything embedded, left out")
		return nil
	}
	orders := manyOrders
	if b.quick {
		orders /= 10
	}
	b.say("footprint: memory after %s orders", thousands(float64(orders)))
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
	_, _, err = s.drive(ctx, func(ctx context.Context, backlog *load.Backlog) (*load.Result, error) {
		return load.Count(ctx, load.Target{Addr: s.api}, connections, orders, backlog)
	})
	if err != nil {
		return err
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	now, peak, err := s.proc.Memory()
	if err != nil {
		return err
	}
	b.report.add(row{
		measure: fmt.Sprintf("embedded: memory after %s orders", thousands(float64(orders))), goal: "<= 150 MB",
		measured: mebibytes(now), met: now <= 150_000_000,
	})
	b.report.note("Memory is resident memory %v after the last order; the most there was is %s.", settle, mebibytes(peak))
	if err := errors.Join(s.check(ctx, s.seen), s.stop(), s.end()); err != nil {
		return err
	}
	return b.measureStart(ctx)
}

// measureStart starts the process on data of an earlier run, and asks at once.
func (b *bench) measureStart(ctx context.Context) error {
	b.say("footprint: %d starts", starts)
	s, err := b.newSystem(ctx, ours, 8)
	if err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	if err := errors.Join(s.warm(ctx), s.stop()); err != nil {
		return err
	}
	var took []time.Duration
	for range starts {
		begin := time.Now()
		if err := s.launch(ctx); err != nil {
			return err
		}
		if err := s.firstOrder(ctx, 0, ""); err != nil {
			return err
		}
		took = append(took, time.Since(begin))
		if err := s.stop(); err != nil {
			return err
		}
	}
	slices.Sort(took)
	median := took[len(took)/2]
	b.report.add(row{
		measure: "embedded: start to first visible order", goal: "<= 500 ms",
		measured: fmt.Sprintf("%d ms (%d..%d)", median.Milliseconds(), took[0].Milliseconds(), took[len(took)-1].Milliseconds()),
		met:      median <= 500*time.Millisecond,
	})
	return s.end()
}

// firstOrder places an order as soon as the process listens, and returns when it can be read.
// The order waits for what the token names.
func (s *system) firstOrder(ctx context.Context, i int, after string) error {
	var path, token string
	err := s.proc.Until(ctx, startWithin, 2*time.Millisecond, func() (err error) {
		path, token, err = s.place(ctx, i, after)
		return err
	})
	if err != nil {
		return err
	}
	return s.get(ctx, path, token)
}

// place places an order, which waits for what the token names, and waits until that has succeeded. It returns where the
// order is, and its token.
func (s *system) place(ctx context.Context, i int, after string) (path, token string, err error) {
	body, err := json.Marshal(newOrder(i))
	if err != nil {
		return "", "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.api+"/v1/orders", strings.NewReader(string(body)))
	if err != nil {
		return "", "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Prefer", "wait=10")
	if after != "" {
		r.Header.Set("Consistency-Token", after)
	}
	data, header, err := call(r)
	if err != nil {
		return "", "", err
	}
	var answer struct {
		Links map[string]string `json:"links"`
	}
	err = json.Unmarshal(data, &answer)
	return answer.Links["resource"], header.Get("Consistency-Token"), err
}

// get reads a path, which must be there, as fresh as the token asks.
func (s *system) get(ctx context.Context, path, token string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.api+path, nil)
	if err != nil {
		return err
	}
	if token != "" {
		r.Header.Set("Consistency-Token", token)
	}
	_, _, err = call(r)
	return err
}

// call sends a request whose answer is to be 200.
func call(r *http.Request) ([]byte, http.Header, error) {
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", r.Method, r.URL, resp.Status, data)
	}
	return data, resp.Header, err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
