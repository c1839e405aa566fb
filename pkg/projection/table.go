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
	clause := " ON CONFLICT (" + strings.Join(t.Key, ", ") + ") DO "
	var sets, higher []string
	for _, g := range t.Groups {
		rises := "(excluded." + g.Rank + " IS NOT NULL AND (t." + g.Rank + " IS NULL OR excluded." + g.Rank + " > t." + g.Rank + "))"
		higher = append(higher, rises)
		for _, name := range append([]string{g.Rank}, g.Columns...) {
			sets = append(sets, name+" = CASE WHEN "+rises+" THEN excluded."+name+" ELSE t."+name+" END")
		}
	}
	for _, c := range t.Columns {
		switch {
		case len(t.Groups) > 0 || slices.Contains(t.Key, c.Name):
		case slices.Contains(t.Sums, c.Name):
			sets = append(sets, c.Name+" = t."+c.Name+" + excluded."+c.Name)
		default:
			sets = append(sets, c.Name+" = excluded."+c.Name)
		}
	}
	if t.Rank != "" {
		higher = []string{"t." + t.Rank + " IS NULL OR excluded." + t.Rank + " > t." + t.Rank}
	}
	switch {
	case len(sets) == 0:
		return clause + "NOTHING"
	case len(higher) == 0:
		return clause + "UPDATE SET " + strings.Join(sets, ", ")
	}
	return clause + "UPDATE SET " + strings.Join(sets, ", ") + " WHERE " + strings.Join(higher, " OR ")
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
	keys, err := t.indexes(t.Key...)
	if err != nil {
		return nil, err
	}
	groups, err := t.groups()
	if err != nil {
		return nil, err
	}
	var sums []int
	if len(t.Sums) > 0 {
		if sums, err = t.indexes(t.Sums...); err != nil {
			return nil, err
		}
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
		case len(sums) > 0:
			for _, i := range sums {
				kept[n-1][i] = integer(kept[n-1][i]) + integer(row[i])
			}
		case len(groups) == 0:
			kept[n-1] = row
		default:
			for _, g := range groups {
				if rankOf(row[g[0]]) > rankOf(kept[n-1][g[0]]) {
					for _, i := range g {
						kept[n-1][i] = row[i]
					}
				}
			}
		}
	}
	return kept, nil
}

// groups are the indexes of the columns that a rank decides on, the rank's first: those of
// each group, or all columns, if there is but one rank.
func (t Table) groups() (groups [][]int, err error) {
	all := t.Groups
	if t.Rank != "" {
		all = append(all, Group{Rank: t.Rank})
		for _, c := range t.Columns {
			if c.Name != t.Rank {
				all[0].Columns = append(all[0].Columns, c.Name)
			}
		}
	}
	for _, g := range all {
		indexes, err := t.indexes(append([]string{g.Rank}, g.Columns...)...)
		if err != nil {
			return nil, err
		}
		groups = append(groups, indexes)
	}
	return groups, nil
}

// indexes finds columns by name, one at least.
func (t Table) indexes(names ...string) ([]int, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("table %s has no key", t.Name)
	}
	found := make([]int, len(names))
	for i, name := range names {
		found[i] = slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
		if found[i] < 0 {
			return nil, fmt.Errorf("table %s has no column %s", t.Name, name)
		}
	}
	return found, nil
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
