package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// maxRepair bounds the records of one key that a repair holds in memory.
const maxRepair = 100_000

// again is what a repair folds anew: a key's records in one partition.
type again struct {
	claim *claim
	upTo  int64 // offset up to which the partition was read
	recs  []kafka.Record
}

// Repair folds a key anew from its topics and clears its mark, in one transaction between two
// steps. A broken key is repaired in the topics that it is broken in, which takes reading
// one partition each; a key that is not broken in all topics, which takes reading every
// partition that this instance owns.
//
// ErrNotOwner says that another instance owns the key (of a key that is broken in several
// topics, those owned here are repaired first). A *RecordError says that the key still cannot be
// folded; then nothing was changed. The topic is read beside the running steps, except for
// its last part, so the partitions do not wait for long.
func (p *Projection) Repair(ctx context.Context, key string) error {
	if p.o.Replay == nil {
		return errors.New("projection: repair needs Options.Replay")
	}
	work, missing, err := p.partitionsOf(ctx, key)
	if err != nil {
		return err
	}
	if err := p.reread(ctx, key, work); err != nil {
		return err
	}
	if err := p.lock(ctx); err != nil {
		return err
	}
	defer p.unlock()
	if err := p.reread(ctx, key, work); err != nil {
		return err
	}
	work = slices.DeleteFunc(work, func(a *again) bool { return len(a.recs) == 0 || a.claim.ended() })
	if len(work) == 0 {
		return fmt.Errorf("%w: %s", ErrNotOwner, key)
	}
	err = p.refold(ctx, key, work)
	if err == nil && missing {
		err = fmt.Errorf("%w: %s is broken in other partitions too", ErrNotOwner, key)
	}
	return err
}

// partitionsOf finds the claims that may have records of a key, and whether it is broken in
// partitions that are not owned.
func (p *Projection) partitionsOf(ctx context.Context, key string) (work []*again, missing bool, err error) {
	marks, err := listBroken(ctx, p.o.Store, `WHERE projection = $1 AND version = $2 AND key = $3`, p.id, p.version, key)
	if err != nil {
		return nil, false, err
	}
	owned := p.owned()
	for _, c := range owned {
		if len(marks) == 0 {
			work = append(work, &again{claim: c})
		}
		for _, m := range marks {
			if m.Topic == c.Topic && m.Partition == c.ID {
				work = append(work, &again{claim: c})
			}
		}
	}
	if len(work) == 0 {
		return nil, false, fmt.Errorf("%w: %s", ErrNotOwner, key)
	}
	// As the view names its topics: rows are written in the order of its parts anyway.
	slices.SortFunc(work, func(a, b *again) int {
		if d := p.sourceIndex(a.claim.Topic) - p.sourceIndex(b.claim.Topic); d != 0 {
			return d
		}
		return int(a.claim.ID - b.claim.ID)
	})
	return work, len(marks) > 0 && len(work) < len(marks), nil
}

func (p *Projection) sourceIndex(topic string) int {
	return slices.IndexFunc(p.sources, func(s Source) bool { return s.Topic == topic })
}

// reread reads what the checkpoints cover and has not been read yet.
func (p *Projection) reread(ctx context.Context, key string, work []*again) error {
	for _, a := range work {
		end := a.claim.done.Load()
		if end <= a.upTo {
			continue
		}
		err := p.o.Replay(ctx, a.claim.Partition, a.upTo, end, func(r kafka.Record) error {
			if begins(&r) {
				a.recs = slices.DeleteFunc(a.recs, revoked(&r))
				return nil
			}
			if text(r.Key) != key {
				return nil
			}
			if len(a.recs) == maxRepair {
				return fmt.Errorf("more than %d records", maxRepair)
			}
			a.recs = append(a.recs, r)
			return nil
		})
		if err != nil {
			return fmt.Errorf("projection: read %s of %s/%d again: %w", key, a.claim.Topic, a.claim.ID, err)
		}
		a.upTo = end
	}
	return nil
}

// refold deletes what the key's records have written, and folds them once more.
func (p *Projection) refold(ctx context.Context, key string, work []*again) error {
	view, folded := p.scratch(), 0
	claims := make([]course, len(work))
	var topics []string
	for i, a := range work {
		claims[i] = course{a.claim, a.claim.at, a.claim.at}
		if !slices.Contains(topics, a.claim.Topic) {
			topics = append(topics, a.claim.Topic)
		}
	}
	view.Reset()
	defer view.Reset()
	for _, a := range work {
		var at checkpoint // from the start: the repeats in the topic are skipped again
		for i := range a.recs {
			r := parse(&a.recs[i], a.claim)
			if at.pass(&r, a.claim.log) {
				continue
			}
			if err := foldRecord(view, &r); err != nil {
				return &RecordError{&r, err}
			}
			folded++
		}
	}
	err := p.o.Store.Update(ctx, func(tx Tx) error {
		// The checkpoints do not move; this makes sure that the partitions are still owned.
		if err := p.advance(ctx, tx, claims); err != nil {
			return err
		}
		for _, topic := range topics {
			if err := p.forget(ctx, tx, view, topic, key); err != nil {
				return err
			}
		}
		return flush(ctx, view, tx)
	})
	if err != nil {
		p.doubt = true
		return err
	}
	for _, topic := range topics {
		delete(p.broken, brokenID{topic, key})
	}
	p.noteBroken(nil)
	p.Answers.waits.tell([]Record{{Record: &kafka.Record{}, Key: key}})
	p.o.Log.Info("key is repaired", "view", p.name, "key", key, "records", folded)
	return nil
}
