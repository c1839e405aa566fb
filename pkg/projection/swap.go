package projection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderlane/orderlane/pkg/failpoint"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// advance does what is due for the builds; moved says that something has changed.
//
//	building ──near the active one──> swapping ──caught up with it, frozen──> active
//	                                     └──too slow──> building         (the other: previous)
func (b *Builds) advance(ctx context.Context, all builds) (moved bool, err error) {
	for _, one := range all {
		if !one.Frozen && one.State != Dropped && one.State != Dropping {
			// What was frozen for a swap that was given up goes on.
			if err := b.fence(ctx, one.Number, false); err != nil {
				return moved, err
			}
		}
	}
	active, candidate := all.active(), all.candidate()
	if candidate == nil || candidate.State == Building {
		if candidate != nil && candidate.Number == b.swappingIn {
			b.backOff(swapPause, maxSwapPause) // it was given up, here or by another instance
		}
		b.swapping, b.swappingIn = time.Time{}, 0
	}
	if candidate == nil {
		b.pace = pace{}
		return moved, nil
	}
	if err := b.measure(ctx, active, candidate); err != nil && ctx.Err() == nil {
		b.o.Log.Warn("it can't be measured how far a build has come", "view", b.view, "build", candidate.Number, "error", err)
	}
	var did bool
	switch {
	case active == nil:
		did, err = b.activate(ctx, candidate)
	case candidate.State == Building:
		did, err = b.beginSwap(ctx, active, candidate)
	default:
		did, err = b.swap(ctx, active, candidate)
	}
	return moved || did, err
}

// activate makes the first build what queries see, once it has come to where the topics ended.
func (b *Builds) activate(ctx context.Context, first *Build) (bool, error) {
	if left, err := b.behind(ctx, first.Number, b.target); err != nil || left > 0 {
		return false, err
	}
	ok := false
	err := b.o.Store.Update(ctx, func(tx Tx) (err error) {
		if ok, err = b.move(ctx, tx, first.Number, Building, Active, false); err != nil || !ok {
			return err
		}
		return b.show(ctx, tx, first.Number)
	})
	if err == nil && ok {
		b.o.Log.Info("the view is built", "view", b.view, "version", b.version, "build", first.Number)
	}
	return ok, err
}

// beginSwap freezes the active build when another one has come near it. One in which other keys are
// broken has to be repaired first.
func (b *Builds) beginSwap(ctx context.Context, active, candidate *Build) (bool, error) {
	if b.o.Clock().Before(b.pace.notBefore) {
		return false, nil
	}
	stands, err := b.checkpoints(ctx, b.o.Store, active.Number)
	if err != nil {
		return false, err
	}
	if near, err := b.near(ctx, candidate, nexts(stands)); err != nil || !near {
		return false, err
	}
	if b.pace.held, err = b.worse(ctx, active, candidate); err != nil || b.pace.held != "" {
		return false, err
	}
	if err := b.tryToShow(ctx, candidate); err != nil {
		b.pace.held = "what queries read can't be replaced, since a session keeps it locked: " + reason(err)
		b.backOff(lookEvery, swapPause)
		return false, ctx.Err()
	}
	failpoint.Hit("projection.before_swapping")
	ok := false
	err = b.o.Store.Update(ctx, func(tx Tx) (err error) {
		if ok, err = b.freeze(ctx, tx, true); err != nil || !ok {
			return err
		}
		if ok, err = b.move(ctx, tx, candidate.Number, Building, Swapping, false); err == nil && !ok {
			return errMoved // cancelled meanwhile: the active one must not stay frozen
		}
		return err
	})
	if errors.Is(err, errMoved) {
		return false, nil
	}
	failpoint.Hit("projection.after_swapping")
	return ok && err == nil, err
}

// worse says why a build should not take over: keys are broken in it that are not in the active one.
func (b *Builds) worse(ctx context.Context, active, candidate *Build) (string, error) {
	n := int64(0)
	err := b.o.Store.Query(ctx, `SELECT CAST(count(*) AS BIGINT) FROM projection_broken c WHERE c.projection = $1 AND c.version = $2
		AND NOT EXISTS (SELECT 1 FROM projection_broken a WHERE a.projection = $3 AND a.version = $2 AND a.key = c.key AND a.topic = c.topic)`,
		[]any{buildID(b.view, candidate.Number), b.version, buildID(b.view, active.Number)}, func(r Row) error { n = r.Int(0); return nil })
	if err != nil || n == 0 {
		return "", err
	}
	return fmt.Sprintf("%d keys are broken in it that are not in the active build: repair them, or cancel it", n), nil
}

