package es

import (
	"fmt"
	"time"

	"github.com/orderlane/orderlane/pkg/failpoint"
	"github.com/orderlane/orderlane/pkg/fault"
)

// decision is what deciding a batch came to, before it is written.
type decision struct {
	decided []*pending
	streams []*stream // decided on, in order of appearance
	byName  map[string]*stream
	write   Batch
}

// decideBatch decides commands in order, each on the state that the ones before it left.
// It returns false if a command broke off after it may have changed a state in place: that
// command carries the reason to be parked for, and all must be decided again on fresh states.
func (e *Engine) decideBatch(todo []*pending, now time.Time) (*decision, bool) {
	d := &decision{decided: todo, byName: make(map[string]*stream, len(todo))}
	d.write.Seen = e.seen
	d.write.Events = make([]Record, 0, len(todo))
	d.write.Outcomes = make([]Outcome, 0, len(todo))
	for _, p := range todo {
		switch {
		case p.Final != nil:
			d.conclude(p, *p.Final)
			continue
		case p.park != "":
			d.park(p, now)
			continue
		case p.Of == nil:
			p.park = p.Parked.Reason
			d.park(p, now)
			continue
		}
		d.touch(p.stream)
		if err := safely(func() error { return d.decide(p, now) }); err != nil {
			p.park = err.Error()
			return d, false
		}
	}
	for _, s := range d.streams {
		// Events on a guessed stream collide with those that are there. A refusal does not: the
		// log must compare the stream's version for it, wherever its head is.
		if s.guessed && s.version == s.base {
			d.write.Seen = -1
		}
	}
	err := d.states()
	if err == nil {
		err = d.timers(now)
	}
	if err != nil {
		err.command(todo).park = err.Error()
		return d, false
	}
	return d, true
}

// touch notes that a stream's version matters to this batch, also to its refusals.
func (d *decision) touch(s *stream) {
	if s.batch {
		return
	}
	s.batch = true
	d.streams = append(d.streams, s)
	d.byName[s.name] = s
	d.write.Streams = append(d.write.Streams, StreamVersion{Stream: s.name, Version: s.base})
}

// decide decides one command. An error is a fault of ours: a panic, an event that has no
// stored shape, an error that is no refusal.
func (d *decision) decide(p *pending, now time.Time) error {
	s := p.stream
	failpoint.Panic("engine.decide", s.name)
	outcome := Outcome{
		Command: p.Meta.Command, Type: p.Type, Stream: p.Stream, Status: StatusSucceeded,
		Digest: p.Meta.Digest, Time: now,
	}
	if p.IfVersion != nil && *p.IfVersion != s.version && (*p.IfVersion != AnyVersion || s.version == 0) {
		refusal := fault.Precondition("stream_moved_on", "the resource is at another version than you have seen: read it again")
		// What the caller may not see is not there for them, at whatever version.
		if _, err := p.Of.decide(p.Body, s.state); err != nil {
			if f, ok := fault.Of(err); ok && f.Kind == fault.KindNotFound {
				refusal = f
			}
		}
		d.refuse(p, outcome, refusal)
		return nil
	}
	if early(p) {
		outcome.Version = s.version
		d.conclude(p, outcome)
		return nil
	}
	events, err := p.Of.decide(p.Body, s.state)
	if err != nil {
		if fault.TreatmentOf(err) == fault.Park {
			return err
		}
		refusal, _ := fault.Of(err)
		d.refuse(p, outcome, refusal)
		return nil
	}
	for _, event := range events {
		r, err := p.Of.encode(event)
		if err != nil {
			return err
		}
		if len(r.Data) > MaxPayload || len(r.Personal) > MaxPayload {
			return fmt.Errorf("es: event %s of %s is larger than %d bytes", r.Type, p.Stream, MaxPayload)
		}
		s.version++
		r.Stream, r.Version, r.Time, r.Meta = p.Stream, s.version, now, p.Meta
		s.state = p.Of.evolve(event, s.state)
		d.write.Events = append(d.write.Events, r)
		outcome.Position = int64(len(d.write.Events))
	}
	outcome.Version = s.version
	d.conclude(p, outcome)
	return nil
}

func (d *decision) refuse(p *pending, o Outcome, f *fault.Fault) {
	o.Status, o.Fault, o.Version = StatusRefused, f, p.stream.version
	d.conclude(p, o)
}

func (d *decision) conclude(p *pending, o Outcome) {
	p.answer = Answer{Outcome: o}
	d.write.Outcomes = append(d.write.Outcomes, o)
}

// park keeps a command that can't be handled, so that it can be sent again.
func (d *decision) park(p *pending, now time.Time) {
	parked := p.Parked
	if len(parked.Payload) > MaxPayload {
		p.park = fmt.Sprintf("%s (its payload of %d bytes is larger than what is kept)", p.park, len(parked.Payload))
		parked.Payload = nil
	}
	parked.Command, parked.Type, parked.Reason, parked.Digest, parked.Time = p.Meta.Command, p.Type, p.park, p.Meta.Digest, now
	d.write.Parked = append(d.write.Parked, parked)
	p.answer = Answer{Outcome: Outcome{
		Command: p.Meta.Command, Type: p.Type, Stream: p.Stream, Status: StatusParked,
		Fault: parkedFault(p.park), Digest: p.Meta.Digest, Time: now,
	}}
}

// stateError says which stream's state can't be encoded.
type stateError struct {
	stream *stream
	err    error
}

func (e *stateError) Error() string { return e.err.Error() }

// command finds the last command that changed the stream.
func (e *stateError) command(todo []*pending) *pending {
	for i := len(todo) - 1; i >= 0; i-- {
		if todo[i].stream == e.stream && todo[i].park == "" {
			return todo[i]
		}
	}
	panic("es: a state changed without a command")
}

// states adds the state rows of the streams that have changed. A large state is written
// every so many events only (see stateEvery), and loaded as row and tail.
func (d *decision) states() *stateError {
	d.write.States = make([]State, 0, len(d.streams))
	for _, s := range d.streams {
		if s.version == s.base || s.version-s.stateAt < stateEvery(s.size) {
			continue
		}
		data, err := s.of.encodeState(s.state)
		if err != nil {
			return &stateError{s, err}
		}
		s.size = len(data)
		d.write.States = append(d.write.States, State{Stream: s.name, Version: s.version, StateVersion: s.of.stateVersion(), Data: data})
	}
	return nil
}

// stateEvery is after how many events a state of so many bytes is written again. A small one is
// written always. The larger a large one is, the more events it waits for: an event's share of
// the writing is then the same in a stream of whatever size, and the tail takes about as long
// to load as the row.
func stateEvery(size int) int64 {
	return min(int64(size/largeState)*largeStateEvery, largeStateAtMost)
}
