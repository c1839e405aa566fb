// Package view watches the read store of a system under measurement, beside the system: an
// order is visible from the moment that another reader of the database finds its row, which is
// what a GET looks for.
package view

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/orderlane/orderlane/bench/load"
)

// Table says where the rows are: one for each order, with the order's id, or the name of its
// stream, in Key. Rows are inserted once and never deleted.
type Table struct {
	Schema string // in PostgreSQL
	Name   string
	Key    string
	// Writers says that several connections write at the same time: on PostgreSQL, new rows
	// are then not always behind the old ones, and are looked for more seldom and further back.
	Writers bool
}

// View is a reader of the table. It is for one goroutine.
type View interface {
	// Next calls seen with the key of each row that was inserted since the last call, in the
	// order of the table.
	Next(ctx context.Context, seen func(key string)) error
	// Count counts the rows, and the distinct keys.
	Count(ctx context.Context) (rows, keys int64, err error)
	Close() error
}

// Open opens the view in PostgreSQL, or, without an URL, in an SQLite file.
func Open(ctx context.Context, url, file string, table Table) (View, error) {
	if url != "" {
		return openPostgres(ctx, url, table)
	}
	return openSQLite(file, table)
}

// Seen is when an order was found visible.
type Seen struct {
	ID load.ID
	At time.Time
}

// Watch notes when orders become visible until count of them are, and tells the backlog. It
// looks every millisecond. It fails when stalled passes without a new row.
func Watch(ctx context.Context, v View, every, stalled time.Duration, until func(visible int64) bool, tell func(visible int64)) ([]Seen, error) {
	var all []Seen
	var bad error
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := time.Now()
	for !until(int64(len(all))) {
		before := len(all)
		asked := time.Now()
		err := v.Next(ctx, func(key string) {
			id, err := load.ParseID(key)
			if err != nil {
				bad = err
			}
			all = append(all, Seen{ID: id})
		})
		if err != nil {
			return nil, err
		}
		if bad != nil {
			return nil, bad
		}
		now := time.Now()
		for i := before; i < len(all); i++ {
			all[i].At = now
		}
		if len(all) > before {
			last = now
			tell(int64(len(all)))
		} else if asked.Sub(last) > stalled {
			return nil, fmt.Errorf("no order has become visible for %v; %d are", stalled, len(all))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
	return all, nil
}

// absent says that an error is about a table that is not there yet.
func absent(err error) bool {
	return strings.Contains(err.Error(), "no such table") || strings.Contains(err.Error(), "42P01")
}
