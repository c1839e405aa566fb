package es

import (
	"context"
	"fmt"
)

// Peek returns the state of a stream as the engine's log has it now, and its version; the
// initial state and 0 if there is no such stream. It is for what a command has to know of
// other streams before it is decided: by then the stream may have moved on, so what must hold
// is decided on the stream itself.
//
// While the log can't be read it tries again, for as long as ctx lasts; other errors are of
// events that can't be folded. It is safe for concurrent use.
func Peek[S, E, C any](ctx context.Context, e *Engine, of *Aggregate[S, E, C], id string) (S, int64, error) {
	query := []StreamQuery{{Stream: of.Stream(id), StateVersion: of.stateVersion()}}
	for pause := retryFrom; ; pause = min(2*pause, retryUpTo) {
		states, err := e.opts.Log.Load(ctx, query)
		if err == nil {
			state, err := of.Fold(states[0])
			return state, states[0].Version, err
		}
		e.opts.Observer.Failed(err)
		if wait(ctx, pause); ctx.Err() != nil {
			var none S
			return none, 0, fmt.Errorf("es: read %s: %w", query[0].Stream, err)
		}
	}
}
