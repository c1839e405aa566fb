package demo

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// latency keeps the last times that customers waited for.
type latency struct {
	mu   sync.Mutex
	last [1000]time.Duration
	n    int
}

func (l *latency) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last[l.n%len(l.last)] = d
	l.n++
}

// percentiles are the median and the 99th percentile of the last times.
func (l *latency) percentiles() (p50, p99 time.Duration) {
	l.mu.Lock()
	times := slices.Clone(l.last[:min(l.n, len(l.last))])
	l.mu.Unlock()
	if len(times) == 0 {
		return 0, 0
	}
	slices.Sort(times)
	return times[len(times)/2], times[len(times)*99/100]
}

// show tells how it goes until ctx ends: live on a terminal, a line every few seconds elsewhere.
func (s *shop) show(ctx context.Context) error {
	if s.Fancy {
		return s.live(ctx)
	}
	every(ctx, 5*time.Second, func(context.Context) { s.line(s.Out) })
	s.line(s.Out)
	return nil
}

func (s *shop) line(w io.Writer) {
	t := &s.tally
	p50, p99 := t.latency.percentiles()
	fmt.Fprintf(w, "ordered %d  cancelled %d  dispatched %d  delivered %d  returned %d/%d  restocked %d  refused %d  failed %d  not let in %d  stuck %d  outcome p50 %v p99 %v\n",
		t.ordered.Load(), t.cancelled.Load(), t.dispatched.Load(), t.delivered.Load(), t.received.Load(), t.returned.Load(),
		t.restocked.Load(), t.refused.Load(), t.failed.Load(), t.busy.Load(), t.stuck.Load(),
		p50.Round(100*time.Microsecond), p99.Round(100*time.Microsecond))
}

// live shows one bar a step of an order's way, each against the orders that were placed.
func (s *shop) live(ctx context.Context) error {
	p := mpb.New(mpb.WithOutput(s.Out), mpb.WithWidth(40), mpb.WithRefreshRate(200*time.Millisecond))
	t := &s.tally
	steps := []struct {
		name  string
		count func() int64
	}{
		{"ordered", t.ordered.Load},
		{"dispatched", t.dispatched.Load},
		{"delivered", t.delivered.Load},
		{"cancelled", t.cancelled.Load},
		{"sent back", t.returned.Load},
		{"taken back", t.received.Load},
		{"refused", t.refused.Load},
		{"failed", t.failed.Load},
		{"stuck", t.stuck.Load},
	}
	bars := make([]*mpb.Bar, len(steps))
	for i, step := range steps {
		bars[i] = p.AddBar(0, // a total that is known would complete it
			mpb.PrependDecorators(decor.Name(step.name, decor.WC{W: 12, C: decor.DindentRight})),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return fmt.Sprintf("%7d", step.count()) })))
	}
	p50 := p.AddBar(0, mpb.BarWidth(1), mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
		median, most := t.latency.percentiles()
		return fmt.Sprintf("outcome of an order: p50 %v, p99 %v, over the last 1,000", median.Round(100*time.Microsecond), most.Round(100*time.Microsecond))
	})))
	every(ctx, 200*time.Millisecond, func(context.Context) {
		all := max(1, t.ordered.Load())
		for i, step := range steps {
			bars[i].SetTotal(all, false)
			bars[i].SetCurrent(min(step.count(), all))
		}
	})
	for _, b := range append(bars, p50) {
		b.Abort(false)
	}
	p.Wait()
	s.line(s.Out)
	return nil
}
