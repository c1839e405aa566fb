package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// Resume returns the stream of a scope from behind the event with that id on, whichever instance has
// sent it. It refuses with ErrMalformedID, ErrForeignID, ErrTooOld, ErrTakenBack or ErrNotStanding.
func (h *Hub) Resume(ctx context.Context, scope Scope, id string) (*Stream, error) {
	s, err := h.open(ctx, scope, false, func(s *Stream) (err error) {
		s.at, err = parseID(id, s.mark, len(s.parts))
		return err
	})
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(s.backlog, func(it item) bool { return it.event.TakenBack }) {
		s.Close()
		h.o.Metrics.resets.Inc()
		return nil, ErrTakenBack
	}
	return s, nil
}

// From returns the stream of a scope from where a view stands; partitions that are not named are told of
// from their start. Offsets that a topic does not hold count as the nearest that it does: what the view
// has not seen of what is gone, it will not see. If something is taken back after them, the stream ends
// there. It refuses with ErrTooOld or ErrNotStanding.
func (h *Hub) From(ctx context.Context, scope Scope, offsets map[kafka.Partition]int64) (*Stream, error) {
	return h.open(ctx, scope, true, func(s *Stream) error {
		for _, part := range s.parts {
			s.at = append(s.at, offsets[s.tail.parts[part]])
		}
		return nil
	})
}

func (h *Hub) open(ctx context.Context, scope Scope, fresh bool, begin func(*Stream) error) (*Stream, error) {
	t, err := h.join(ctx)
	if err != nil {
		return nil, err
	}
	s := &Stream{tail: t, scope: scope, parts: t.partsOf(&scope), mark: markOf(&scope, t.layout), wake: make(chan struct{}, 1)}
	s.scope.Records = nil // it is as large as the stream
	if err := begin(s); err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, h.o.ReplayTime)
	defer cancel()
	c := &catchUp{stream: s, fresh: fresh, at: append(position(nil), s.at...), found: make([][]item, len(s.parts)), left: h.o.MaxReplay}
	err = c.run(within)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, fmt.Errorf("live: catch up: %w", ctx.Err())
	case errors.Is(err, context.DeadlineExceeded):
		err = ErrTooOld
	}
	if errors.Is(err, ErrTooOld) {
		h.o.Metrics.resets.Inc()
	}
	if err != nil {
		return nil, err
	}
	s.backlog = c.merged()
	return s, nil
}

// catchUp finds what a stream has missed, and joins it to what happens from now on.
type catchUp struct {
	stream *Stream
	fresh  bool     // the place is that of a view, and may not be held
	at     position // all before it has been found
	found  [][]item // by place of the partition
	left   int64    // offsets that may be read
	read   bool     // a place to read from topics is taken
}

// missing is a part of a topic that is not in memory any more.
type missing struct {
	kafka.Partition
	place    int
	from, to int64
}

func (c *catchUp) run(ctx context.Context) error {
	defer c.done()
	for {
		gaps, ahead, err := c.join()
		if err != nil || len(gaps) == 0 && len(ahead) == 0 {
			return err
		}
		if c.fresh {
			c.fresh = false
			if err := c.clamp(ctx, slices.Concat(gaps, ahead)); err != nil {
				return err
			}
			continue
		}
		if len(ahead) > 0 {
			if err := c.checkEnds(ctx, ahead); err != nil {
				return err
			}
			continue
		}
		for _, g := range gaps {
			c.left -= g.to - g.from
		}
		if c.left < 0 {
			return ErrTooOld
		}
		for _, g := range gaps {
			if err := c.replay(ctx, g); err != nil {
				return err
			}
		}
	}
}

