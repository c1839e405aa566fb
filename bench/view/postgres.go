package view

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// postgresView reads by the place of the rows in the table: a writer that only inserts fills
// it from its start to its end. Several writers fill several pages at its end.
type postgresView struct {
	conn  *pgx.Conn
	name  string
	table Table
	page  int64 // the last row's
	row   int64
	seen  map[string]bool // with several writers
	asked time.Time
}

// Of tables with several writers.
const (
	lookBack  = 256 // pages; each writer fills one, and finds new ones at the end
	lookAfter = 20 * time.Millisecond
)

func openPostgres(ctx context.Context, url string, table Table) (View, error) {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("open the view: %w", err)
	}
	return &postgresView{conn: c, name: pgx.Identifier{table.Schema, table.Name}.Sanitize(), table: table, seen: make(map[string]bool)}, nil
}

func (v *postgresView) Next(ctx context.Context, seen func(string)) error {
	from := fmt.Sprintf("(%d,%d)", v.page, v.row)
	if v.table.Writers {
		if time.Since(v.asked) < lookAfter {
			return nil
		}
		from = fmt.Sprintf("(%d,0)", max(0, v.page-lookBack))
	}
	v.asked = time.Now()
	rows, err := v.conn.Query(ctx, "SELECT ctid, "+v.table.Key+" FROM "+v.name+" WHERE ctid > $1::text::tid", from)
	if err == nil {
		var key string
		var at pgtype.TID
		_, err = pgx.ForEachRow(rows, []any{&at, &key}, func() error {
			v.page, v.row = int64(at.BlockNumber), int64(at.OffsetNumber)
			if v.table.Writers {
				if v.seen[key] {
					return nil
				}
				v.seen[key] = true
			}
			seen(key)
			return nil
		})
	}
	if err != nil && !absent(err) {
		return fmt.Errorf("read the view: %w", err)
	}
	return nil
}

func (v *postgresView) Count(ctx context.Context) (rows, keys int64, err error) {
	err = v.conn.QueryRow(ctx, "SELECT count(*), count(DISTINCT "+v.table.Key+") FROM "+v.name).Scan(&rows, &keys)
	return rows, keys, err
}

func (v *postgresView) Close() error { return v.conn.Close(context.Background()) }
