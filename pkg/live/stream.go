package live

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// Scope is what a stream is about.
type Scope struct {
	// Key is that of the events which belong to it; "" is everything.
	Key string

	// Records names, for topics in which all that belongs to the key is in records of one Kafka key,
	// that key: the stream then depends on one of the topic's partitions. It depends on all
	// partitions of topics that are not named.
	Records map[string]string

	// Restricted lets restricted events through.
	Restricted bool
}

// Stream is what one client is sent, from a place in the topics on. Run is called once, or Close.
type Stream struct {
	tail  *tail
	scope Scope
	parts []int // of the tail's partitions, rising: those that it depends on
	mark  uint32
	retry time.Duration

	// Of whoever calls Run.
	at      position
	backlog []item // before what is pending

	// Under the hub's lock.
	from    position // events before it are not sent: the client has them
	pending []item
	cut     bool
	ended   bool // what waits is the last
	closed  bool
	wake    chan struct{}
}

// Bounds of what a stream sends.
const (
	maxSend = 64 << 10 // bytes of events that are sent at once, and one event
	// A client that was cut off comes back after retryMin, and up to retrySpread later: the clients of
	// an instance that ends do not all come to another one at once.
	retryMin    = time.Second
	retrySpread = 2 * time.Second
)

// place is the place of a partition among those that the stream depends on; -1: it does not.
func (s *Stream) place(part int) int {
	if i, ok := slices.BinarySearch(s.parts, part); ok {
		return i
	}
	return -1
}

// wants reports whether an event is for this stream.
func (s *Stream) wants(e *Event) bool {
	return e.TakenBack || (s.scope.Key == "" || s.scope.Key == e.Key) && (s.scope.Restricted || !e.Restricted)
}

// push puts an event of a partition into the queue if it is for this stream, or cuts the stream off if
// the queue is full. It is called under the hub's lock.
func (s *Stream) push(part int, offset int64, e *Event) {
	if i := s.place(part); i >= 0 && offset >= s.from[i] && s.wants(e) {
		s.enqueue(item{int32(i), offset, e})
	}
}

func (s *Stream) enqueue(it item) {
	switch {
	case s.cut, s.ended:
	case len(s.pending) >= s.tail.hub.o.Buffer:
		s.cut, s.pending = true, nil
	default:
		s.pending = append(s.pending, it)
	}
	s.notify()
}

// abandon has the stream end with an id that nothing is resumed from, since its place in a partition is
// gone. What waits is not sent: the client reads anew. It is called under the hub's lock.
func (s *Stream) abandon(part int) {
	s.pending = []item{{int32(s.place(part)), nowhere, &Event{TakenBack: true}}}
	s.cut, s.ended = false, true
	s.notify()
}

func (s *Stream) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take returns what waits, and where the stream stands once that is sent. ok is false if it was cut off.
func (s *Stream) take() (items []item, then position, ok bool) {
	h := s.tail.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	items, s.pending = s.pending, nil
	then = make(position, len(s.parts))
	for i, part := range s.parts {
		then[i] = s.tail.next[part]
	}
	return items, then, !s.cut
}

// Run sends events until ctx ends, or until something is taken back, neither of which is an error, until
// the client has not kept up (ErrSlow), or until send fails. send gets whole events in SSE's form, and
// must not keep the bytes; it decides how long a client may take. The first event, unless nil, is sent
// before all others, and what it says is as of the place at which the stream begins.
func (s *Stream) Run(ctx context.Context, first *Event, send func([]byte) error) error {
	defer s.Close()
	err := s.run(ctx, first, send)
	if errors.Is(err, ErrSlow) || errors.Is(err, os.ErrDeadlineExceeded) {
		s.tail.hub.o.Metrics.cut.Inc()
		return ErrSlow
	}
	if ctx.Err() != nil || errors.Is(err, ErrTakenBack) {
		return nil
	}
	return err
}

