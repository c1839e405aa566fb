package es

import (
	"context"
	"time"

	"github.com/orderlane/orderlane/pkg/failpoint"
)

// Answer publishes the answers of one decided batch and releases those who wait for them.
// It returns false when nothing is waiting to be answered. On an error nothing is lost:
// call it again.
func (e *Engine) Answer(ctx context.Context) (bool, error) {
	if e.unsent == nil {
		select {
		case e.unsent = <-e.answers:
		default:
			return false, nil
		}
	}
	return true, e.publish(ctx)
}

// answerNext waits for decided commands, takes what else is decided, and publishes it until
// it succeeds. It returns false when the engine stops.
func (e *Engine) answerNext(ctx context.Context) bool {
	batch, ok := <-e.answers
	if !ok {
		return false
	}
	e.unsent = batch
	for more := true; more && len(e.unsent) < maxAnswers; {
		select {
		case batch, ok := <-e.answers:
			e.unsent = append(e.unsent, batch...)
			more = ok
		default:
			more = false
		}
	}
	for pause := retryFrom; ; pause = min(2*pause, retryUpTo) {
		err := e.publish(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			e.release(ErrStopped)
			return false
		}
		e.opts.Observer.Failed(err)
		wait(ctx, pause)
	}
}

func (e *Engine) publish(ctx context.Context) error {
	if err := e.opts.Publish(ctx, e.unsent); err != nil {
		return err
	}
	failpoint.Hit("engine.after_answer")
	e.release(nil)
	return nil
}

func (e *Engine) release(err error) {
	for i := range e.unsent {
		a := &e.unsent[i]
		if err == nil {
			e.opts.Observer.Answered(a.Command.Type, a.Outcome.Status, a.Repeat)
		}
		a.waiter.answer, a.waiter.err = *a, err
		close(a.waiter.done)
	}
	e.unsent = nil
}

// Discard gives up a parked command for good: its outcome is StatusFailed with the reason
// it was parked for. A command that got its outcome meanwhile keeps that.
func (e *Engine) Discard(ctx context.Context, p Parked, stream string, at time.Time) (Outcome, error) {
	return e.Submit(ctx, &Command{
		Type: p.Type, Stream: stream, Meta: Metadata{Command: p.Command, Digest: p.Digest},
		Final: &Outcome{
			Command: p.Command, Type: p.Type, Stream: stream, Status: StatusFailed, Fault: parkedFault(p.Reason),
			Digest: p.Digest, Time: at.UTC().Truncate(time.Microsecond),
		},
	})
}
