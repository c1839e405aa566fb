package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// typeEpochBegan is the ce_type of the message by which a relay begins a new epoch in each
// partition, after the log was restored to an earlier point, and epochKey is its key. Records
// before it, of earlier epochs and at positions above its own, have never happened.
const (
	typeEpochBegan = "orderlane.log.epoch_began.v1"
	epochKey       = "epoch"
)

// Bounds of taking back what is lost.
const (
	maxTakenBack = 500    // keys of one transaction
	firstLook    = 256    // records that are looked at first for what is lost
	maxLook      = 16_384 // records that are looked at at once
)

// begins says whether a record begins an epoch.
func begins(r *kafka.Record) bool {
	return string(r.Key) == epochKey && r.Header(headerType) == typeEpochBegan
}

// revoked returns what tells the records that have never happened, by the record that begins an epoch
// behind them.
func revoked(beginning *kafka.Record) func(kafka.Record) bool {
	epoch, after := beginning.Header(headerEpoch), number([]byte(beginning.Header(headerPosition)))
	return func(r kafka.Record) bool {
		return number([]byte(r.Header(headerPosition))) > after && r.Header(headerEpoch) != epoch
	}
}

// beginning returns the place of the first record that begins an epoch, or the number of records.
func beginning(recs []Record) int {
	if i := slices.IndexFunc(recs, func(r Record) bool { return r.begins }); i >= 0 {
		return i
	}
	return len(recs)
}

// turnOver takes back what the view has of a partition's lost future, and goes on under the epoch
// that a record begins. The checkpoint moves last: until then it may be done again.
func (p *Projection) turnOver(ctx context.Context, r *Record) error {
	if p.doubt || p.gaps {
		if err := p.sure(ctx); err != nil {
			return err
		}
	}
	c := r.claim
	if c.ended() {
		return nil
	}
	to := checkpoint{max(c.at.next, r.Offset+1), c.at.epoch, c.at.position}
	var lost map[string]bool
	if fresh := r.Offset >= c.at.next && r.Epoch != c.at.epoch; fresh && c.log {
		to.epoch, to.position = r.Epoch, r.Position
		var err error
		if lost, err = p.lost(ctx, r); err != nil {
			return fmt.Errorf("projection: look for what %s/%d has lost: %w", r.Topic, r.Partition, err)
		}
		level := slog.LevelInfo
		if len(lost) > 0 {
			level = slog.LevelWarn
		}
		p.o.Log.Log(ctx, level, "the log runs under a new epoch", "view", p.name, "topic", r.Topic, "partition", r.Partition,
			"epoch", r.Epoch, "was", c.at.epoch, "after", r.Position, "keys", len(lost))
	}
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(lost)), maxTakenBack) {
		if err := p.takeBack(ctx, r, keys, lost); err != nil {
			return err
		}
	}
	err := p.o.Store.Update(ctx, func(tx Tx) error { return p.advance(ctx, tx, []course{{c, c.at, to}}) })
	if err != nil {
		p.doubt = true
		return err
	}
	c.reached(to)
	c.mark(to.next)
	return nil
}

