package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Backoff is how long to wait between attempts: Min after the first, twice as long after
// each further one, never more than Max.
type Backoff struct{ Min, Max time.Duration }

// DefaultBackoff finds a broker or database that comes back within seconds, and asks one
// that is away no more often than every five.
var DefaultBackoff = Backoff{Min: 100 * time.Millisecond, Max: 5 * time.Second}

func (b Backoff) after(attempt int) time.Duration {
	d := b.Min
	for ; attempt > 0 && d < b.Max; attempt-- {
		d *= 2
	}
	return min(d, b.Max)
}

// Permanent marks an error that another attempt cannot mend, such as a refused password.
func Permanent(err error) error { return &permanentError{err} }

type permanentError struct{ error }

func (e *permanentError) Unwrap() error { return e.error }

// Retry runs attempt until it succeeds, and tells part what is missing between the attempts
// and that it is ready in the end. It returns nil, a permanent error at once, or ctx's
// error, which names the last attempt's too.
func Retry(ctx context.Context, part *Part, b Backoff, attempt func(context.Context) error) error {
	for n := 0; ; n++ {
		err := attempt(ctx)
		if err == nil {
			part.Ready()
			return nil
		}
		if permanent := (*permanentError)(nil); errors.As(err, &permanent) {
			return err
		}
		if ctx.Err() == nil {
			part.Missing(oneLine(err))
		}
		if ctxErr := pause(ctx, b.after(n)); ctxErr != nil {
			return fmt.Errorf("%w while trying: %w", ctxErr, err)
		}
	}
}

// Check asks every so often whether a thing is there, and keeps part informed, until ctx
// ends. Each question is given no longer than until the next.
func Check(ctx context.Context, part *Part, every time.Duration, ask func(context.Context) error) {
	for {
		c, cancel := context.WithTimeout(ctx, every)
		err := ask(c)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			part.Missing(oneLine(err))
		default:
			part.Ready()
		}
		if pause(ctx, every) != nil {
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
