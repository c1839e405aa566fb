package sqlitelog

import (
	"context"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/orderlane/orderlane/pkg/es"
)

// now is the database's clock, in milliseconds since 1970.
const now = `CAST(unixepoch('subsec') * 1000 AS INTEGER)`

// Lease implements es.Log.
func (l *Log) Lease(ctx context.Context, name, holder string, ttl time.Duration) (ok bool, err error) {
	err = l.write(ctx, "take lease "+name, func(c *conn) error {
		err := c.rows(`
			INSERT INTO leases (name, holder, expires) VALUES (?1, ?2, `+now+` + ?3)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires = excluded.expires
			WHERE holder = excluded.holder OR expires <= `+now,
			func(s *sqlite.Stmt) {
				s.BindText(1, name)
				s.BindText(2, holder)
				s.BindInt64(3, ttl.Milliseconds())
			}, nil)
		ok = err == nil && c.Changes() > 0
		return err
	})
	return ok, err
}

// Release implements es.Log.
func (l *Log) Release(ctx context.Context, name, holder string) error {
	return l.write(ctx, "release lease "+name, func(c *conn) error {
		return c.rows(`DELETE FROM leases WHERE name = ? AND holder = ?`, func(s *sqlite.Stmt) {
			s.BindText(1, name)
			s.BindText(2, holder)
		}, nil)
	})
}

// Cursor implements es.Log.
func (l *Log) Cursor(ctx context.Context, name string) (position int64, err error) {
	err = l.read(ctx, "read cursor "+name, func(c *conn) error {
		return c.rows(`SELECT position FROM cursors WHERE name = ?`,
			func(s *sqlite.Stmt) { s.BindText(1, name) },
			func(s *sqlite.Stmt) error {
				position = s.ColumnInt64(0)
				return nil
			})
	})
	return position, err
}

// SaveCursor implements es.Log.
func (l *Log) SaveCursor(ctx context.Context, cursor es.Cursor) error {
	return l.write(ctx, "save cursor "+cursor.Name, func(c *conn) error { return c.saveCursors([]es.Cursor{cursor}) })
}

// ExpireOutcomes implements es.Log.
func (l *Log) ExpireOutcomes(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = l.write(ctx, "expire outcomes", func(c *conn) error {
		return c.transaction(func() (err error) {
			n, err = c.expire(before, limit)
			return err
		})
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (c *conn) expire(before time.Time, limit int) (int, error) {
	var silent, wrote []int64 // rows of commands without and with events
	err := c.rows(`SELECT id, position FROM outcomes WHERE time < ? ORDER BY time LIMIT ?+0`,
		func(s *sqlite.Stmt) {
			// A time between two microseconds is after the earlier one.
			s.BindInt64(1, before.Add(time.Microsecond-1).UnixMicro())
			s.BindInt64(2, bounded(limit))
		},
		func(s *sqlite.Stmt) error {
			if id := s.ColumnInt64(0); s.ColumnInt64(1) == 0 {
				silent = append(silent, id)
			} else {
				wrote = append(wrote, id)
			}
			return nil
		})
	if err != nil {
		return 0, err
	}
	for query, ids := range map[string][]int64{
		`DELETE FROM outcomes WHERE id = ?`: silent,
		`UPDATE outcomes SET status = NULL, type = NULL, stream = NULL, version = NULL, digest = NULL, fault = NULL, time = NULL WHERE id = ?`: wrote,
	} {
		if err := c.each(len(ids), query, func(s *sqlite.Stmt, i int) { s.BindInt64(1, ids[i]) }); err != nil {
			return 0, fmt.Errorf("of %d outcomes: %w", len(ids), err)
		}
	}
	return len(silent) + len(wrote), nil
}
