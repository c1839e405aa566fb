// Package es is the write side's core: deciders say how a stream behaves, the engine
// decides commands on them in batches, and the log port keeps what was decided.
//
// In the flow it stands between the command topics (package bus hands commands to the
// engine) and the relay, which publishes what the engine has appended to the log.
//
// A stream may have a deadline (Decider.Deadline): the log keeps it as a timer, and when it has
// passed the stream gets a command like any other, in its place among them (package process).
package es

import "time"

// Decider is the behaviour of one kind of stream: what a command decides on a state, and
// how an event changes it. Its functions are pure; time, ids, prices and the caller are
// data in the command.
//
// The form is Jérémie Chassaing's functional event sourcing decider.
type Decider[S, E, C any] struct {
	// Category is the first part of the streams' names: <Category>-<id>.
	Category string
	// StateVersion is the version of S's stored form, from 1. Raise it whenever a stored
	// state would be read wrongly: states of other versions are folded anew from the events.
	StateVersion int
	// Initial is the state of a stream without events.
	Initial func() S
	// Decide returns the events that a command leads to; none if all is so already. An
	// error is a refusal if it is a fault.Fault, and a bug otherwise.
	Decide func(C, S) ([]E, error)
	// Evolve returns the state after an event. It may change S in place.
	Evolve func(E, S) S
	// Deadline returns when the stream wants to be woken next; the zero time means never, and
	// so does a nil function. Whenever it changes, the engine writes the stream's timer in the
	// same append, so that no deadline is lost; at that time the stream gets a command (see
	// Command.Due). It is rounded up to the microsecond, and one that has passed already when it is
	// written is the time of the append. Where a new release computes it differently, or for the
	// first time, a stream's timer changes with its next event or when it is woken.
	Deadline func(S) time.Time
}

// Stream returns the name of the stream of the thing with the given id.
func (d Decider[S, E, C]) Stream(id string) string { return d.Category + "-" + id }

// Personal is implemented by events that carry a personal payload (names, addresses, mail
// addresses). The payload is stored apart from the event, so that it can be erased, and
// must be left out of the event's own JSON. Later payloads of a stream override earlier
// ones member by member.
type Personal interface {
	// PersonalPayload returns what is stored apart, as a value that encodes to a JSON
	// object, or nil if this event carries none.
	PersonalPayload() any
}

// Eraser is implemented by events that erase all personal payloads that their stream had
// until then.
type Eraser interface{ ErasesPersonal() }
