package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/api"
	"github.com/orderlane/orderlane/bench/mix"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service"
	"github.com/orderlane/orderlane/services/insights"
	"github.com/orderlane/orderlane/services/orderview"
	"github.com/orderlane/orderlane/services/storefront"
)

// Of data sets.
const (
	dataSeed = 5
	dataAge  = 120 * 24 * time.Hour // how long ago the first order was placed: all of it is past
)

// readSide are the services of the read side, and their views.
var readSide = map[string]func() projection.View{
	orderview.Service: orderview.NewView, insights.Service: insights.NewView, storefront.Service: storefront.NewView,
}

// measureMix is how many events of the full mix one process projects in a second that runs all
// services of the read side.
func measureMix(ctx context.Context, b *bench) error {
	lives, err := b.lives(ctx)
	if err != nil {
		return err
	}
	events := int(mixRate * b.lasting.Seconds())
	s, data, err := b.newMix(ctx, lives, int(float64(events)/lives.PerOrder()))
	if err != nil {
		return err
	}
	filled, err := s.fillMix(ctx, data.Messages(), -1)
	if err != nil {
		return err
	}
	p, err := s.project(ctx, filled)
	if err != nil {
		return err
	}
	b.report.add(row{
		measure: fmt.Sprintf("projection of the full event mix, %s events into three views", thousands(float64(filled.all))), goal: ">= 20,000/s",
		measured: perSecond(p.rate), met: p.rate >= mixRate,
	})
	b.report.note("An event of the full mix takes %.0f us of CPU in %.1f views.", float64(p.each)/float64(time.Microsecond), p.views)
	return errors.Join(s.proc.Stop(), s.end())
}

// mixRate is the goal of measureMix, in events per second.
const mixRate = 20_000

// newMix prepares a system with the services of the read side, and a data set for it.
func (b *bench) newMix(ctx context.Context, lives *mix.Lives, orders int, without ...string) (*system, *mix.Data, error) {
	s, err := b.newSystem(ctx, ours, 8)
	if err != nil {
		return nil, nil, err
	}
	s.services = slices.Sorted(maps.Keys(readSide))
	return s, lives.Data(mix.Options{Seed: dataSeed, Orders: orders, Begins: time.Now().Add(-dataAge), Without: without}), nil
}

// filled is what was published of a data set.
type filled struct {
	all    int
	topics map[string]int
	orders int // that have begun
	again  int // messages of a compacted topic that replace earlier ones
}

// fillMix publishes messages while the system does not run: so many, or all if that is negative.
func (s *system) fillMix(ctx context.Context, messages *mix.Messages, most int) (filled, error) {
	f := filled{topics: make(map[string]int)}
	personal := make(map[string]bool)
	var topics []kafka.TopicSpec
	for _, service := range api.Services {
		topics = append(topics, bus.ServiceTopics(service.Name, len(service.Personal) > 0, s.partitions, 1)...)
	}
	began := time.Now()
	err := s.publish(ctx, topics, func() (kafka.Record, bool, error) {
		if f.all == most {
			return kafka.Record{}, false, nil
		}
		r, ok := messages.Next()
		if ok {
			f.all++
			f.topics[r.Topic]++
			if strings.HasSuffix(r.Topic, bus.PersonalTopic("")) {
				if personal[string(r.Key)] {
					f.again++
				}
				personal[string(r.Key)] = true
			}
		}
		return r, ok, nil
	})
	f.orders = messages.Orders
	s.bench.say("  %s events of %s orders were published in %v", thousands(float64(f.all)), thousands(float64(f.orders)), time.Since(began).Round(time.Millisecond))
	return f, err
}

// records is how many of the messages a service of the read side takes up.
func (f *filled) records(service string) (n int) {
	for _, source := range readSide[service]().Sources() {
		n += f.topics[source.Topic]
	}
	return n
}

// projected is how a projection went.
type projected struct {
	rate  float64       // events per second, each counted once, until the last view was done
	each  time.Duration // CPU time of an event in all views
	views float64       // that an event goes to
}

