package es_test

import (
	"context"

	"github.com/orderlane/orderlane/pkg/turn"
)

// withTurn returns a context whose turn tells when it was taken: then the command is queued.
func withTurn(ctx context.Context, taken func()) context.Context {
	line := turn.NewLine()
	t := line.Join("key")
	next := line.Join("key")
	next.Take(taken)
	return turn.NewContext(ctx, t)
}
