package projection

import (
	"context"
	"fmt"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// recheck reads the checkpoints of all claims again: after an error that left it unknown
// whether a transaction was committed, and after a checkpoint was not where it should be.
func (p *Projection) recheck(ctx context.Context) (changed bool, err error) {
	type stored struct {
		checkpoint
		fence int64
	}
	found := make(map[kafka.Partition]stored)
	err = p.o.Store.Query(ctx, `SELECT topic, part, fence, next_offset, epoch, position FROM projection_checkpoints
		WHERE projection = $1 AND version = $2`, []any{p.id, p.version}, func(r Row) error {
		found[kafka.Partition{Topic: r.Text(0), ID: int32(r.Int(1))}] = stored{checkpoint{r.Int(3), r.Text(4), r.Int(5)}, r.Int(2)}
		return nil
	})
	if err != nil {
		return false, err
	}
	for _, c := range p.owned() {
		s := found[c.Partition]
		switch {
		case s.fence != c.fence:
			// A zombie: somebody else was assigned the partition and we have not been told. Or
			// another build takes over.
			if s.fence < frozen {
				p.o.Log.Warn("partition has another owner", "view", p.name, "topic", c.Topic, "partition", c.ID)
			}
			c.end(ErrFenced)
			p.stale.Store(true)
			changed = true
		case s.next < c.at.next:
			// The database has lost its last transactions, as a crash or a failover may do.
			p.o.Log.Warn("checkpoint went back", "view", p.name, "topic", c.Topic, "partition", c.ID, "from", c.at.next, "to", s.next)
			c.lost = max(c.lost, c.at.next)
			c.reached(s.checkpoint)
			changed, p.gaps = true, true
		case s.checkpoint != c.at:
			c.reached(s.checkpoint) // the transaction had been committed
			changed = true
		}
	}
	if changed {
		return true, p.loadBroken(ctx, p.owned())
	}
	return false, nil
}

// refill reads again what the database had and has lost. Those records are no longer in the
// queue, and what waits there comes after them.
func (p *Projection) refill(ctx context.Context) error {
	p.gaps = false // what is committed here must not come here again
	for _, c := range p.owned() {
		if c.lost <= c.at.next {
			continue
		}
		if p.o.Replay == nil {
			c.end(ErrFenced) // whoever assigns it again delivers from the checkpoint
			p.stale.Store(true)
			continue
		}
		if err := p.refillClaim(ctx, c); err != nil {
			p.gaps = true
			return fmt.Errorf("projection: read %s/%d again: %w", c.Topic, c.ID, err)
		}
	}
	return nil
}

func (p *Projection) refillClaim(ctx context.Context, c *claim) error {
	for from := c.at.next; from < c.lost; {
		to := min(from+int64(p.o.Step), c.lost)
		var raw []kafka.Record
		err := p.o.Replay(ctx, c.Partition, from, to, func(r kafka.Record) error {
			raw = append(raw, r)
			return nil
		})
		if err != nil {
			return err
		}
		recs := make([]Record, len(raw))
		for i := range raw {
			recs[i] = parse(&raw[i], c)
		}
		w := newWork(p.scratch())
		w.pending = recs
		if err := p.settle(ctx, w, &Stepped{}); err != nil {
			return err
		}
		from = to
	}
	c.lost = 0
	return nil
}

// check looks whether the checkpoints are where this instance has left them, and mends what
// can be mended.
func (p *Projection) check(ctx context.Context) error {
	if err := p.lock(ctx); err != nil {
		return err
	}
	defer p.unlock()
	return p.sure(ctx)
}

// sure makes certain where the checkpoints are.
func (p *Projection) sure(ctx context.Context) error {
	if _, err := p.recheck(ctx); err != nil {
		return err
	}
	p.doubt = false
	if p.gaps {
		return p.refill(ctx)
	}
	return nil
}
