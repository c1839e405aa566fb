package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/projection"
)

func agedRowsEnd(t *testing.T, s projection.Store, _ func() projection.Store) {
	age := projection.Ageing{Table: "things", Key: "id", Changed: "rank"}
	must(t, s.Migrate(t.Context(), "ageing", age.Schema(s.Dialect())))
	at := func(i int) time.Time { return time.UnixMicro(int64(i)) }
	var rows [][]any
	for i := range 10 {
		rows = append(rows, []any{fmt.Sprint(i), 1, "x", i})
	}
	remove := func(before, limit int, left string) {
		t.Helper()
		must(t, s.Update(t.Context(), func(tx projection.Tx) error { return age.Delete(t.Context(), tx, s.Dialect(), at(before), limit) }))
		want(t, names(t, s), left)
	}
	remove(5, 10, "")
	upsert(t, s, ranked, rows...)
	remove(0, 10, "0=x 1=x 2=x 3=x 4=x 5=x 6=x 7=x 8=x 9=x")
	remove(5, 2, "2=x 3=x 4=x 5=x 6=x 7=x 8=x 9=x")
	upsert(t, s, ranked, []any{"3", 1, "later", 20})
	remove(5, 10, "3=later 5=x 6=x 7=x 8=x 9=x")
	remove(21, 10, "")
	upsert(t, s, ranked, []any{"a", 1, "new", 30})
	remove(25, 10, "a=new")
}
