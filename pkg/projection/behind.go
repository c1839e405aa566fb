package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
)

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
