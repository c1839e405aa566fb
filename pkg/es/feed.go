package es

import (
	"context"
	"slices"
	"sync"
)

// feedRecords is how many records a feed keeps at the least when it is full.
const feedRecords = 1024

// Feed is the end of a log in memory: what the engine of this process appended last, so
// that the relay need not read it back. What it does not hold is read from the log.
// It is safe for concurrent use.
type Feed struct {
	log Log

	mu      sync.Mutex
	records []Record // contiguous positions
}

// NewFeed returns an empty feed of a log.
func NewFeed(log Log) *Feed { return &Feed{log: log} }

// Add takes over records that were just appended; use it as Options.OnAppend.
func (f *Feed) Add(_ Head, records []Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.records); n > 0 && f.records[n-1].Position+1 != records[0].Position {
		f.records = nil // another writer was in between
	}
	f.records = append(f.records, records...)
	if n := len(f.records); n > 2*feedRecords {
		f.records = slices.Clone(f.records[n-feedRecords:])
	}
}

// Read returns up to limit records after a position, in order, like Log.Read. Records that
// come from memory carry their event and their personal payload.
func (f *Feed) Read(ctx context.Context, after int64, limit int) ([]Record, error) {
	if r := f.held(after, limit); r != nil {
		return r, nil
	}
	return f.log.Read(ctx, after, limit)
}

// Forget drops what is in memory, of which the log may know nothing any more.
func (f *Feed) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records = nil
}

func (f *Feed) held(after int64, limit int) []Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.records)
	if n == 0 || after+1 < f.records[0].Position || after >= f.records[n-1].Position {
		return nil
	}
	from := int(after + 1 - f.records[0].Position)
	return f.records[from:min(n, from+limit):min(n, from+limit)]
}
