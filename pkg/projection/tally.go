package projection

import (
	"context"
	"encoding/binary"
	"fmt"
)

// Tally collects what documents contribute.
type Tally struct {
	sign   int64
	part   int64
	tables []tallyTable
	buf    []byte
}

// tallyTable collects for one table of sums.
type tallyTable struct {
	table Table
	keys  int            // how many columns the key has, without the partition
	index map[string]int // key to row
	rows  []tallyRow
}

type tallyRow struct {
	key  []any
	part int64
	sums []int64
}

func newTally(sums []Sums) *Tally {
	t := &Tally{tables: make([]tallyTable, len(sums))}
	for i, s := range sums {
		table := Table{Name: s.Table, Columns: s.key(), Sums: s.Columns}
		for _, c := range table.Columns {
			table.Key = append(table.Key, c.Name)
		}
		for _, name := range s.Columns {
			table.Columns = append(table.Columns, Column{name, Int})
		}
		t.tables[i] = tallyTable{table: table, keys: len(s.Key), index: make(map[string]int)}
	}
	return t
}

// Add adds to the row with a key of a table of sums, by its place in RollupOf.Sums. There is one value per
// column of the key, a string or an int64, and one per sum. It panics otherwise.
func (t *Tally) Add(table int, sums []int64, key ...any) {
	to := &t.tables[table]
	if want := len(to.table.Sums); len(sums) != want || len(key) != to.keys {
		panic(fmt.Sprintf("%d sums and a key of %d for %s", len(sums), len(key), to.table.Name))
	}
	t.buf = binary.AppendVarint(t.buf[:0], t.part)
	for _, k := range key {
		if s, ok := k.(string); ok {
			t.buf = append(binary.AppendUvarint(t.buf, uint64(len(s))), s...)
		} else {
			t.buf = binary.AppendVarint(t.buf, k.(int64))
		}
	}
	i, ok := to.index[string(t.buf)]
	if !ok {
		i = len(to.rows)
		to.index[string(t.buf)] = i
		to.rows = append(to.rows, tallyRow{key, t.part, make([]int64, len(sums))})
	}
	row := &to.rows[i]
	for j, n := range sums {
		row.sums[j] += t.sign * n
	}
}

// write adds the differences to the tables.
func (t *Tally) write(ctx context.Context, tx Tx) error {
	for i := range t.tables {
		from := &t.tables[i]
		var rows [][]any
		for _, r := range from.rows {
			if !nonzero(r.sums) {
				continue
			}
			row := append(make([]any, 0, len(from.table.Columns)), r.key...)
			row = append(row, r.part)
			for _, n := range r.sums {
				row = append(row, n)
			}
			rows = append(rows, row)
		}
		if err := upsertAll(ctx, tx, from.table, rows); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tally) reset() {
	for i := range t.tables {
		table := &t.tables[i]
		clear(table.index)
		clear(table.rows)
		table.rows = table.rows[:0]
	}
}

func nonzero(sums []int64) bool {
	for _, n := range sums {
		if n != 0 {
			return true
		}
	}
	return false
}

// upsertAll upserts any number of rows.
func upsertAll(ctx context.Context, tx Tx, table Table, rows [][]any) error {
	for len(rows) > 0 {
		n := min(len(rows), MaxUpsertRows)
		if err := tx.Upsert(ctx, table, rows[:n:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}
