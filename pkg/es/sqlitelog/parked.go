package sqlitelog

import (
	"context"
	"time"

	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/internal/stored"
)

// ours returns errReused if the row of a parked command is another request's.
func (c *conn) ours(row *sqlite.Stmt, digest string) error {
	if es.SameRequest(row.ColumnText(0), stored.Clean(digest)) {
		return nil
	}
	return errReused
}

// park puts commands aside, unless one of them has an outcome or is parked for another request:
// then it returns errKnown or errReused.
func (c *conn) park(parked []es.Parked) error {
	for i := range parked {
		err := c.rows(`SELECT 1 FROM outcomes WHERE command = ?`,
			func(s *sqlite.Stmt) { bindID(s, 1, &parked[i].Command) },
			func(*sqlite.Stmt) error { return errKnown })
		if err != nil {
			return err
		}
		err = c.rows(`SELECT digest FROM parked WHERE command = ?`,
			func(s *sqlite.Stmt) { bindID(s, 1, &parked[i].Command) },
			func(s *sqlite.Stmt) error { return c.ours(s, parked[i].Digest) })
		if err != nil {
			return err
		}
	}
	return c.each(len(parked), `
		INSERT INTO parked (command, type, topic, key, reason, headers, payload, attempts, time, digest) VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?)
		ON CONFLICT (command) DO UPDATE SET attempts = attempts + 1, type = excluded.type, topic = excluded.topic, key = excluded.key,
			reason = excluded.reason, headers = excluded.headers, payload = excluded.payload, time = excluded.time, digest = excluded.digest`,
		func(s *sqlite.Stmt, i int) {
			p := &parked[i]
			bindID(s, 1, &p.Command)
			s.BindText(2, stored.Clean(p.Type))
			s.BindText(3, stored.Clean(p.Topic))
			s.BindBytes(4, []byte(p.Key))
			s.BindText(5, stored.Clean(p.Reason))
			s.BindBytes(6, stored.Headers(p.Headers))
			s.BindBytes(7, p.Payload)
			s.BindInt64(8, p.Time.UnixMicro())
			s.BindText(9, stored.Clean(p.Digest))
		})
}

const parkedColumns = `command, type, topic, key, reason, headers, payload, attempts, time, digest`

func scanParked(s *sqlite.Stmt) (p es.Parked, err error) {
	p = es.Parked{
		Command: columnID(s, 0), Type: s.ColumnText(1), Topic: s.ColumnText(2), Key: string(blob(s, 3)), Reason: s.ColumnText(4),
		Payload: blob(s, 6), Attempts: s.ColumnInt(7), Time: time.UnixMicro(s.ColumnInt64(8)).UTC(),
		Digest: s.ColumnText(9),
	}
	p.Headers, err = stored.DecodeHeaders(blob(s, 5))
	return p, err
}

// ParkedCommands implements es.Log.
func (l *Log) ParkedCommands(ctx context.Context, after uuid.UUID, limit int) (out []es.Parked, err error) {
	err = l.read(ctx, "list parked commands", func(c *conn) error {
		return c.rows(`SELECT `+parkedColumns+` FROM parked
			WHERE id > coalesce((SELECT id FROM parked WHERE command = ?), 0) ORDER BY id LIMIT ?+0`,
			func(s *sqlite.Stmt) {
				bindID(s, 1, &after)
				s.BindInt64(2, bounded(limit))
			},
			func(s *sqlite.Stmt) error {
				p, err := scanParked(s)
				out = append(out, p)
				return err
			})
	})
	return out, err
}

// ParkedCommand implements es.Log.
func (l *Log) ParkedCommand(ctx context.Context, id uuid.UUID) (p es.Parked, ok bool, err error) {
	err = l.read(ctx, "read a parked command", func(c *conn) error {
		return c.rows(`SELECT `+parkedColumns+` FROM parked WHERE command = ?`,
			func(s *sqlite.Stmt) { bindID(s, 1, &id) },
			func(s *sqlite.Stmt) (err error) {
				ok = true
				p, err = scanParked(s)
				return err
			})
	})
	return p, ok, err
}