// join adds the stream to the tail together with what is in memory, or says what has to be read before.
// ahead are places where the client is further than this instance knows the topic to go.
func (c *catchUp) join() (gaps, ahead []missing, err error) {
	s, t := c.stream, c.stream.tail
	h := t.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tail != t {
		return nil, nil, ErrNotStanding
	}
	for i, part := range s.parts {
		m := missing{t.parts[part], i, c.at[i], t.next[part]}
		switch {
		case m.from < t.rings[part].from:
			gaps = append(gaps, m)
		case m.from > max(m.to, t.ends[part]):
			ahead = append(ahead, m)
		}
	}
	if len(gaps) > 0 || len(ahead) > 0 {
		return gaps, ahead, nil
	}
	for i, part := range s.parts {
		t.rings[part].since(c.at[i], func(it item) { c.find(i, it.offset, it.event) })
	}
	s.from = append(position(nil), c.at...)
	for i, part := range s.parts {
		s.from[i] = max(s.from[i], t.next[part])
	}
	h.opened++
	s.retry = retryMin + time.Duration(h.opened*617)%1000*retrySpread/1000
	t.add(s)
	h.o.Metrics.streams.Inc()
	return nil, nil, nil
}

// find notes an event that the stream has missed.
func (c *catchUp) find(place int, offset int64, e *Event) {
	if !c.stream.wants(e) {
		return
	}
	c.found[place] = append(c.found[place], item{int32(place), offset, e})
}

// replay reads a gap from its topic.
func (c *catchUp) replay(ctx context.Context, g missing) error {
	h := c.stream.tail.hub
	if !c.read {
		select {
		case h.replays <- struct{}{}:
			c.read = true
			h.o.Metrics.replays.Inc()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := h.o.Source.ReadRange(ctx, g.Partition, g.from, g.to, func(r kafka.Record) error {
		if e, ok := h.o.Decode(&r); ok {
			c.find(g.place, r.Offset, &e)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("live: catch up on %s/%d: %w", g.Topic, g.ID, err)
	}
	c.at[g.place] = g.to
	// Only now is it certain that nothing was deleted before it was read.
	held, err := h.held(ctx, g.Topic)
	if err != nil {
		return fmt.Errorf("live: catch up on %s/%d: %w", g.Topic, g.ID, err)
	}
	if held[g.Partition].First > g.from {
		return ErrTooOld
	}
	return nil
}

// clamp moves places that topics do not hold to the nearest that they do. The checkpoint of an idle partition
// stays behind when all its records are deleted, and before the marker of the last transaction.
func (c *catchUp) clamp(ctx context.Context, places []missing) error {
	topics := make([]string, len(places))
	for i, m := range places {
		topics[i] = m.Topic
	}
	slices.Sort(topics)
	held, err := c.stream.tail.hub.held(ctx, slices.Compact(topics)...)
	if err != nil {
		return fmt.Errorf("live: find what topics hold: %w", err)
	}
	for _, m := range places {
		r := held[m.Partition]
		at := min(max(m.from, r.First), r.Last)
		c.at[m.place], c.stream.at[m.place] = at, at
	}
	return nil
}

// checkEnds asks whether topics go as far as the client says it has come. Where they do not, they are
// others than those that it knows.
func (c *catchUp) checkEnds(ctx context.Context, ahead []missing) error {
	t := c.stream.tail
	for _, a := range ahead {
		held, err := t.hub.held(ctx, a.Topic)
		if err != nil {
			return fmt.Errorf("live: find the end of %s: %w", a.Topic, err)
		}
		end := held[a.Partition].Last
		if a.from > end {
			return ErrTooOld
		}
		t.hub.mu.Lock()
		part := t.index[a.Partition]
		t.ends[part] = max(t.ends[part], end)
		t.hub.mu.Unlock()
	}
	return nil
}

func (c *catchUp) done() {
	if c.read {
		<-c.stream.tail.hub.replays
	}
}

// merged is what was found, in the order of its times as far as each partition's own order allows.
func (c *catchUp) merged() []item {
	total := 0
	for _, items := range c.found {
		total += len(items)
	}
	all := make([]item, 0, total)
	for len(all) < total {
		next := -1
		for i, items := range c.found {
			if len(items) > 0 && (next < 0 || items[0].event.Time.Before(c.found[next][0].event.Time)) {
				next = i
			}
		}
		all = append(all, c.found[next][0])
		c.found[next] = c.found[next][1:]
	}
	return all
}
