// Package storetest is the conformance suite of projection.Store: what sqlitestore and
// pgstore both pass, so that a view that works on one works on the other.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/orderlane/orderlane/pkg/projection"
)

// Run runs the suite. open returns an empty store, and closes it when the test ends; reopen
// returns another Store on the same database, as a second instance has it.
func Run(t *testing.T, open func(t *testing.T) (s projection.Store, reopen func() projection.Store)) {
	tests := []struct {
		name string
		run  func(t *testing.T, s projection.Store, reopen func() projection.Store)
	}{
		{"an upsert inserts rows and updates those that are there", upserts},
		{"of rows with one key the last counts", lastRowCounts},
		{"a rank lets rows only rise", rankRises},
		{"groups of columns rise apart from each other", groupsRiseApart},
		{"sums are added to what is there", sumsAdd},
		{"rows that have had their time are deleted, the oldest first", agedRowsEnd},
		{"tables of one name write their own columns only", ownColumns},
		{"every kind of value comes back as it was", roundTrip},
		{"a column of another type than asked for is an error", wrongType},
		{"parameters are numbered", parameters},
		{"load finds rows by key", loads},
		{"an error or a panic takes the transaction back", rollsBack},
		{"a query sees what is committed and a transaction what it wrote", isolation},
		{"a value that is refused is a data error and a wrong statement is not", dataErrors},
		{"rows that do not fit their table are refused", misfits},
		{"a migration runs each statement once", migrates},
		{"instances migrate at the same time", migratesTogether},
		{"an error of scan ends the query", scanError},
		{"an ended context ends a call", contextEnds},
		{"a closed store says so", closes},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, reopen := open(t)
			must(t, s.Migrate(t.Context(), "things", []string{
				`CREATE TABLE things (id TEXT NOT NULL, n BIGINT NOT NULL, name TEXT, size BIGINT CHECK (size < 1000), ok BOOLEAN, weight DOUBLE PRECISION, raw BYTEA, rank BIGINT, PRIMARY KEY (id, n));`,
			}))
			test.run(t, s, reopen)
		})
	}
}

// things is the table of the tests.
var things = projection.Table{
	Name: "things",
	Columns: []projection.Column{
		{Name: "id"},
		{Name: "n", Kind: projection.Int},
		{Name: "name"},
		{Name: "size", Kind: projection.Int},
		{Name: "ok", Kind: projection.Bool},
		{Name: "weight", Kind: projection.Float},
		{Name: "raw", Kind: projection.Bytes},
	},
	Key: []string{"id", "n"},
}

var ranked = projection.Table{
	Name:    "things",
	Columns: []projection.Column{{Name: "id"}, {Name: "n", Kind: projection.Int}, {Name: "name"}, {Name: "rank", Kind: projection.Int}},
	Key:     []string{"id", "n"}, Rank: "rank",
}

func thing(id, name string) []any { return []any{id, 1, name, 5, true, 1.5, []byte("raw")} }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func upsert(t *testing.T, s projection.Store, table projection.Table, rows ...[]any) {
	t.Helper()
	must(t, s.Update(t.Context(), func(tx projection.Tx) error { return tx.Upsert(t.Context(), table, rows) }))
}

// names reads id=name of all rows in the order of their ids.
func names(t *testing.T, q projection.Queryer) string {
	t.Helper()
	var list []string
	must(t, q.Query(t.Context(), `SELECT id, name FROM things ORDER BY id, n`, nil, func(r projection.Row) error {
		list = append(list, r.Text(0)+"="+r.Text(1))
		return nil
	}))
	return strings.Join(list, " ")
}

