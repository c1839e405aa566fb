package storetest

import (
	"fmt"
	"testing"

	"github.com/orderlane/orderlane/pkg/projection"
)

// summed adds sizes and ranks up, and has a name beside them.
var summed = projection.Table{
	Name: "things",
	Columns: []projection.Column{
		{Name: "id"}, {Name: "n", Kind: projection.Int}, {Name: "size", Kind: projection.Int}, {Name: "rank", Kind: projection.Int},
	},
	Key: []string{"id", "n"}, Sums: []string{"size", "rank"},
}

func sumsAdd(t *testing.T, s projection.Store, _ func() projection.Store) {
	read := func(expected string) {
		t.Helper()
		got := ""
		must(t, s.Query(t.Context(), `SELECT id, n, size, rank FROM things ORDER BY id, n`, nil, func(r projection.Row) error {
			got += fmt.Sprint(r.Text(0), r.Int(1), ":", r.Int(2), ",", r.Int(3), ";")
			return nil
		}))
		want(t, got, expected)
	}
	upsert(t, s, summed, []any{"b", 1, 5, 1}, []any{"a", 1, 2, -1})
	read("a1:2,-1;b1:5,1;")
	upsert(t, s, summed, []any{"a", 1, int64(-3), 0}, []any{"a", 2, 1, 1}, []any{"b", 1, 1, 1}, []any{"a", 1, 10, 4}, []any{"b", 1, 1, 1})
	read("a1:9,3;a2:1,1;b1:7,3;")
}
