package storetest

import (
	"fmt"
	"testing"

	"github.com/orderlane/orderlane/pkg/projection"
)

// grouped has two groups of columns, and one that stays.
var grouped = projection.Table{
	Name: "things",
	Columns: []projection.Column{
		{Name: "id"},
		{Name: "n", Kind: projection.Int},
		{Name: "rank", Kind: projection.Int},
		{Name: "name"},
		{Name: "size", Kind: projection.Int},
		{Name: "weight", Kind: projection.Float},
		{Name: "ok", Kind: projection.Bool},
	},
	Key:    []string{"id", "n"},
	Groups: []projection.Group{{Rank: "rank", Columns: []string{"name"}}, {Rank: "size", Columns: []string{"weight"}}},
}

func groupsRiseApart(t *testing.T, s projection.Store, _ func() projection.Store) {
	named := func(id, name string, rank int, ok bool) []any { return []any{id, 1, rank, name, nil, nil, ok} }
	weighed := func(id string, weight float64, size int, ok bool) []any {
		return []any{id, 1, nil, nil, size, weight, ok}
	}
	read := func(expected string) {
		t.Helper()
		got := ""
		must(t, s.Query(t.Context(), `SELECT id, rank, name, size, weight, ok FROM things ORDER BY id`, nil, func(r projection.Row) error {
			got += fmt.Sprint(r.Text(0), ":", r.Int(1), r.Text(2), " ", r.Int(3), ",", r.Float(4), " ", r.Bool(5), ";")
			return nil
		}))
		want(t, got, expected)
	}
	upsert(t, s, grouped, named("a", "one", 1, true), weighed("b", 1.5, 1, false))
	read("a:1one 0,0 true;b:0 1,1.5 false;")
	upsert(t, s, grouped, weighed("a", 2.5, 2, false), named("b", "two", 2, true))
	read("a:1one 2,2.5 true;b:2two 1,1.5 false;")
	// Lower and equal ranks change nothing, beside a higher one of the other group.
	upsert(t, s, grouped, named("a", "again", 1, false), weighed("a", 3.5, 3, false), weighed("b", 9, 1, true))
	read("a:1one 3,3.5 true;b:2two 1,1.5 false;")
	// Several rows of one key come to one.
	upsert(t, s, grouped, weighed("c", 1, 1, true), named("c", "first", 2, false), named("c", "late", 1, false), weighed("c", 2, 2, false), named("c", "twice", 2, false))
	read("a:1one 3,3.5 true;b:2two 1,1.5 false;c:2first 2,2 true;")
	upsert(t, s, grouped, []any{"d", 1, nil, nil, nil, nil, true})
	upsert(t, s, grouped, []any{"a", 1, nil, "no rank", nil, nil, false}, named("d", "zero", 0, false))
	read("a:1one 3,3.5 true;b:2two 1,1.5 false;c:2first 2,2 true;d:0zero 0,0 true;")
}
