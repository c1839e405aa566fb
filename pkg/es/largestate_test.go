package es_test

import (
	"context"
	"strings"
	"testing"

	"github.com/orderlane/orderlane/pkg/es"
)

// rowCounter counts the state rows that are written.
type rowCounter struct {
	es.Log
	rows int
}

func (l *rowCounter) Append(ctx context.Context, b es.Batch) (es.Head, error) {
	l.rows += len(b.States)
	return l.Log.Append(ctx, b)
}

// TestALargeStateIsWrittenTheMoreSeldomTheLargerItIs counts rows while every batch has one event.
func TestALargeStateIsWrittenTheMoreSeldomTheLargerItIs(t *testing.T) {
	for _, c := range []struct{ size, rows int }{
		{100, 200}, // small: with every batch
		{9_000, 4},
		{20_000, 2}, // after 100 events
		{33_000, 1}, // after 200 events
	} {
		log := &rowCounter{Log: newLog(t)}
		r := newRig(t, log)
		r.submit(of(1, "a", note{strings.Repeat("x", c.size)}))
		r.drive()
		log.rows = 0
		for i := range 200 {
			r.submit(of(2+i, "a", payIn{1}))
			r.drive()
		}
		if log.rows != c.rows {
			t.Errorf("a state of %d bytes is written %d times, want %d", c.size, log.rows, c.rows)
		}
		// Row and tail make the state, in an engine that has not seen it.
		again := newRig(t, log)
		again.submit(of(300, "a", payOut{200}), of(301, "a", payOut{1}))
		if answers := again.drive(); answers[0].Outcome.Status != es.StatusSucceeded || answers[1].Outcome.Status != es.StatusRefused {
			t.Errorf("a state of %d bytes is loaded otherwise: %+v", c.size, answers)
		}
	}
}
