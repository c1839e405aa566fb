package projection

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// recorder is a scratch store that notes which tables the records of a topic write, and in which columns they put their
// keys.
type recorder struct {
	Store
	sample  map[string]bool // keys: where a log was restored, others than those of the records at hand are folded once more
	topic   string
	keys    map[string]bool // of the records that are folded
	mu      sync.Mutex
	written map[string]map[string]bool // table to topics
	keyed   map[string]map[string]bool // table to text columns: whether all rows have a record's key there
}

func newRecorder(s Store, sample map[string]bool) *recorder {
	return &recorder{Store: s, sample: sample, written: make(map[string]map[string]bool), keyed: make(map[string]map[string]bool)}
}

// noteKeys looks for the keys of records in rows.
func (r *recorder) noteKeys(table Table, rows [][]any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	keyed := r.keyed[table.Name]
	if keyed == nil {
		keyed = make(map[string]bool)
		r.keyed[table.Name] = keyed
	}
	for i, c := range table.Columns {
		for _, row := range rows {
			if held, seen := keyed[c.Name]; seen && !held {
				break
			}
			key, _ := row[i].(string)
			keyed[c.Name] = r.keys[key] || r.sample[key]
		}
	}
}

func (r *recorder) note(table string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.written[table] == nil {
		r.written[table] = make(map[string]bool)
	}
	r.written[table][r.topic] = true
}

// Update implements Store.
func (r *recorder) Update(ctx context.Context, fn func(Tx) error) error {
	return r.Store.Update(ctx, func(tx Tx) error { return fn(&recorderTx{tx, r}) })
}

type recorderTx struct {
	Tx
	r *recorder
}

var writesTable = regexp.MustCompile(`(?i)^\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+"?(\w+)`)

// Exec implements Tx.
func (t *recorderTx) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	if m := writesTable.FindStringSubmatch(sql); m != nil {
		t.r.note(m[1])
	}
	return t.Tx.Exec(ctx, sql, args...)
}

// Upsert implements Tx.
func (t *recorderTx) Upsert(ctx context.Context, table Table, rows [][]any) error {
	if len(rows) > 0 {
		t.r.note(table.Name)
		t.r.noteKeys(table, rows)
	}
	return t.Tx.Upsert(ctx, table, rows)
}

// comparedTable is a table that is compared, in the columns that both sides have.
type comparedTable struct {
	name    string
	columns []comparedColumn // those of the primary key first, in its order
	keys    int              // how many those are
	by      int              // the column that holds the records' key, -1: none
	secret  bool             // its values may be personal
}

type comparedColumn struct {
	name, kind string
}

// selects are the columns as texts that do not depend on the dialect.
func (t *comparedTable) selects(d Dialect) string {
	list := make([]string, len(t.columns))
	for i, c := range t.columns {
		name := `"` + c.name + `"`
		switch {
		case c.kind == "BOOLEAN" && d == Postgres:
			list[i] = "CASE WHEN " + name + " THEN '1' WHEN NOT " + name + " THEN '0' END"
		case c.kind == "BYTEA" && d == Postgres:
			list[i] = "encode(" + name + ", 'hex')"
		case c.kind == "BYTEA":
			list[i] = "CASE WHEN " + name + " IS NOT NULL THEN lower(hex(" + name + ")) END"
		default:
			list[i] = "CAST(" + name + " AS TEXT)"
		}
	}
	return strings.Join(list, ", ")
}

// where is the condition that the first n columns have the values $1.. $n.
func (t *comparedTable) where(n int) string {
	list := make([]string, n)
	for i, c := range t.columns[:n] {
		list[i] = fmt.Sprintf(`"%s" = $%d`, c.name, i+1)
	}
	return " WHERE " + strings.Join(list, " AND ")
}

