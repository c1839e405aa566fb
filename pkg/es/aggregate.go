package es

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// Aggregate joins a decider with the stored shapes of its events: all that the engine
// needs to run it. It is immutable and safe for concurrent use.
type Aggregate[S, E, C any] struct {
	Decider[S, E, C]
	Codec *Codec[E]
}

// Behaviour is an Aggregate with its types erased, so that one engine runs several kinds
// of streams. Only Aggregate implements it.
type Behaviour interface {
	stateVersion() int
	fold(StreamState) (any, error)
	decide(command, state any) ([]any, error)
	evolve(event, state any) any
	encode(event any) (Record, error)
	encodeState(state any) ([]byte, error)
	timed() bool
	deadline(state any) time.Time
}

// Fold returns the state that a stored stream has, from its state row and the records
// after it.
func (a *Aggregate[S, E, C]) Fold(st StreamState) (S, error) {
	state := a.Initial()
	if st.State != nil {
		if err := json.Unmarshal(st.State, &state); err != nil {
			return state, fmt.Errorf("es: decode the state of %s as of version %d: %w", st.Stream, st.StateAt, err)
		}
	}
	for i := range st.Tail {
		event, err := a.Codec.Decode(&st.Tail[i])
		if err != nil {
			return state, err
		}
		state = a.Evolve(event, state)
	}
	return state, nil
}

func (a *Aggregate[S, E, C]) stateVersion() int { return max(1, a.StateVersion) }

func (a *Aggregate[S, E, C]) fold(st StreamState) (any, error) { return a.Fold(st) }

func (a *Aggregate[S, E, C]) decide(command, state any) ([]any, error) {
	events, err := a.Decide(command.(C), state.(S))
	if err != nil || len(events) == 0 {
		return nil, err
	}
	erased := make([]any, len(events))
	for i, event := range events {
		erased[i] = event
	}
	return erased, nil
}

func (a *Aggregate[S, E, C]) evolve(event, state any) any { return a.Evolve(event.(E), state.(S)) }

func (a *Aggregate[S, E, C]) encode(event any) (Record, error) { return a.Codec.Encode(event.(E)) }

// timed reports whether streams may have a deadline.
func (a *Aggregate[S, E, C]) timed() bool { return a.Deadline != nil }

// deadline is when the stream wants to be woken, as logs store it: never before the time that
// the decider has named, lest it finds that it is too early.
func (a *Aggregate[S, E, C]) deadline(state any) time.Time {
	if a.Deadline == nil {
		return time.Time{}
	}
	due := a.Deadline(state.(S)).UTC()
	if kept := due.Truncate(time.Microsecond); kept.Before(due) {
		return kept.Add(time.Microsecond)
	}
	return due
}

func (a *Aggregate[S, E, C]) encodeState(state any) ([]byte, error) {
	data, err := json.Marshal(state.(S))
	if err != nil {
		return nil, fmt.Errorf("es: encode a state of %s: %w", a.Category, err)
	}
	return data, nil
}