func want(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func upserts(t *testing.T, s projection.Store, _ func() projection.Store) {
	upsert(t, s, things)
	upsert(t, s, things, thing("b", "two"), thing("a", "one"))
	upsert(t, s, things, thing("c", "three"), thing("b", "zwei"))
	want(t, names(t, s), "a=one b=zwei c=three")
	var many [][]any
	for i := range projection.MaxUpsertRows {
		many = append(many, thing(fmt.Sprint("m", i), "many"))
	}
	upsert(t, s, things, many...)
	must(t, s.Query(t.Context(), `SELECT count(*) FROM things WHERE name = $1`, []any{"many"}, func(r projection.Row) error {
		want(t, fmt.Sprint(r.Int(0)), fmt.Sprint(projection.MaxUpsertRows))
		return nil
	}))
}

func lastRowCounts(t *testing.T, s projection.Store, _ func() projection.Store) {
	upsert(t, s, things, thing("a", "1"), thing("b", "1"), thing("a", "2"), thing("a", "3"))
	want(t, names(t, s), "a=3 b=1")
}

func rankRises(t *testing.T, s projection.Store, _ func() projection.Store) {
	upsert(t, s, ranked, []any{"a", 1, "parked", 2}, []any{"a", 1, "final", 3}, []any{"a", 1, "final again", 3}, []any{"a", 1, "accepted", 1})
	want(t, names(t, s), "a=final")
	upsert(t, s, ranked, []any{"a", 1, "accepted", 1}, []any{"b", 1, "accepted", 1})
	upsert(t, s, ranked, []any{"a", 1, "final twice", 3}, []any{"b", 1, "parked", 2})
	want(t, names(t, s), "a=final b=parked")
	upsert(t, s, ranked, []any{"b", 1, "null", nil})
	want(t, names(t, s), "a=final b=parked")
	upsert(t, s, ranked, []any{"c", 1, "null", nil}, []any{"c", 1, "below zero", -1})
	upsert(t, s, ranked, []any{"d", 1, "null", nil})
	upsert(t, s, ranked, []any{"d", 1, "zero", 0})
	want(t, names(t, s), "a=final b=parked c=below zero d=zero")
}

func ownColumns(t *testing.T, s projection.Store, _ func() projection.Store) {
	upsert(t, s, things, thing("a", "one"))
	upsert(t, s, ranked, []any{"a", 1, "uno", 7})
	sizes := projection.Table{Name: "things", Columns: []projection.Column{{Name: "n", Kind: projection.Int}, {Name: "size", Kind: projection.Int}, {Name: "id"}}, Key: []string{"id", "n"}}
	upsert(t, s, sizes, []any{int64(1), 42, "a"}, []any{1, 43, "b"})
	keys := projection.Table{Name: "things", Columns: things.Columns[:2], Key: things.Key}
	upsert(t, s, keys, []any{"a", 1}, []any{"c", 1})
	must(t, s.Query(t.Context(), `SELECT name, size, rank FROM things WHERE id = $1`, []any{"a"}, func(r projection.Row) error {
		want(t, fmt.Sprint(r.Text(0), r.Int(1), r.Int(2)), "uno42 7")
		return nil
	}))
	want(t, names(t, s), "a=uno b= c=")
}

func roundTrip(t *testing.T, s projection.Store, _ func() projection.Store) {
	const odd = "Ünïcødé, 'quotes', \"more\", {a,b}, NULL, \\, \n"
	upsert(t, s, things,
		[]any{"full", int64(-1 << 60), odd, int64(7), false, 2.0, []byte{0, 1, 255}},
		[]any{"empty", 0, "", 0, false, 0.0, []byte{}},
		[]any{"null", 0, nil, nil, nil, nil, nil})
	read := func(q projection.Queryer) map[string]string {
		found := make(map[string]string)
		must(t, q.Query(t.Context(), `SELECT id, n, name, size, ok, weight, raw FROM things`, nil, func(r projection.Row) error {
			found[r.Text(0)] = fmt.Sprintf("%d %q %d %v %v %v %v%v%v%v%v", r.Int(1), r.Text(2), r.Int(3), r.Bool(4), r.Float(5), r.Bytes(6),
				r.Null(2), r.Null(3), r.Null(4), r.Null(5), r.Null(6))
			return nil
		}))
		return found
	}
	expected := map[string]string{
		"full":  fmt.Sprintf("%d %q 7 false 2 [0 1 255] falsefalsefalsefalsefalse", int64(-1<<60), odd),
		"empty": `0 "" 0 false 0 [] falsefalsefalsefalsefalse`,
		"null":  `0 "" 0 false 0 [] truetruetruetruetrue`,
	}
	for id, row := range read(s) {
		want(t, row, expected[id])
	}
	must(t, s.Update(t.Context(), func(tx projection.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE things SET ok = $1, weight = $2 WHERE id = $3`, true, 1.25, "full")
		if err == nil {
			want(t, read(tx)["full"], fmt.Sprintf("%d %q 7 true 1.25 [0 1 255] falsefalsefalsefalsefalse", int64(-1<<60), odd))
		}
		return err
	}))
}

func wrongType(t *testing.T, s projection.Store, _ func() projection.Store) {
	upsert(t, s, things, thing("a", "one"))
	for _, read := range []func(projection.Row){
		func(r projection.Row) { r.Int(0) },
		func(r projection.Row) { r.Text(1) },
		func(r projection.Row) { r.Bytes(0) },
		func(r projection.Row) { r.Float(0) },
	} {
		err := s.Query(t.Context(), `SELECT id, n FROM things`, nil, func(r projection.Row) error { read(r); return nil })
		if err == nil {
			t.Error("a column was read as another type without an error")
		}
	}
}

func parameters(t *testing.T, s projection.Store, _ func() projection.Store) {
	upsert(t, s, things, thing("a", "b"), thing("b", "a"), thing("c", "c"))
	var got []string
	must(t, s.Query(t.Context(), `SELECT id, '$2 $1' FROM things WHERE name = $2 AND id = $1 OR id = $3 AND name = $3 ORDER BY id`, []any{"a", "b", "c"}, func(r projection.Row) error {
		got = append(got, r.Text(0), r.Text(1))
		return nil
	}))
	want(t, strings.Join(got, " "), "a $2 $1 c $2 $1")
	if err := s.Query(t.Context(), `SELECT id FROM things WHERE id = $1`, nil, nil); err == nil {
		t.Error("a missing argument is no error")
	}
	must(t, s.Update(t.Context(), func(tx projection.Tx) error {
		n, err := tx.Exec(t.Context(), `DELETE FROM things WHERE id < $1`, "c")
		want(t, fmt.Sprint(n), "2")
		return err
	}))
}

func loads(t *testing.T, s projection.Store, _ func() projection.Store) {
	upsert(t, s, things, thing("a", "one"), thing("b", "two"), thing("c", "three"))
	load := func(q projection.Queryer, keys ...string) string {
		found := make(map[string]string)
		must(t, q.Load(t.Context(), projection.Lookup{Table: "things", Columns: []string{"name", "id"}, Key: "id", Values: keys}, func(r projection.Row) error {
			found[r.Text(1)] = r.Text(0)
			return nil
		}))
		return fmt.Sprint(found)
	}
	want(t, load(s, "b", "x", "a"), "map[a:one b:two]")
	want(t, load(s), "map[]")
	must(t, s.Update(t.Context(), func(tx projection.Tx) error {
		must(t, tx.Upsert(t.Context(), things, [][]any{thing("d", "four")}))
		want(t, load(tx, "d", "c"), "map[c:three d:four]")
		return nil
	}))
	err := s.Load(t.Context(), projection.Lookup{Table: "things", Columns: []string{"id"}, Key: "id", Values: make([]string, projection.MaxLoadKeys+1)}, nil)
	if err == nil {
		t.Error("too many keys are no error")
	}
}

func rollsBack(t *testing.T, s projection.Store, _ func() projection.Store) {
	mine := errors.New("mine")
	err := s.Update(t.Context(), func(tx projection.Tx) error {
		must(t, tx.Upsert(t.Context(), things, [][]any{thing("a", "one")}))
		want(t, names(t, tx), "a=one")
		return mine
	})
	if !errors.Is(err, mine) {
		t.Fatalf("Update returned %v, not fn's error", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("Update swallowed a panic")
			}
		}()
		_ = s.Update(t.Context(), func(tx projection.Tx) error {
			must(t, tx.Upsert(t.Context(), things, [][]any{thing("b", "two")}))
			want(t, names(t, tx), "b=two")
			panic("mine")
		})
	}()
	upsert(t, s, things, thing("c", "three"))
	want(t, names(t, s), "c=three")
}

func isolation(t *testing.T, s projection.Store, _ func() projection.Store) {
	must(t, s.Update(t.Context(), func(tx projection.Tx) error {
		must(t, tx.Upsert(t.Context(), things, [][]any{thing("a", "one")}))
		want(t, names(t, tx), "a=one")
		want(t, names(t, s), "")
		return nil
	}))
	want(t, names(t, s), "a=one")
}

func dataErrors(t *testing.T, s projection.Store, _ func() projection.Store) {
	refused := map[string]error{
		"a constraint": s.Update(t.Context(), func(tx projection.Tx) error {
			return tx.Upsert(t.Context(), things, [][]any{thing("ok", "fine"), {"big", 1, "", 5000, nil, nil, nil}})
		}),
		"a null": s.Update(t.Context(), func(tx projection.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO things (id) VALUES ($1)`, "no n")
			return err
		}),
		"a zero byte": s.Update(t.Context(), func(tx projection.Tx) error {
			return tx.Upsert(t.Context(), things, [][]any{thing("ok", "fine"), thing("bad", "a\x00b")})
		}),
		"no UTF-8": s.Update(t.Context(), func(tx projection.Tx) error {
			return tx.Upsert(t.Context(), things, [][]any{thing("ok", "fine"), thing("bad", "a\xffb")})
		}),
	}
	for what, err := range refused {
		var e *projection.StoreError
		if !errors.As(err, &e) || !e.Data {
			t.Errorf("%s: %v is no data error", what, err)
		}
	}
	var e *projection.StoreError
	if err := s.Query(t.Context(), `SELECT nothing FROM nowhere`, nil, nil); !errors.As(err, &e) || e.Data {
		t.Errorf("a wrong statement: %v", err)
	}
	want(t, names(t, s), "")
	upsert(t, s, things, thing("a", "goes on"))
	want(t, names(t, s), "a=goes on")
}

