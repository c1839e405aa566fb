package projection_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
)

// searchView has what queries may need of SQLite: an index, a full-text index, and a table to join.
type searchView struct{ *ordersView }

func (v *searchView) Twin() projection.View { return &searchView{v.ordersView.Twin().(*ordersView)} }

func (v *searchView) Schema(d projection.Dialect) []string {
	return append(v.ordersView.Schema(d),
		"CREATE INDEX test_orders_v1_sum ON test_orders_v1 (sum)",
		"CREATE VIRTUAL TABLE test_words_v1 USING fts5(key UNINDEXED, words, prefix='2 3')",
		"CREATE TRIGGER test_orders_v1_made AFTER INSERT ON test_orders_v1 BEGIN INSERT INTO test_words_v1 (key, words) VALUES (new.key, new.last); END")
}

func TestQueriesOfTheActiveBuildUseItsIndexes(t *testing.T) {
	w, store := newTopics(), newMemStore(t)
	for i, words := range []string{"assam tea", "green tea tea", "a cup"} {
		w.event(0, fmt.Sprint("order-", i), words)
	}
	p := newProcess(t, w, store, 1, func(o *projection.BuildsOptions) { o.View = &searchView{o.View.(*ordersView)} })
	p.until(t, "1 active")
	list := func(sql string, column int, args ...any) string {
		var lines []string
		must(t, p.Store().Query(t.Context(), sql, args, func(r projection.Row) error {
			lines = append(lines, r.Text(column))
			return nil
		}))
		return strings.Join(lines, "; ")
	}
	search := "SELECT w.key, o.version FROM test_words_v1 w JOIN test_orders_v1 o ON o.key = w.key WHERE test_words_v1 MATCH 'te*' ORDER BY rank"
	for n := range 2 { // the second time after a swap, with the same prepared statements
		want(t, "found", list(search, 0), "order-1; order-0")
		want(t, "highlighted", list("SELECT highlight(test_words_v1, 1, '[', ']') FROM test_words_v1 WHERE test_words_v1 MATCH 'cup'", 0), "a [cup]")
		if n > 0 {
			break
		}
		_, err := p.Rebuild(t.Context())
		must(t, err)
		p.until(t, "1 previous, 2 active")
	}
	for sql, plan := range map[string]string{
		"SELECT doc FROM test_orders_v1 WHERE key = 'a'":                                                           "SEARCH test_orders_v1_b2 USING INDEX sqlite_autoindex_test_orders_v1_b2_1 (key=?)",
		"SELECT key FROM test_orders_v1 WHERE sum > 3 ORDER BY sum LIMIT 5":                                        "SEARCH test_orders_v1_b2 USING INDEX test_orders_v1_b2_sum (sum>?)",
		"SELECT max(sum) FROM test_orders_v1":                                                                      "SEARCH test_orders_v1_b2 USING COVERING INDEX test_orders_v1_b2_sum",
		"SELECT o.doc, s.doc FROM test_orders_v1 o LEFT JOIN test_lengths_v1 s ON s.key = o.key WHERE o.key = 'a'": "SEARCH o USING INDEX sqlite_autoindex_test_orders_v1_b2_1 (key=?); SEARCH s USING INDEX sqlite_autoindex_test_lengths_v1_b2_1 (key=?) LEFT-JOIN",
	} {
		got := list("EXPLAIN QUERY PLAN "+sql, 3)
		got = strings.NewReplacer("SEARCH test_orders_v1_b2 USING INDEX sqlite_autoindex_test_orders_v1_b2_1 (key=?); SEARCH test_lengths_v1_b2", "SEARCH o USING INDEX sqlite_autoindex_test_orders_v1_b2_1 (key=?); SEARCH s").Replace(got)
		want(t, sql, got, plan)
	}
}

// replica is one that has not got the last transactions yet.
type replica struct {
	projection.Store
	asked int
	old   bool
}

func (b *replica) Query(ctx context.Context, sql string, args []any, scan func(projection.Row) error) error {
	b.asked++
	if b.old {
		return nil // no rows
	}
	return b.Store.Query(ctx, sql, args, scan)
}

func TestQueriesGoToAReplicaAndFreshnessIsWhatItHas(t *testing.T) {
	w, store := newTopics(), newMemStore(t)
	w.more(20)
	lagging := &replica{Store: store, old: true}
	p := newProcess(t, w, store, 1, func(o *projection.BuildsOptions) { o.Queries = lagging })
	for range 5 {
		must(t, p.turn())
	}
	want(t, "builds", states(t, p), "1 active")
	if p.Ready() {
		t.Fatal("the view is ready before the replica has its tables")
	}
	lagging.old = false
	must(t, p.turn())
	if !p.Ready() {
		t.Fatal("the view is not ready")
	}
	lagging.old, lagging.asked = true, 0
	if ok, err := p.Answers().Shows(t.Context(), "order-1", 1); ok || err != nil || lagging.asked != 1 {
		t.Fatalf("shown: %v, %v, after %d queries of the replica", ok, err, lagging.asked)
	}
	lagging.old = false
	if ok, err := p.Answers().Shows(t.Context(), "order-1", 1); !ok || err != nil {
		t.Fatalf("shown: %v, %v", ok, err)
	}
	_, err := p.Rebuild(t.Context())
	must(t, err)
	p.until(t, "1 previous, 2 active")
}

func TestAScratchStoreIsGoneWhenItIsClosed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "scratch")
	for _, where := range []string{"", dir} {
		s, err := sqlitestore.OpenScratch(where)
		must(t, err)
		must(t, s.Migrate(t.Context(), "things", []string{"CREATE TABLE things (id TEXT PRIMARY KEY)"}))
		if err := s.Update(t.Context(), func(tx projection.Tx) error {
			_, err := tx.Exec(t.Context(), "INSERT INTO things (id) VALUES ($1)", "a")
			must(t, err)
			return errBad
		}); !errors.Is(err, errBad) {
			t.Fatal(err)
		}
		n := int64(-1)
		must(t, s.Query(t.Context(), "SELECT count(*) FROM things", nil, func(r projection.Row) error { n = r.Int(0); return nil }))
		want(t, "rows after a rollback", n, 0)
		must(t, s.Close())
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("the directory is still there:", err)
	}
}
