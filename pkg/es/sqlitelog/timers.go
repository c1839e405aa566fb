package sqlitelog

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/internal/stored"
)

func (c *conn) setTimers(plan *stored.Plan) error {
	err := c.each(len(plan.Disarmed), `DELETE FROM timers WHERE stream = ?`,
		func(s *sqlite.Stmt, i int) { s.BindText(1, plan.Disarmed[i].Stream) })
	if err != nil {
		return err
	}
	return c.each(len(plan.Armed), `
		INSERT INTO timers (stream, version, due) VALUES (?, ?, ?)
		ON CONFLICT (stream) DO UPDATE SET version = excluded.version, due = excluded.due, handed = NULL`,
		func(s *sqlite.Stmt, i int) {
			s.BindText(1, plan.Armed[i].Stream)
			s.BindInt64(2, plan.Armed[i].Version)
			s.BindInt64(3, plan.Armed[i].Due.UnixMicro())
		})
}

// DueTimers implements es.Log. Mostly nothing is due: a look says so, without a write.
func (l *Log) DueTimers(ctx context.Context, now time.Time, again time.Duration, limit int) (out []es.Timer, err error) {
	any := false
	err = l.read(ctx, "look for due timers", func(c *conn) error {
		due, err := c.dueTimers(now, again, min(limit, 1))
		any = len(due) > 0
		return err
	})
	if err != nil || !any {
		return nil, err
	}
	err = l.write(ctx, "hand out timers", func(c *conn) error {
		return c.transaction(func() (err error) {
			if out, err = c.dueTimers(now, again, limit); err != nil {
				return err
			}
			return c.each(len(out), `UPDATE timers SET handed = ? WHERE stream = ?`, func(s *sqlite.Stmt, i int) {
				s.BindInt64(1, now.UnixMicro())
				s.BindText(2, out[i].Stream)
			})
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (c *conn) dueTimers(now time.Time, again time.Duration, limit int) (out []es.Timer, err error) {
	err = c.rows(`
		SELECT stream, version, due FROM timers
		WHERE due <= ?1 AND (handed IS NULL OR handed + max(?2, min((handed - due) / 2, ?3)) <= ?1)
		ORDER BY due, stream LIMIT ?4+0`,
		func(s *sqlite.Stmt) {
			s.BindInt64(1, now.UnixMicro())
			s.BindInt64(2, again.Microseconds())
			s.BindInt64(3, es.MaxTimerPause.Microseconds())
			s.BindInt64(4, bounded(limit))
		},
		func(s *sqlite.Stmt) error {
			out = append(out, es.Timer{
				Stream: s.ColumnText(0), Version: s.ColumnInt64(1), Due: time.UnixMicro(s.ColumnInt64(2)).UTC(),
			})
			return nil
		})
	return out, err
}
