package projection

import (
	"context"
	"time"
)

// Keeper is a View whose rows end: those that nobody asks for any more are deleted, a few at a
// time, in the transactions of steps, and in ones of their own while there are none.
type Keeper interface {
	View

	// Upkeep deletes rows that have ended by now, the oldest first, and about limit at the
	// most. It is called often, so it must find out quickly that there are none. It touches
	// nothing that was collected, and its error is a failure of the database.
	Upkeep(ctx context.Context, tx Tx, d Dialect, now time.Time, limit int) error
}

// Upkeep is done this often at the most, of no more rows than records have come in since, and
// some, so that it keeps up and catches up.
const (
	upkeepEvery = 100 * time.Millisecond
	upkeepMore  = 64
	maxUpkeep   = 10_000
)

// keep does upkeep in the transaction of a batch of records, when it is time for that.
func (p *Projection) keep(ctx context.Context, tx Tx, records int) error {
	k, ok := p.o.View.(Keeper)
	if !ok {
		return nil
	}
	p.unkept += records
	now := p.o.Clock()
	if now.Sub(p.kept) < upkeepEvery {
		return nil
	}
	// What was written may only be queued yet. It is sent first, so that a row which the database does
	// not take is blamed on its record, and not on the upkeep.
	if err := tx.Query(ctx, "SELECT 1", nil, func(Row) error { return nil }); err != nil {
		return err
	}
	if err := k.Upkeep(ctx, tx, p.o.Store.Dialect(), now, min(p.unkept+upkeepMore, maxUpkeep)); err != nil {
		return &StoreError{Op: "delete old rows of " + p.name, Err: err} // which no record is to blame for
	}
	p.kept, p.unkept = now, 0
	return nil
}

// keepIdle does upkeep while no records come in.
func (p *Projection) keepIdle(ctx context.Context) error {
	if _, ok := p.o.View.(Keeper); !ok {
		return nil
	}
	if err := p.lock(ctx); err != nil {
		return err
	}
	defer p.unlock()
	return p.o.Store.Update(ctx, func(tx Tx) error { return p.keep(ctx, tx, maxUpkeep/10) })
}

// Ageing describes a table whose rows end: what a Keeper deletes them by.
type Ageing struct {
	Table string
	Key   string // column of a unique index

	// Changed is a column of kind Int, never null: when the row was last changed, in
	// microseconds since 1970. It is best a Group of its own: the latest time stays then.
	Changed string
}

// Schema returns the statements, if any, that make what Delete needs beside the table.
func (a Ageing) Schema(d Dialect) []string {
	if d == SQLite {
		return nil // rows stand in the order in which they were made, and few change much later
	}
	return []string{"CREATE INDEX " + a.Table + "_" + a.Changed + " ON " + a.Table + " (" + a.Changed + ")"}
}

// Delete deletes rows that were last changed before a time, about limit at the most, from the
// oldest one on. On SQLite it goes by the order in which rows were made, and by no index, which
// would cost every row: it deletes nothing while the oldest one is to stay. So in a view that
// was rebuilt, where rows of all ages come in together, one may stay for up to twice its time.
func (a Ageing) Delete(ctx context.Context, tx Tx, d Dialect, before time.Time, limit int) error {
	if d != SQLite {
		// Another instance may be deleting too; what it has locked is left to it.
		_, err := tx.Exec(ctx, "DELETE FROM "+a.Table+" WHERE "+a.Key+" IN (SELECT "+a.Key+" FROM "+a.Table+
			" WHERE "+a.Changed+" < $1 ORDER BY "+a.Changed+" LIMIT $2 FOR UPDATE SKIP LOCKED)", before.UnixMicro(), limit)
		return err
	}
	due := false
	err := tx.Query(ctx, "SELECT "+a.Changed+" FROM "+a.Table+" ORDER BY rowid LIMIT 1", nil, func(r Row) error {
		due = r.Int(0) < before.UnixMicro()
		return nil
	})
	if err != nil || !due {
		return err
	}
	_, err = tx.Exec(ctx, "DELETE FROM "+a.Table+" WHERE rowid IN (SELECT rowid FROM "+a.Table+" ORDER BY rowid LIMIT $2) AND "+
		a.Changed+" < $1", before.UnixMicro(), limit)
	return err
}
