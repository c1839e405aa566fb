package ordering

import (
	"context"
	"errors"
	"fmt"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// beginsEpoch says whether a record begins a new epoch of catalog's log in its partition: the
// log was restored to an earlier point, and what came after that has never happened.
func beginsEpoch(r kafka.Record) bool {
	return string(r.Key) == bus.EpochKey && r.Header(bus.HeaderType) == bus.TypeEpochBegan
}

// beginning is where an epoch begins in a partition, and what it leaves of those before.
type beginning struct {
	offset, after int64
	epoch         string
}

// turnOver folds a partition anew from what is left of it, up to a record that begins an epoch. Orders
// are priced meanwhile, as before.
func (l *PriceList) turnOver(ctx context.Context, r *kafka.Record) error {
	l.mu.RLock()
	source := l.source
	l.mu.RUnlock()
	if source == nil {
		return errors.New("ordering: a price list that was not loaded can't read its products again")
	}
	part := kafka.Partition{Topic: r.Topic, ID: r.Partition}
	var beginnings []beginning
	err := source.ReadRange(ctx, part, 0, r.Offset+1, func(r kafka.Record) error {
		if !beginsEpoch(r) {
			return nil
		}
		e, err := bus.EnvelopeOf(&r)
		beginnings = append(beginnings, beginning{r.Offset, e.Position, e.Epoch})
		return err
	})
	if err != nil {
		return fmt.Errorf("ordering: look for epochs of the catalogue: %w", err)
	}
	anew, seen := make(map[string]*listed), make(map[string]bool)
	err = source.ReadRange(ctx, part, 0, r.Offset, func(r kafka.Record) error {
		e, err := bus.EnvelopeOf(&r)
		seen[e.Subject] = true
		for _, b := range beginnings {
			if err == nil && r.Offset < b.offset && e.Epoch != b.epoch && e.Position > b.after {
				return nil // it never happened
			}
		}
		if !beginsEpoch(r) {
			l.fold(anew, &r)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ordering: read the catalogue again: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for stream := range seen {
		if anew[stream] == nil {
			delete(l.offers, stream)
			continue
		}
		l.offers[stream] = anew[stream]
		l.wake(stream)
	}
	l.next[part] = r.Offset + 1
	return nil
}