// args are the values of the first columns of a row as arguments.
func (t *comparedTable) args(row []value, n int) ([]any, error) {
	args := make([]any, n)
	for i := range args {
		args[i] = row[i].text
		if t.columns[i].kind != "TEXT" {
			number, err := strconv.ParseInt(row[i].text, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("key column %s: %w", t.columns[i].name, err)
			}
			args[i] = number
		}
	}
	return args, nil
}

// value is a column of a row.
type value struct {
	text string
	null bool
}

// same compares what was written: JSON by what it says, since the order of members does not count, and numbers that the
// databases print in different ways by their value.
func (v value) same(o value, kind string) bool {
	if v == o {
		return true
	}
	if v.null || o.null {
		return false
	}
	switch {
	case strings.HasPrefix(v.text, "{") || strings.HasPrefix(v.text, "["):
		a, b := jsontext.Value(v.text), jsontext.Value(o.text)
		return a.Canonicalize() == nil && b.Canonicalize() == nil && string(a) == string(b)
	case kind == "DOUBLE PRECISION":
		a, err1 := strconv.ParseFloat(v.text, 64)
		b, err2 := strconv.ParseFloat(o.text, 64)
		return err1 == nil && err2 == nil && a == b
	}
	return false
}

// read reads rows.
func (t *comparedTable) read(ctx context.Context, s Store, rest string, args []any) (rows [][]value, err error) {
	sql := "SELECT " + t.selects(s.Dialect()) + " FROM " + t.name + rest
	err = s.Query(ctx, sql, args, func(r Row) error {
		row := make([]value, len(t.columns))
		for i := range row {
			if row[i].null = r.Null(i); !row[i].null {
				row[i].text = r.Text(i)
			}
		}
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

// page reads the next rows after one, in the order of the primary key.
func (t *comparedTable) page(ctx context.Context, s Store, after []value) ([][]value, error) {
	names, marks := make([]string, t.keys), make([]string, t.keys)
	for i, c := range t.columns[:t.keys] {
		names[i], marks[i] = `"`+c.name+`"`, fmt.Sprint("$", i+1)
	}
	order := " ORDER BY " + strings.Join(names, ", ") + " LIMIT " + strconv.Itoa(verifyPage)
	if after == nil {
		return t.read(ctx, s, order, nil)
	}
	args, err := t.args(after, t.keys)
	if err != nil {
		return nil, err
	}
	return t.read(ctx, s, " WHERE ("+strings.Join(names, ", ")+") > ("+strings.Join(marks, ", ")+")"+order, args)
}

// id names a row.
func (t *comparedTable) id(row []value) string {
	parts := make([]string, t.keys)
	for i := range parts {
		parts[i] = row[i].text
	}
	return strings.Join(parts, "/")
}

// diff compares the rows of one group on both sides. Where one side has no row, one that says nothing on the other is no
// difference: what was erased, whose tombstone is gone from its topic, has a version and nothing else, and
// sums that have come to nothing are zero.
func (t *comparedTable) diff(live, fresh [][]value) (found []Difference) {
	byID := make(map[string][]value, len(fresh))
	for _, row := range fresh {
		byID[t.id(row)] = row
	}
	tell := func(row []value, column, is, should string) {
		d := Difference{Table: t.name, Row: t.id(row), Column: column, Live: is, Fresh: should}
		if t.by >= 0 {
			d.Key = row[t.by].text
		}
		found = append(found, d)
	}
	for _, row := range live {
		want, ok := byID[t.id(row)]
		delete(byID, t.id(row))
		if !ok {
			if !t.saysNothing(row) {
				tell(row, "", "a row", "no row")
			}
			continue
		}
		for i := t.keys; i < len(row); i++ {
			if !row[i].same(want[i], t.columns[i].kind) {
				tell(want, t.columns[i].name, t.show(row[i]), t.show(want[i]))
			}
		}
	}
	for _, row := range fresh {
		if _, missing := byID[t.id(row)]; missing && !t.saysNothing(row) {
			tell(row, "", "no row", "a row")
		}
	}
	return found
}

func (t *comparedTable) saysNothing(row []value) bool {
	nulls, zeros := 0, t.by < 0
	for i := t.keys; i < len(row); i++ {
		zeros = zeros && row[i].text == "0"
		if row[i].null {
			nulls++
		} else if t.columns[i].kind == "TEXT" {
			return false
		}
	}
	return nulls > 0 || zeros
}

// show is a value for people; what may be personal is not shown.
func (t *comparedTable) show(v value) string {
	switch {
	case v.null:
		return "null"
	case t.secret:
		return fmt.Sprintf("(%d bytes)", len(v.text))
	case len(v.text) > maxShown:
		return strings.ToValidUTF8(v.text[:maxShown], "") + "..."
	}
	return v.text
}

// plan finds the tables that can be compared, and how.
func (v *verifier) plan(ctx context.Context) error {
	skip := func(table, why string) { v.result.Skipped = append(v.result.Skipped, table+": "+why) }
	statements := v.Builds.o.View.Schema(SQLite)
	for _, st := range tablesOf(statements) {
		t := &comparedTable{name: st.name, by: -1}
		switch {
		case st.virtual:
			skip(st.name, "an index that the database keeps")
			continue
		case v.mixed[st.name]:
			skip(st.name, "is fed by topics that are not kept for ever")
			continue
		}
		for topic := range v.scratch.written[st.name] {
			t.secret = t.secret || (v.Builds.o.Sensitive != nil && v.Builds.o.Sensitive(topic))
		}
		if err := v.columns(ctx, t); err != nil {
			return err
		}
		if t.keys == 0 {
			skip(st.name, "has no primary key")
			continue
		}
		v.keyColumn(t)
		if t.by < 0 && !v.o.All {
			if len(v.scratch.written[st.name]) > 0 {
				skip(st.name, "adds up over keys; --all compares it")
			}
			continue
		}
		v.tables = append(v.tables, t)
	}
	return v.unfoldable(ctx)
}

// columns reads which columns both sides have.
func (v *verifier) columns(ctx context.Context, t *comparedTable) error {
	live := make(map[string]bool)
	sql := "SELECT name FROM pragma_table_info($1)"
	if v.Builds.o.Store.Dialect() == Postgres {
		sql = "SELECT column_name::text FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1"
	}
	err := v.Builds.o.Store.Query(ctx, sql, []any{t.name}, func(r Row) error { live[r.Text(0)] = true; return nil })
	if err != nil {
		return err
	}
	var keys, others []comparedColumn
	err = v.scratch.Query(ctx, "SELECT name, upper(type), pk FROM pragma_table_info($1) ORDER BY pk, cid", []any{t.name}, func(r Row) error {
		c := comparedColumn{r.Text(0), r.Text(1)}
		switch {
		case !live[c.name]:
		case r.Int(2) > 0:
			keys = append(keys, c)
		default:
			others = append(others, c)
		}
		return nil
	})
	t.columns, t.keys = append(keys, others...), len(keys)
	return err
}

// keyColumn finds the column that holds the key of the records that wrote a row: one of the primary key, if there is such.
func (v *verifier) keyColumn(t *comparedTable) {
	for i, c := range t.columns {
		if v.scratch.keyed[t.name][c.name] {
			t.by = i
			return
		}
	}
}

// unfoldable finds the keys that are broken in the live view or in the fresh fold.
func (v *verifier) unfoldable(ctx context.Context) error {
	live, err := v.AllBroken(ctx, v.build, "", maxListed)
	if err != nil {
		return err
	}
	fresh, err := v.fresh.AllBroken(ctx, "", maxListed)
	if err != nil {
		return err
	}
	for _, k := range slices.Concat(live, fresh) {
		v.broken[k.Key] = true
	}
	if n := len(v.broken); n > 0 {
		v.result.Skipped = append(v.result.Skipped, fmt.Sprintf("%d keys: are broken", n))
	}
	return nil
}
