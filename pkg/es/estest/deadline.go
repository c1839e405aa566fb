package estest

import (
	"slices"
	"time"
)

// Deadline expects that the stream wants to be woken then; the zero time means never.
func (h History[S, E, C]) Deadline(want time.Time) History[S, E, C] {
	h.t.Helper()
	if got := h.deadline(h.state); !got.Equal(want) {
		h.t.Fatalf("the stream wants to be woken at %s, want %s", got, want)
	}
	return h
}

// WhenWoken decides the command that the stream's deadline leads to, as the engine does when it
// has passed. It expects that the deadline is another afterwards: a stream that leaves it as it
// is would not be woken again.
func (h History[S, E, C]) WhenWoken(command func(due time.Time) C) Decided[E] {
	h.t.Helper()
	due := h.deadline(h.state)
	if due.IsZero() {
		h.t.Fatalf("the stream has no deadline")
	}
	decided := h.When(command(due))
	after := h.fold(slices.Concat(h.given, decided.events)) // afresh, since Evolve may change a state in place
	if h.deadline(after).Equal(due) {
		h.t.Fatalf("woken at its deadline, the stream still has that deadline: it decided %#v, %v", decided.events, decided.err)
	}
	return decided
}

func (h History[S, E, C]) deadline(state S) time.Time {
	if h.agg.Deadline == nil {
		return time.Time{}
	}
	return h.agg.Deadline(state)
}
