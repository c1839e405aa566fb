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
			b.notBefore = b.o.Clock().Add(swapPause) // it was given up, here or by another instance
		}
		b.swapping, b.swappingIn = time.Time{}, 0
	}
	if candidate == nil {
		b.pace = pace{}
		return moved, nil
	}
	if err := b.measure(ctx, active, candidate); err != nil {
		return moved, err
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

// beginSwap freezes the active build when another one has come near it. One in which more keys are broken has to
// be repaired first.
func (b *Builds) beginSwap(ctx context.Context, active, candidate *Build) (bool, error) {
	if b.o.Clock().Before(b.notBefore) {
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

// near says whether a build has come so near to a target that it will reach it within moments: it has
// reached it, or it has been behind by little for a while, as it is when records come in all the time.
func (b *Builds) near(ctx context.Context, candidate *Build, target map[kafka.Partition]int64) (bool, error) {
	left, err := b.behind(ctx, candidate.Number, target)
	if err != nil || left > nearRecords {
		b.pace.near = time.Time{}
		return false, err
	}
	if b.pace.near.IsZero() {
		b.pace.near = b.o.Clock()
	}
	if left > 0 && b.o.Clock().Sub(b.pace.near) < nearFor {
		return false, nil
	}
	// One that nobody has begun to fold is far from anything.
	at, err := b.checkpoints(ctx, b.o.Store, candidate.Number)
	for p := range target {
		if _, ok := at[p]; !ok {
			return false, err
		}
	}
	return true, err
}

// worse says why a build should not take over.
func (b *Builds) worse(ctx context.Context, active, candidate *Build) (string, error) {
	count := func(number int) (n int64, err error) {
		err = b.o.Store.Query(ctx, `SELECT CAST(count(*) AS BIGINT) FROM projection_broken WHERE projection = $1 AND version = $2`,
			[]any{buildID(b.view, number), b.version}, func(r Row) error { n = r.Int(0); return nil })
		return n, err
	}
	was, err := count(active.Number)
	if err != nil {
		return "", err
	}
	is, err := count(candidate.Number)
	if err != nil || is <= was {
		return "", err
	}
	return fmt.Sprintf("%d keys are broken in it, and %d in the active build: repair them, or cancel it", is, was), nil
}

// swap makes a build what queries see, once it has caught up with the active one, which is frozen.
func (b *Builds) swap(ctx context.Context, active, candidate *Build) (bool, error) {
	if b.swapping.IsZero() {
		b.swapping, b.swappingIn = b.o.Clock(), candidate.Number
	}
	if err := b.fence(ctx, active.Number, true); err != nil {
		return false, err
	}
	failpoint.Hit("projection.frozen")
	stands, err := b.checkpoints(ctx, b.o.Store, active.Number)
	if err != nil {
		return false, err
	}
	target := nexts(stands)
	left, err := b.behind(ctx, candidate.Number, target)
	if err != nil {
		return false, err
	}
	late := b.o.Clock().Sub(b.swapping) > swapPatience
	if left > 0 {
		if late {
			return b.giveUpSwap(ctx, candidate, fmt.Errorf("%d records are left", left))
		}
		return false, nil
	}
	if b.pace.held, err = b.worse(ctx, active, candidate); err != nil {
		return false, err
	}
	if b.pace.held != "" { // in what it has caught up with
		return b.giveUpSwap(ctx, candidate, errors.New(b.pace.held))
	}
	failpoint.Hit("projection.before_swap")
	ok := false
	err = b.o.Store.Update(ctx, func(tx Tx) error {
		ok = false
		// A query that has locked some of the tables may wait for one that is locked here, and the other way
		// round. It is this transaction that gives way then, long before the server looks for a culprit.
		if err := b.hasten(ctx, tx); err != nil {
			return err
		}
		return b.swapIn(ctx, tx, active, candidate, target, &ok)
	})
	failpoint.Hit("projection.after_swap")
	switch {
	case err != nil && late:
		return b.giveUpSwap(ctx, candidate, err)
	case err != nil && ctx.Err() == nil:
		b.o.Log.Debug("a swap will be tried again", "view", b.view, "build", candidate.Number, "error", err)
		return false, nil
	case err != nil || !ok:
		return false, err
	}
	b.o.Log.Info("another build of the view is active", "view", b.view, "version", b.version, "build", candidate.Number, "was", active.Number)
	return true, nil
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
	was, err := b.checkpoints(ctx, tx, active.Number)
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

// giveUpSwap lets the active build go on, since the other one takes too long.
func (b *Builds) giveUpSwap(ctx context.Context, candidate *Build, why error) (bool, error) {
	b.o.Log.Warn("a build does not take over, the active one goes on", "view", b.view, "build", candidate.Number, "error", why)
	err := b.o.Store.Update(ctx, func(tx Tx) error {
		if _, err := b.move(ctx, tx, candidate.Number, Swapping, Building, false); err != nil {
			return err
		}
		_, err := b.freeze(ctx, tx, false)
		return err
	})
	return err == nil, err
}

func nexts(at map[kafka.Partition]stands) map[kafka.Partition]int64 {
	target := make(map[kafka.Partition]int64, len(at))
	for p, s := range at {
		target[p] = s.next
	}
	return target
}

// errSome ends a look for records at the first one.
var errSome = errors.New("there are records")

// behind counts the records, about, that a build has to fold until it has come to the target. Not each offset is
// a record: transactions leave markers, compaction and retention leave gaps. So where a build stands still
// though it has come near, it is looked whether there is anything at all.
func (b *Builds) behind(ctx context.Context, number int, target map[kafka.Partition]int64) (left int64, err error) {
	stands, err := b.checkpoints(ctx, b.o.Store, number)
	if err != nil {
		return 0, err
	}
	now, still := b.o.Clock(), []kafka.Partition(nil)
	for p, next := range target {
		at := max(stands[p].next, b.pace.first[p], b.pace.empty[p])
		if at >= next {
			continue
		}
		left += next - at
		if was, ok := b.pace.was[p]; !ok || was.next != stands[p].next {
			b.pace.was[p] = stood{stands[p].next, now}
		} else if now.Sub(was.since) >= standstill {
			still = append(still, p)
		}
	}
	for _, p := range still {
		at, next := max(stands[p].next, b.pace.first[p], b.pace.empty[p]), target[p]
		err := b.o.Replay(ctx, p, at, next, func(kafka.Record) error { return errSome })
		if errors.Is(err, errSome) {
			b.pace.was[p] = stood{stands[p].next, now} // look again later
			return left, nil
		}
		if err != nil {
			return 0, fmt.Errorf("projection: look what is left of %s/%d: %w", p.Topic, p.ID, err)
		}
		b.pace.empty[p] = next
		left -= next - at
	}
	return left, nil
}
