package sqlitelog

import (
	"context"
	"time"

	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/internal/stored"
)

// selectEvents begins every query for records.
const selectEvents = `SELECT e.position, s.stream, e.version, e.type, e.schema, e.time, e.flags, e.meta, e.data
	FROM events e JOIN streams s ON s.id = e.stream `

func scanRecord(s *sqlite.Stmt) (r es.Record, err error) {
	r = es.Record{
		Position: s.ColumnInt64(0), Stream: s.ColumnText(1), Version: s.ColumnInt64(2), Type: s.ColumnText(3),
		Schema: s.ColumnInt(4), Time: time.UnixMicro(s.ColumnInt64(5)).UTC(), Data: blob(s, 8),
	}
	stored.SetFlags(&r, s.ColumnInt64(6))
	r.Meta, err = stored.Metadata(blob(s, 7))
	return r, err
}

func bounded(limit int) int64 { return int64(min(max(limit, 0), es.MaxRead)) }

// Load implements es.Log.
func (l *Log) Load(ctx context.Context, streams []es.StreamQuery) ([]es.StreamState, error) {
	out := make([]es.StreamState, len(streams))
	err := l.read(ctx, "load streams", func(c *conn) error {
		for i := range streams {
			if err := c.load(&streams[i], &out[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (c *conn) load(q *es.StreamQuery, st *es.StreamState) error {
	st.Stream = q.Stream
	var id int64
	err := c.rows(`SELECT id, CASE WHEN state_version = ?2 THEN state_at ELSE 0 END, CASE WHEN state_version = ?2 THEN state END
		FROM streams WHERE stream = ?1`,
		func(s *sqlite.Stmt) {
			s.BindText(1, q.Stream)
			s.BindInt64(2, int64(q.StateVersion))
		},
		func(s *sqlite.Stmt) error {
			id, st.StateAt, st.State = s.ColumnInt64(0), s.ColumnInt64(1), blob(s, 2)
			return nil
		})
	if err != nil || id == 0 {
		return err
	}
	st.Version = st.StateAt
	return c.rows(selectEvents+`WHERE e.stream = ? AND e.version > ? ORDER BY e.version`,
		func(s *sqlite.Stmt) {
			s.BindInt64(1, id)
			s.BindInt64(2, st.StateAt)
		},
		func(s *sqlite.Stmt) error {
			r, err := scanRecord(s)
			st.Tail, st.Version = append(st.Tail, r), r.Version
			return err
		})
}

// Outcomes implements es.Log.
func (l *Log) Outcomes(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]es.Outcome, error) {
	out := make(map[uuid.UUID]es.Outcome)
	err := l.read(ctx, "read outcomes", func(c *conn) error {
		for i := range ids {
			err := c.rows(`SELECT position, status, type, stream, version, digest, fault, time FROM outcomes WHERE command = ?`,
				func(s *sqlite.Stmt) { bindID(s, 1, &ids[i]) },
				func(s *sqlite.Stmt) (err error) {
					o := es.Outcome{Command: ids[i], Position: s.ColumnInt64(0)}
					if s.ColumnIsNull(1) {
						o, err = c.outcomeOfEvent(o.Position)
					} else {
						o.Status, o.Type, o.Stream = es.Status(s.ColumnText(1)), s.ColumnText(2), s.ColumnText(3)
						o.Version, o.Digest, o.Time = s.ColumnInt64(4), s.ColumnText(5), time.UnixMicro(s.ColumnInt64(7)).UTC()
						o.Fault, err = stored.DecodeFault(blob(s, 6))
					}
					out[ids[i]] = o
					return err
				})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (c *conn) outcomeOfEvent(position int64) (o es.Outcome, err error) {
	err = c.rows(selectEvents+`WHERE e.position = ?`,
		func(s *sqlite.Stmt) { s.BindInt64(1, position) },
		func(s *sqlite.Stmt) error {
			r, err := scanRecord(s)
			o = stored.FromEvent(&r)
			return err
		})
	return o, err
}

// records runs a query for event columns.
func (l *Log) records(ctx context.Context, what, query string, bind func(*sqlite.Stmt)) (out []es.Record, err error) {
	err = l.read(ctx, what, func(c *conn) error {
		return c.rows(query, bind, func(s *sqlite.Stmt) error {
			r, err := scanRecord(s)
			out = append(out, r)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Read implements es.Log.
func (l *Log) Read(ctx context.Context, after int64, limit int) ([]es.Record, error) {
	return l.records(ctx, "read", selectEvents+`WHERE e.position > ? ORDER BY e.position LIMIT ?+0`,
		func(s *sqlite.Stmt) {
			s.BindInt64(1, after)
			s.BindInt64(2, bounded(limit))
		})
}

// ReadStream implements es.Log.
func (l *Log) ReadStream(ctx context.Context, stream string, after int64, limit int) ([]es.Record, error) {
	return l.records(ctx, "read stream "+stream,
		selectEvents+`WHERE e.stream = (SELECT id FROM streams WHERE stream = ?) AND e.version > ? ORDER BY e.version LIMIT ?+0`,
		func(s *sqlite.Stmt) {
			s.BindText(1, stream)
			s.BindInt64(2, after)
			s.BindInt64(3, bounded(limit))
		})
}

// Personal implements es.Log.
func (l *Log) Personal(ctx context.Context, stream string, upTo int64) (out [][]byte, err error) {
	err = l.read(ctx, "read what is personal of stream "+stream, func(c *conn) error {
		return c.rows(`SELECT p.data FROM events e JOIN personal p ON p.position = e.position
			WHERE e.stream = (SELECT id FROM streams WHERE stream = ?) AND e.version <= ? ORDER BY e.version`,
			func(s *sqlite.Stmt) {
				s.BindText(1, stream)
				s.BindInt64(2, upTo)
			},
			func(s *sqlite.Stmt) error {
				out = append(out, blob(s, 0))
				return nil
			})
	})
	return out, err
}
