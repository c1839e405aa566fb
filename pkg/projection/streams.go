package projection

import (
	"context"
	"strings"
)

// Held is what a view keeps of the streams of one category: Documents are it.
type Held interface {
	// Forget deletes what is kept of a stream, for View.Forget.
	Forget(ctx context.Context, tx Tx, stream string) error

	// Version returns the version of a stream that is kept, 0 for none.
	Version(ctx context.Context, q Queryer, stream string) (int64, error)
}

// Streams are what a view holds, by the category of the stream: the part of its name before the
// first hyphen. A view with a collection for each category has its Forget and its StreamVersion
// from here. It is safe for concurrent use once it is filled.
type Streams map[string]Held

// Of returns what holds a stream; nil if the view never shows it.
func (s Streams) Of(stream string) Held {
	category, _, _ := strings.Cut(stream, "-")
	return s[category]
}

// Forget deletes what is kept of a stream; of a stream that the view never shows that is nothing.
func (s Streams) Forget(ctx context.Context, tx Tx, stream string) error {
	if held := s.Of(stream); held != nil {
		return held.Forget(ctx, tx, stream)
	}
	return nil
}

// StreamVersion returns the version of a stream that the view shows, 0 for none, and whether it
// ever shows that stream: what View.StreamVersion answers.
func (s Streams) StreamVersion(ctx context.Context, q Queryer, stream string) (version int64, held bool, err error) {
	of := s.Of(stream)
	if of == nil {
		return 0, false, nil
	}
	version, err = of.Version(ctx, q, stream)
	return version, true, err
}
