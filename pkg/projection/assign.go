package projection

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// Assigned takes partitions over: it waits for the step under way, raises the fence of each
// partition's checkpoint, so that an earlier owner can commit nothing any more, and only then
// reads how far it has been folded. It returns the next offset of each partition that has
// been read before.
func (p *Projection) Assigned(ctx context.Context, g kafka.Generation, parts []kafka.Partition) (map[kafka.Partition]int64, error) {
	if err := p.lock(ctx); err != nil {
		return nil, err
	}
	defer p.unlock()
	claims := make([]*claim, 0, len(parts))
	for _, part := range parts {
		src := slices.IndexFunc(p.sources, func(s Source) bool { return s.Topic == part.Topic })
		if src < 0 {
			return nil, fmt.Errorf("projection: view %s is not fed by %s", p.name, part.Topic)
		}
		claims = append(claims, &claim{
			Partition: part, log: p.sources[src].Log, strings: make(map[string]string), over: make(chan struct{}),
			mark: func(next int64) { g.Mark(part, next) },
		})
	}
	// In one order, so that two instances that are assigned the same partitions do not wait
	// for each other in a circle.
	slices.SortFunc(claims, func(a, b *claim) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.ID, b.ID))
	})
	err := p.o.Store.Update(ctx, func(tx Tx) error {
		if err := p.admit(ctx, tx); err != nil {
			return err
		}
		for _, c := range claims {
			if err := p.raise(ctx, tx, c); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("projection: take partitions of %s: %w", p.name, err)
	}
	if err := p.loadBroken(ctx, append(p.owned(), claims...)); err != nil {
		return nil, fmt.Errorf("projection: read broken keys of %s: %w", p.name, err)
	}
	next := make(map[kafka.Partition]int64, len(claims))
	p.claimsMu.Lock()
	defer p.claimsMu.Unlock()
	p.stale.Store(false)
	for _, c := range claims {
		if old := p.claims[c.Partition]; old != nil {
			old.end(nil)
		}
		p.claims[c.Partition] = c
		if c.at.next > 0 {
			next[c.Partition] = c.at.next
		}
	}
	return next, nil
}

// admit refuses partitions to a build that gives way to another, or is dropped. It holds up whoever would
// freeze it until the fences are raised.
func (p *Projection) admit(ctx context.Context, tx Tx) error {
	if p.o.Build == 0 {
		return nil
	}
	n, err := tx.Exec(ctx, `UPDATE projection_builds SET assignments = assignments + 1 WHERE projection = $1 AND version = $2 AND build = $3
		AND frozen = 0 AND state IN ('building', 'swapping', 'active')`, p.name, p.version, p.o.Build)
	if err == nil && n == 0 {
		err = ErrFrozen
	}
	return err
}

// Deliver puts records of one partition into the queue, and waits while it is full. It
// returns ErrFenced when a partition of this instance has another owner: then the group must
// be joined again, for all partitions.
func (p *Projection) Deliver(ctx context.Context, recs []kafka.Record) error {
	if len(recs) == 0 {
		return nil
	}
	part := kafka.Partition{Topic: recs[0].Topic, ID: recs[0].Partition}
	p.claimsMu.Lock()
	c := p.claims[part]
	p.claimsMu.Unlock()
	if p.stale.Load() {
		return ErrFenced
	}
	if c == nil {
		return fmt.Errorf("projection: %s/%d was not assigned", part.Topic, part.ID)
	}
	if c.ended() {
		return c.why()
	}
	return p.queue.put(ctx, c, recs)
}

// Revoked gives partitions back. Records that wait are dropped; a step under way may still
// commit, or fails on the fence of the next owner.
func (p *Projection) Revoked(parts []kafka.Partition) {
	p.claimsMu.Lock()
	defer p.claimsMu.Unlock()
	for _, part := range parts {
		if c := p.claims[part]; c != nil {
			c.end(nil)
			delete(p.claims, part)
		}
	}
}

// owned lists the claims that have not ended.
func (p *Projection) owned() []*claim {
	p.claimsMu.Lock()
	defer p.claimsMu.Unlock()
	list := make([]*claim, 0, len(p.claims))
	for _, c := range p.claims {
		if !c.ended() {
			list = append(list, c)
		}
	}
	return list
}