// swap makes a build what queries see, once it has caught up with the active one, which is frozen. Whatever
// goes wrong, that is not for longer than swapPatience.
func (b *Builds) swap(ctx context.Context, active, candidate *Build) (bool, error) {
	if b.swapping.IsZero() {
		b.swapping, b.swappingIn = b.o.Clock(), candidate.Number
	}
	late := b.o.Clock().Sub(b.swapping) > swapPatience
	short, cancel := context.WithTimeout(ctx, swapPatience)
	defer cancel()
	target, left, err := b.catchUp(short, active, candidate)
	if err == nil && left == 0 {
		var ok bool
		if ok, err = b.takeOver(short, active, candidate, target); err == nil {
			return ok, nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return false, err
	case err == nil && late:
		return b.giveUpSwap(ctx, candidate, fmt.Errorf("%d records are left", left))
	case err != nil && (late || errors.Is(err, errWorse)):
		return b.giveUpSwap(ctx, candidate, err)
	}
	if err != nil {
		b.o.Log.Debug("a swap will be tried again", "view", b.view, "build", candidate.Number, "error", err)
	}
	return false, nil
}

// catchUp freezes the active build, and counts what the other one has left to come to where that stands.
func (b *Builds) catchUp(ctx context.Context, active, candidate *Build) (target map[kafka.Partition]int64, left int64, err error) {
	if err := b.fence(ctx, active.Number, true); err != nil {
		return nil, 0, err
	}
	failpoint.Hit("projection.frozen")
	stands, err := b.checkpoints(ctx, b.o.Store, active.Number)
	if err != nil {
		return nil, 0, err
	}
	target = nexts(stands)
	left, err = b.behind(ctx, candidate.Number, target)
	return target, left, err
}

// errWorse says that keys are broken in what a build has caught up with.
var errWorse = errors.New("it is worse")

// takeOver makes a build that has caught up what queries see.
func (b *Builds) takeOver(ctx context.Context, active, candidate *Build, target map[kafka.Partition]int64) (bool, error) {
	if worse, err := b.worse(ctx, active, candidate); err != nil || worse != "" {
		return false, cmp.Or(err, fmt.Errorf("%w: %s", errWorse, worse))
	}
	failpoint.Hit("projection.before_swap")
	ok := false
	err := b.o.Store.Update(ctx, func(tx Tx) error {
		ok = false
		// A query that has locked some of the tables may wait for one that is locked here, and the other way
		// round. It is this transaction that gives way then, long before the server looks for a culprit.
		if err := b.hasten(ctx, tx); err != nil {
			return err
		}
		return b.swapIn(ctx, tx, active, candidate, target, &ok)
	})
	failpoint.Hit("projection.after_swap")
	if err == nil && ok {
		b.o.Log.Info("another build of the view is active", "view", b.view, "version", b.version, "build", candidate.Number, "was", active.Number)
	}
	return ok, err
}

// hasten has a transaction fail rather than wait for long for what others have locked.
func (b *Builds) hasten(ctx context.Context, tx Tx) error {
	if b.o.Store.Dialect() != Postgres {
		return nil // one writes at a time
	}
	_, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '100ms'")
	return err
}

// swapIn is the transaction of a swap. It looks once more at what it depends on: a database that came back
// meanwhile may have lost its last transactions.
func (b *Builds) swapIn(ctx context.Context, tx Tx, active, candidate *Build, target map[kafka.Partition]int64, done *bool) error {
	older, err := readBuilds(ctx, tx, b.view)
	if err != nil {
		return err
	}
	if ok, err := b.move(ctx, tx, active.Number, Active, Previous, true); err != nil || !ok {
		return err
	}
	if ok, err := b.move(ctx, tx, candidate.Number, Swapping, Active, false); err != nil || !ok {
		return cmp.Or(err, errMoved)
	}
	was, err := b.lockedCheckpoints(ctx, tx, active.Number)
	if err != nil {
		return err
	}
	for p, at := range was {
		if !at.frozen || target[p] != at.next {
			return errMoved
		}
	}
	is, err := b.checkpoints(ctx, tx, candidate.Number)
	if err != nil {
		return err
	}
	for p, next := range target {
		if max(is[p].next, b.pace.first[p], b.pace.empty[p]) < next { // as in behind
			return errMoved
		}
	}
	for _, one := range older.of(int(b.version)) {
		if one.State != Previous {
			continue
		}
		if _, err := b.move(ctx, tx, one.Number, Previous, Dropping, true); err != nil {
			return err
		}
	}
	if err := b.show(ctx, tx, candidate.Number); err != nil {
		return err
	}
	*done = true
	return nil
}

// giveUpSwap lets the active build go on, since the other one takes too long. Where another instance has done
// that already, or the swap, nothing is done: the active build may be frozen for another one.
func (b *Builds) giveUpSwap(ctx context.Context, candidate *Build, why error) (bool, error) {
	b.o.Log.Warn("a build does not take over, the active one goes on", "view", b.view, "build", candidate.Number, "error", why)
	ok := false
	err := b.o.Store.Update(ctx, func(tx Tx) (err error) {
		if ok, err = b.move(ctx, tx, candidate.Number, Swapping, Building, false); err != nil || !ok {
			return err
		}
		_, err = b.freeze(ctx, tx, false)
		return err
	})
	b.pace.held = "it did not take over: " + reason(why)
	return ok && err == nil, err
}

// backOff puts off the next try of a swap, each time for twice as long.
func (b *Builds) backOff(least, most time.Duration) {
	b.pace.pause = min(max(least, 2*b.pace.pause), most)
	b.pace.notBefore = b.o.Clock().Add(b.pace.pause)
}

// tryToShow does what a swap does to what queries see, and takes it back: where others keep that locked, the
// active build is not frozen in vain.
func (b *Builds) tryToShow(ctx context.Context, candidate *Build) error {
	if b.o.Store.Dialect() != Postgres {
		return nil // one writes at a time
	}
	err := b.o.Store.Update(ctx, func(tx Tx) error {
		if err := b.hasten(ctx, tx); err != nil {
			return err
		}
		if err := b.show(ctx, tx, candidate.Number); err != nil {
			return err
		}
		return errTried
	})
	if errors.Is(err, errTried) {
		return nil
	}
	return err
}

// errTried takes back what was tried.
var errTried = errors.New("projection: it was tried")