func misfits(t *testing.T, s projection.Store, _ func() projection.Store) {
	for what, row := range map[string][]any{
		"too few values":    {"a", 1},
		"a null key":        {nil, 1, "", 1, true, 1.0, nil},
		"another type":      {"a", 1, 7, 1, true, 1.0, nil},
		"a type of no kind": {"a", 1, "", uint8(1), true, 1.0, nil},
	} {
		err := s.Update(t.Context(), func(tx projection.Tx) error { return tx.Upsert(t.Context(), things, [][]any{row}) })
		var e *projection.StoreError
		if !errors.As(err, &e) || !e.Data {
			t.Errorf("%s: %v", what, err)
		}
	}
	err := s.Update(t.Context(), func(tx projection.Tx) error {
		return tx.Upsert(t.Context(), things, make([][]any, projection.MaxUpsertRows+1))
	})
	if err == nil {
		t.Error("too many rows are no error")
	}
}

func migrates(t *testing.T, s projection.Store, reopen func() projection.Store) {
	steps := []string{`CREATE TABLE one (a BIGINT); CREATE TABLE two (a BIGINT)`, `INSERT INTO one VALUES (1)`}
	must(t, s.Migrate(t.Context(), "m", steps))
	must(t, s.Migrate(t.Context(), "m", steps))
	steps = append(steps, `INSERT INTO one VALUES (2); INSERT INTO two VALUES (3)`)
	again := reopen()
	must(t, again.Migrate(t.Context(), "m", steps))
	sum := func() (n int64) {
		must(t, again.Query(t.Context(), `SELECT CAST(sum(a) AS BIGINT) FROM one`, nil, func(r projection.Row) error { n = r.Int(0); return nil }))
		return n
	}
	want(t, fmt.Sprint(sum()), "3")
	if err := s.Migrate(t.Context(), "m", append(steps, `INSERT INTO one VALUES (4)`, `INSERT INTO nowhere VALUES (1)`)); err == nil {
		t.Fatal("a wrong statement is no error")
	}
	want(t, fmt.Sprint(sum()), "3") // all or nothing
	must(t, s.Migrate(t.Context(), "m", steps[:1]))
	must(t, s.Migrate(t.Context(), "m", steps))
	want(t, fmt.Sprint(sum()), "3") // an older release in between changes nothing
}

