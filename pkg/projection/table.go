package projection

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Names returns the names of the columns, separated by commas.
func (t Table) Names() string {
	var s strings.Builder
	for i, c := range t.Columns {
		if i > 0 {
			s.WriteString(", ")
		}
		s.WriteString(c.Name)
	}
	return s.String()
}

// OnConflict returns the clause that makes an insert AS t an upsert; it is the same text
// for both dialects.
func (t Table) OnConflict() string {
	var s strings.Builder
	s.WriteString(" ON CONFLICT (" + strings.Join(t.Key, ", ") + ") DO ")
	sets := 0
	for _, c := range t.Columns {
		if slices.Contains(t.Key, c.Name) {
			continue
		}
		if sets == 0 {
			s.WriteString("UPDATE SET ")
		} else {
			s.WriteString(", ")
		}
		s.WriteString(c.Name + " = excluded." + c.Name)
		sets++
	}
	if sets == 0 {
		s.WriteString("NOTHING")
	} else if t.Rank != "" {
		s.WriteString(" WHERE t." + t.Rank + " IS NULL OR excluded." + t.Rank + " > t." + t.Rank)
	}
	return s.String()
}

// Arrange puts rows into the order of their keys and leaves one of each key, as Tx.Upsert
// promises; it reorders rows in place. It is for implementations of Tx. Its error is a
// *StoreError about data, since some rows do not fit the table, or are too many.
func (t Table) Arrange(rows [][]any) ([][]any, error) {
	rows, err := t.arrange(rows)
	if err != nil {
		return nil, &StoreError{Op: "upsert into " + t.Name, Err: err, Data: true}
	}
	return rows, nil
}

func (t Table) arrange(rows [][]any) ([][]any, error) {
	if len(rows) > MaxUpsertRows {
		return nil, fmt.Errorf("%d rows, at most %d", len(rows), MaxUpsertRows)
	}
	keys, rank, err := t.indexes()
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if err := t.check(row, keys); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(rows, func(a, b []any) int { return compareKeys(keys, a, b) })
	kept := rows[:0]
	for _, row := range rows {
		n := len(kept)
		switch {
		case n == 0 || compareKeys(keys, kept[n-1], row) != 0:
			kept = append(kept, row)
		case rank < 0 || rankOf(row[rank]) > rankOf(kept[n-1][rank]):
			kept[n-1] = row
		}
	}
	return kept, nil
}

// indexes finds the key columns and the rank column among the columns.
func (t Table) indexes() (keys []int, rank int, err error) {
	find := func(name string) int {
		return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
	}
	for _, k := range t.Key {
		i := find(k)
		if i < 0 {
			return nil, 0, fmt.Errorf("table %s has no column for its key %s", t.Name, k)
		}
		keys = append(keys, i)
	}
	if rank = -1; t.Rank != "" {
		if rank = find(t.Rank); rank < 0 {
			return nil, 0, fmt.Errorf("table %s has no column for its rank %s", t.Name, t.Rank)
		}
	}
	if len(keys) == 0 {
		return nil, 0, fmt.Errorf("table %s has no key", t.Name)
	}
	return keys, rank, nil
}

func (t Table) check(row []any, keys []int) error {
	if len(row) != len(t.Columns) {
		return fmt.Errorf("row of %d values for the %d columns of %s", len(row), len(t.Columns), t.Name)
	}
	for _, k := range keys {
		switch row[k].(type) {
		case string, int64, int:
		default:
			return fmt.Errorf("key column %s of %s is a %T", t.Columns[k].Name, t.Name, row[k])
		}
	}
	for i, v := range row {
		ok := v == nil
		switch v.(type) {
		case string:
			ok = t.Columns[i].Kind == Text
		case int64, int:
			ok = t.Columns[i].Kind == Int
		case bool:
			ok = t.Columns[i].Kind == Bool
		case float64:
			ok = t.Columns[i].Kind == Float
		case []byte:
			ok = t.Columns[i].Kind == Bytes
		}
		if !ok {
			return fmt.Errorf("column %s of %s cannot hold a %T", t.Columns[i].Name, t.Name, v)
		}
	}
	return nil
}

func compareKeys(keys []int, a, b []any) int {
	for _, k := range keys {
		if s, ok := a[k].(string); ok {
			if c := strings.Compare(s, b[k].(string)); c != 0 {
				return c
			}
		} else if c := cmp.Compare(integer(a[k]), integer(b[k])); c != 0 {
			return c
		}
	}
	return 0
}

// rankOf orders ranks: null is below all, and a rank is rarely the lowest number there is.
func rankOf(v any) int64 {
	if v == nil {
		return -1 << 63
	}
	return integer(v)
}

func integer(v any) int64 {
	if n, ok := v.(int); ok {
		return int64(n)
	}
	n, _ := v.(int64)
	return n
}
