package view

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// postgresView reads by the place of the rows in the table: one writer that only inserts
// fills it from its start to its end.
type postgresView struct {
	conn  *pgx.Conn
	name  string
	table Table
	last  string
}

func openPostgres(ctx context.Context, url string, table Table) (View, error) {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("open the view: %w", err)
	}
	return &postgresView{conn: c, name: pgx.Identifier{table.Schema, table.Name}.Sanitize(), table: table, last: "(0,0)"}, nil
}

func (v *postgresView) Next(ctx context.Context, seen func(string)) error {
	rows, err := v.conn.Query(ctx, "SELECT ctid::text, "+v.table.Key+" FROM "+v.name+" WHERE ctid > $1::text::tid", v.last)
	if err == nil {
		var key string
		_, err = pgx.ForEachRow(rows, []any{&v.last, &key}, func() error {
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