func (s *Stream) run(ctx context.Context, first *Event, send func([]byte) error) error {
	if err := s.begin(first, send); err != nil {
		return err
	}
	silence := s.tail.hub.o.Heartbeat
	beat := time.NewTimer(silence)
	defer beat.Stop()
	for {
		sent, err := s.step(ctx, send)
		if err != nil {
			return err
		}
		if sent {
			beat.Reset(silence)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-beat.C:
			if err := s.beat(send); err != nil {
				return err
			}
			beat.Reset(silence)
		}
	}
}

// begin sends when to come back, and the first event.
func (s *Stream) begin(first *Event, send func([]byte) error) error {
	out := append([]byte("retry: "), strconv.FormatInt(s.retry.Milliseconds(), 10)...)
	out = append(out, "\n\n"...)
	if first != nil {
		out = s.appendEvent(out, first)
	}
	return send(out)
}

// step sends what waits.
func (s *Stream) step(ctx context.Context, send func([]byte) error) (sent bool, err error) {
	items, then, ok := s.take()
	if !ok {
		return false, ErrSlow
	}
	if len(s.backlog) > 0 {
		items, s.backlog = append(s.backlog, items...), nil
	}
	if len(items) == 0 {
		return false, nil
	}
	return true, s.send(ctx, items, then, send)
}

// buffers are used for as long as it takes to send: streams that nothing happens to hold none.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// send sends events, some at a time.
func (s *Stream) send(ctx context.Context, items []item, then position, send func([]byte) error) error {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	out := (*buffer)[:0]
	for n, it := range items {
		if it.event.TakenBack {
			if it.offset == nowhere {
				s.at[it.part] = nowhere
				out = s.appendPlace(out)
			}
			if len(out) > 0 {
				if err := send(out); err != nil {
					return err
				}
			}
			return ErrTakenBack
		}
		s.at[it.part] = it.offset + 1
		last := n == len(items)-1
		if last {
			s.advance(then)
		}
		out = s.appendEvent(out, it.event)
		if !last && len(out) < maxSend {
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := send(out); err != nil {
			return err
		}
		out = out[:0]
	}
	if cap(out) <= 2*maxSend {
		*buffer = out
	}
	s.tail.hub.o.Metrics.events.Add(float64(len(items)))
	return nil
}

// advance moves the stream to where it stands after all that has waited for it. It may be ahead
// already: it was begun by another instance.
func (s *Stream) advance(then position) (moved bool) {
	for i := range then {
		if then[i] > s.at[i] {
			s.at[i], moved = then[i], true
		}
	}
	return moved
}

// beat says that the stream is alive, and how far it has come: an id without data is no event, but
// the client keeps it and comes back with it.
func (s *Stream) beat(send func([]byte) error) error {
	h := s.tail.hub
	h.mu.Lock()
	quiet := len(s.backlog) == 0 && len(s.pending) == 0 && !s.cut
	moved := false
	if quiet {
		for i, part := range s.parts {
			if next := s.tail.next[part]; next > s.at[i] {
				s.at[i], moved = next, true
			}
		}
	}
	h.mu.Unlock()
	if !moved {
		return send([]byte(":\n\n"))
	}
	return send(s.appendPlace(nil))
}

// appendPlace appends an id without an event.
func (s *Stream) appendPlace(b []byte) []byte {
	return append(appendID(append(b, "id: "...), s.mark, s.at), "\n\n"...)
}

func (s *Stream) appendEvent(b []byte, e *Event) []byte {
	b = appendID(append(b, "id: "...), s.mark, s.at)
	b = append(append(b, "\nevent: "...), e.Name...)
	b = append(append(b, "\ndata: "...), e.Data...)
	return append(b, "\n\n"...)
}

// Close ends a stream that is not run. It may be called again.
func (s *Stream) Close() {
	h := s.tail.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.tail.remove(s)
	s.pending = nil
	h.o.Metrics.streams.Dec()
}

// partsOf are the partitions that a scope depends on.
func (t *tail) partsOf(scope *Scope) []int {
	count := make(map[string]int32)
	for _, p := range t.parts {
		count[p.Topic]++
	}
	var parts []int
	for i, p := range t.parts {
		key, one := scope.Records[p.Topic]
		if one && kafka.PartitionOf([]byte(key), count[p.Topic]) != p.ID {
			continue
		}
		parts = append(parts, i)
	}
	return parts
}
