// Package estest lets tests of a decider read as given events, when a command, then
// events or a refusal. Every event that appears is also encoded and decoded, so that a
// domain test fails when a stored shape loses something.
package estest

import (
	"errors"
	"reflect"
	"testing"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
)

// Spec is a test of one decider.
type Spec[S, E, C any] struct {
	t   testing.TB
	agg *es.Aggregate[S, E, C]
}

// Of starts a test of a decider with its stored shapes.
func Of[S, E, C any](t testing.TB, agg *es.Aggregate[S, E, C]) Spec[S, E, C] {
	return Spec[S, E, C]{t: t, agg: agg}
}

// Given says what has happened to the stream; nothing, for a new one.
func (s Spec[S, E, C]) Given(events ...E) History[S, E, C] {
	s.t.Helper()
	return History[S, E, C]{Spec: s, given: events, state: s.fold(events)}
}

func (s Spec[S, E, C]) fold(events []E) S {
	s.t.Helper()
	state := s.agg.Initial()
	for _, e := range events {
		state = s.agg.Evolve(s.roundTrip(e), state)
	}
	return state
}

// roundTrip stores an event and reads it back. What is personal is not part of the fold.
func (s Spec[S, E, C]) roundTrip(event E) E {
	s.t.Helper()
	r, err := s.agg.Codec.Encode(event)
	if err != nil {
		s.t.Fatalf("the event can't be stored: %v", err)
	}
	r.Event = nil
	back, err := s.agg.Codec.Decode(&r)
	if err != nil {
		s.t.Fatalf("the stored event can't be read: %v", err)
	}
	return back
}

// History is a stream with a past.
type History[S, E, C any] struct {
	Spec[S, E, C]
	given []E
	state S
}

// When decides a command.
func (h History[S, E, C]) When(command C) Decided[E] {
	events, err := h.agg.Decide(command, h.state)
	return Decided[E]{t: h.t, events: events, err: err}
}

// Decided is what a command came to.
type Decided[E any] struct {
	t      testing.TB
	events []E
	err    error
}

// Then expects exactly these events; none means that the command changes nothing and is no error.
func (d Decided[E]) Then(want ...E) {
	d.t.Helper()
	if d.err != nil {
		d.t.Fatalf("refused with %v, want %d events", d.err, len(want))
	}
	if len(d.events) != len(want) {
		d.t.Fatalf("decided %#v\n want %#v", d.events, want)
	}
	for i := range want {
		if !reflect.DeepEqual(d.events[i], want[i]) {
			d.t.Fatalf("event %d is %#v\n want %#v", i+1, d.events[i], want[i])
		}
	}
}

// Refused expects a refusal of the same kind and code, and nothing decided.
func (d Decided[E]) Refused(want *fault.Fault) {
	d.t.Helper()
	if !errors.Is(d.err, want) {
		d.t.Fatalf("got %v with %d events, want the refusal %v", d.err, len(d.events), want)
	}
	if len(d.events) > 0 {
		d.t.Fatalf("refused, and decided %#v all the same", d.events)
	}
}