func migratesTogether(t *testing.T, s projection.Store, reopen func() projection.Store) {
	var wg sync.WaitGroup
	for range 3 {
		other := reopen()
		wg.Go(func() {
			if err := other.Migrate(t.Context(), "together", []string{`CREATE TABLE together (a BIGINT)`}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	must(t, s.Query(t.Context(), `SELECT a FROM together`, nil, nil))
}

func scanError(t *testing.T, s projection.Store, _ func() projection.Store) {
	upsert(t, s, things, thing("a", "one"), thing("b", "two"))
	mine, seen := errors.New("mine"), 0
	err := s.Query(t.Context(), `SELECT id FROM things`, nil, func(projection.Row) error { seen++; return mine })
	if !errors.Is(err, mine) || seen != 1 {
		t.Fatalf("got %v after %d rows", err, seen)
	}
	want(t, names(t, s), "a=one b=two")
}

func contextEnds(t *testing.T, s projection.Store, _ func() projection.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Query(ctx, `SELECT id FROM things`, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Query: %v", err)
	}
	if err := s.Update(ctx, func(projection.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Update: %v", err)
	}
	upsert(t, s, things, thing("a", "one"))
	want(t, names(t, s), "a=one")
}

func closes(t *testing.T, _ projection.Store, reopen func() projection.Store) {
	s := reopen()
	must(t, s.Close())
	if err := s.Query(t.Context(), `SELECT id FROM things`, nil, nil); !errors.Is(err, projection.ErrStoreClosed) {
		t.Errorf("Query: %v", err)
	}
	if err := s.Update(t.Context(), func(projection.Tx) error { return nil }); !errors.Is(err, projection.ErrStoreClosed) {
		t.Errorf("Update: %v", err)
	}
}
