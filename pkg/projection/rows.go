package projection

import "context"

// Rows collects upserts of one table and writes them as one multi-row statement. It is a
// Part, for views that write rows without having read them: lists, timelines, and what
// several producers report on by rank (accepted < parked < final).
type Rows struct {
	table Table
	rows  [][]any
}

// NewRows returns the collector for a table.
func NewRows(t Table) *Rows { return &Rows{table: t} }

// Upsert collects a row: one value per column of the table.
func (r *Rows) Upsert(values ...any) { r.rows = append(r.rows, values) }

// Flush writes the collected rows.
func (r *Rows) Flush(ctx context.Context, tx Tx) error {
	for rest := r.rows; len(rest) > 0; {
		n := min(len(rest), MaxUpsertRows)
		if err := tx.Upsert(ctx, r.table, rest[:n:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// Reset drops the collected rows.
func (r *Rows) Reset() {
	clear(r.rows)
	r.rows = r.rows[:0]
}