// lost finds the keys of the records before a beginning that have never happened, or that repeat what
// is left of such a key. It says of which keys something may be left. Positions rise in a
// partition, so it looks back from the beginning to the last record that stays.
func (p *Projection) lost(ctx context.Context, r *Record) (map[string]bool, error) {
	keys, stay := make(map[string]bool), make(map[string]bool)
	if p.o.Replay == nil {
		p.o.Log.Error("what is lost can't be taken back without Options.Replay", "view", p.name, "topic", r.Topic, "partition", r.Partition)
		return keys, nil
	}
	gone := revoked(r.Record)
	look := int64(firstLook)
	for to, found := r.Offset, false; to > 0 && !found; look = min(4*look, maxLook) {
		from := max(0, to-look)
		err := p.o.Replay(ctx, r.claim.Partition, from, to, func(old kafka.Record) error {
			position, key := number([]byte(old.Header(headerPosition))), text(old.Key)
			switch {
			case begins(&old):
			case position == 0:
				keys[key] = true
			case gone(old):
				keys[key] = keys[key] || number([]byte(old.Header(headerVersion))) > 1
			default:
				stay[key], found = true, true
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		to = from
	}
	for key := range keys {
		keys[key] = keys[key] || stay[key] // a first version that was lost earlier is no sign
	}
	return keys, nil
}

// takeBack folds keys anew from what is left of them before a beginning. A key that can't be folded is
// marked as broken.
func (p *Projection) takeBack(ctx context.Context, r *Record, keys []string, left map[string]bool) error {
	recs, err := p.leftOf(ctx, r, keys, left)
	if err == nil {
		err = p.takeBackIn(ctx, r, keys, recs, nil)
	}
	switch {
	case err == nil:
		return nil
	case !isData(err):
		p.doubt = true
		return err
	case len(keys) > 1:
		half := len(keys) / 2
		if err := p.takeBack(ctx, r, keys[:half], left); err != nil {
			return err
		}
		return p.takeBack(ctx, r, keys[half:], left)
	}
	// What comes before the first record that fails is folded, as it was before.
	bad := &RecordError{r, err}
	for errors.As(err, &bad) {
		before := slices.IndexFunc(recs, func(old kafka.Record) bool { return old.Offset == bad.Record.Offset })
		if before < 0 {
			break
		}
		recs = recs[:before]
		if err = p.takeBackIn(ctx, r, keys, recs, bad); err == nil || !isData(err) {
			return err
		}
	}
	return p.takeBackIn(ctx, r, keys, nil, bad)
}

// errManyLeft is a fault of the keys: there are fewer of them in the next attempt.
var errManyLeft = fmt.Errorf("more than %d records", maxRepair)

// leftOf reads what is left of keys before a beginning, in order.
func (p *Projection) leftOf(ctx context.Context, r *Record, keys []string, left map[string]bool) (recs []kafka.Record, err error) {
	wanted := make(map[string]bool, len(keys))
	for _, key := range keys {
		if left[key] {
			wanted[key] = true
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	err = p.o.Replay(ctx, r.claim.Partition, 0, r.Offset, func(old kafka.Record) error {
		if begins(&old) {
			recs = slices.DeleteFunc(recs, revoked(&old))
		} else if wanted[text(old.Key)] {
			if len(recs) == maxRepair {
				return errManyLeft
			}
			recs = append(recs, old)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errManyLeft) {
		// Whatever it is, it is no fault of the keys.
		return nil, &StoreError{Op: fmt.Sprintf("read %s/%d again", r.Topic, r.Partition), Err: err}
	}
	return slices.DeleteFunc(recs, revoked(r.Record)), err
}

// takeBackIn deletes in one transaction what the keys have written, and folds what is left of them. A
// record that can't be folded marks them as broken.
func (p *Projection) takeBackIn(ctx context.Context, r *Record, keys []string, recs []kafka.Record, bad *RecordError) error {
	c, view := r.claim, p.scratch()
	view.Reset()
	defer view.Reset()
	var at checkpoint // from the start: repeats are skipped again
	for i := range recs {
		old := parse(&recs[i], c)
		if at.pass(&old, true) {
			continue
		}
		if err := foldRecord(view, &old); err != nil {
			return &RecordError{&old, err}
		}
	}
	var marks []BrokenKey
	if bad != nil {
		for _, key := range keys {
			marks = append(marks, BrokenKey{
				Topic: r.Topic, Key: key, Partition: r.Partition, Offset: bad.Record.Offset, Type: bad.Record.Type,
				Reason: reason(bad.Err), Time: p.o.Clock().UTC(),
			})
		}
	}
	err := p.o.Store.Update(ctx, func(tx Tx) error {
		// The checkpoint does not move yet; this makes sure that the partition is still owned.
		if err := p.advance(ctx, tx, []course{{c, c.at, c.at}}); err != nil {
			return err
		}
		for _, key := range keys {
			if err := p.forget(ctx, tx, view, r.Topic, key); err != nil {
				return err
			}
		}
		if err := flush(ctx, view, tx); err != nil {
			return err
		}
		return p.writeBroken(ctx, tx, marks)
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		delete(p.broken, brokenID{r.Topic, key})
		p.Answers.waits.tell([]Record{{Record: &kafka.Record{}, Key: key}})
	}
	p.noteBroken(marks)
	return nil
}

// forget deletes what a key of a topic has written, and its mark.
func (p *Projection) forget(ctx context.Context, tx Tx, view View, topic, key string) error {
	if err := view.Forget(ctx, tx, topic, key); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `DELETE FROM projection_broken WHERE projection = $1 AND version = $2 AND topic = $3 AND key = $4`,
		p.id, p.version, topic, key)
	return err
}