// project starts the system on topics that were filled, waits until every view has taken up all of it, and
// leaves it running.
func (s *system) project(ctx context.Context, f filled) (p projected, err error) {
	if err := s.launch(ctx); err != nil {
		return p, err
	}
	want := make(map[string]int)
	all := 0
	for _, view := range s.services {
		want[view] = f.records(view)
		all += want[view]
		if view == orderview.Service {
			want[view] -= f.again // which the broker may have taken out of the topic
		}
	}
	done := func() {}
	defer func() { done() }()
	var first, last time.Time
	looking, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var at, seen int
	var cpu time.Duration
	err = s.proc.Until(looking, projectWithin, projectEvery, func() error {
		counts, err := s.folded(ctx)
		if err != nil {
			return err
		}
		n, now := 0, time.Now()
		var missing []string
		for view, want := range want {
			if n += counts[view]; counts[view] < want {
				missing = append(missing, fmt.Sprintf("%s has %d of %d", view, counts[view], want))
			}
		}
		if n > 0 && first.IsZero() {
			first, at = now, n
			cpu, err = s.proc.CPU()
			done = s.bench.profile(ctx, s, s.bench.lasting/2)
		}
		if n > seen {
			seen, last = n, now
		}
		if !first.IsZero() && now.Sub(last) > stalled {
			cancel(fmt.Errorf("nothing has been taken up for %v: %s", stalled, strings.Join(missing, ", ")))
		}
		if len(missing) > 0 {
			return errors.Join(err, errors.New(strings.Join(missing, ", ")))
		}
		if now.Sub(last) < projectRest {
			return errors.New("it may not have come to rest")
		}
		return err
	})
	if err != nil {
		return p, cmp.Or(context.Cause(looking), err)
	}
	if seen > all {
		return p, fmt.Errorf("%d records have been taken up of %d", seen, all)
	}
	spent, err := s.proc.CPU()
	if err != nil {
		return p, err
	}
	took := last.Sub(first)
	left := float64(seen-at) / float64(seen) * float64(f.all) // events, by the share of the work
	p = projected{rate: left / took.Seconds(), each: time.Duration(float64(spent-cpu) / left), views: float64(all) / float64(f.all)}
	s.bench.say("  %s, %v of CPU an event", perSecond(p.rate), p.each.Round(time.Microsecond))
	return p, errors.Join(s.unbroken(ctx), s.proc.Until(ctx, startWithin, 10*time.Millisecond, func() error { return ready("http://" + s.operator + "/readyz") }))
}

// Bounds of a projection.
const (
	projectWithin = 2 * time.Hour
	projectEvery  = 50 * time.Millisecond
	projectRest   = 500 * time.Millisecond
)

// folded is how many records each view has taken up since the process was started, by its metrics.
func (s *system) folded(ctx context.Context) (map[string]int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.operator+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	counts := make(map[string]int)
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		labels, ok := strings.CutPrefix(lines.Text(), `orderlane_projection_records_total{result="folded",view="`)
		if !ok {
			continue
		}
		view, value, _ := strings.Cut(labels, `"} `)
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("metrics of %s: %w", view, err)
		}
		// Until a view is built for the first time, what it does is that of a rebuild.
		counts[strings.TrimSuffix(view, " rebuild")] += int(n)
	}
	return counts, nil
}

// unbroken holds that no view has a key that it could not go on with.
func (s *system) unbroken(ctx context.Context) error {
	views, err := s.views(ctx)
	if err != nil {
		return err
	}
	for _, v := range views {
		if len(v.Broken) > 0 {
			return fmt.Errorf("%s has %d broken keys; the first: %+v", v.View, len(v.Broken), v.Broken[0])
		}
	}
	return nil
}

// views asks how the views are.
func (s *system) views(ctx context.Context) (views []service.ViewReport, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.operator+"/admin/projections", nil)
	if err != nil {
		return nil, err
	}
	data, _, err := call(r)
	if err != nil {
		return nil, err
	}
	return views, json.Unmarshal(data, &views)
}

// Of measureScale.
const (
	scaleFirst = 100_000 // events
	scaleStep  = 100_000
	scaleGoal  = 0.9
)

// measureScale is whether a view that has many events projects more of them as fast as one that has few.
func measureScale(ctx context.Context, b *bench) error {
	first, _, err := b.projectMore(ctx, scaleFirst)
	if err != nil {
		return err
	}
	last, all, err := b.projectMore(ctx, b.scale)
	if err != nil {
		return err
	}
	b.report.add(row{
		measure: fmt.Sprintf("projection of %s events more, with %s in the views, against %s",
			thousands(scaleStep), thousands(float64(b.scale)), thousands(scaleFirst)),
		goal:     fmt.Sprintf(">= %.1fx", scaleGoal),
		measured: perSecond(last.rate), baseline: perSecond(first.rate), ratio: fmt.Sprintf("%.2fx", last.rate/first.rate), met: last.rate >= scaleGoal*first.rate,
	})
	b.report.note("Those %s were projected at %s. An event more took %.1f us of CPU with few and %.1f us with all of them.", thousands(float64(b.scale)),
		perSecond(all.rate), float64(first.each)/float64(time.Microsecond), float64(last.each)/float64(time.Microsecond))
	return nil
}

// projectMore measures how more events are projected by views that have so many, and how those were. It is the same in a
// large shop as in a small one: after weeks of orders, while others are still being placed.
func (b *bench) projectMore(ctx context.Context, events int) (more, before projected, err error) {
	lives, err := b.lives(ctx)
	if err != nil {
		return more, before, err
	}
	s, data, err := b.newMix(ctx, lives, int(scaleMargin*float64(events+scaleStep)/lives.PerOrder()))
	if err != nil {
		return more, before, err
	}
	messages := data.Messages()
	for _, n := range []int{events, scaleStep} {
		b.say("scale: %s events more", thousands(float64(n)))
		f, err := s.fillMix(ctx, messages, n)
		if err != nil {
			return more, before, err
		}
		if f.orders == data.Options().Orders {
			return more, before, errors.New("all orders have been placed before the end")
		}
		before = more
		if more, err = s.project(ctx, f); err != nil {
			return more, before, err
		}
		if err := s.proc.Stop(); err != nil {
			return more, before, err
		}
	}
	return more, before, s.end()
}

// scaleMargin is by how much a data set is larger than what is measured of it.
const scaleMargin = 1.15
