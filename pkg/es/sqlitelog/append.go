package sqlitelog

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/internal/stored"
)

// Append implements es.Log. Once the write has begun, ctx does not end it: it is short, and
// a half-known result costs more.
func (l *Log) Append(ctx context.Context, b es.Batch) (h es.Head, err error) {
	plan, err := stored.NewPlan(&b)
	if err != nil {
		return es.Head{}, fmt.Errorf("sqlitelog: append: %w", err)
	}
	err = l.write(ctx, "append", func(c *conn) (err error) {
		h, err = c.append(&b, &plan)
		return err
	})
	if err != nil {
		return es.Head{}, err
	}
	l.watch.See(h)
	return h, nil
}

// append writes the batch. That a command or version is there already shows as a row that
// exists, with no query for it; only then, and when others have written, are rows looked up.
func (c *conn) append(b *es.Batch, plan *stored.Plan) (head es.Head, err error) {
	if err := c.securely(len(plan.Erasures) > 0); err != nil {
		return es.Head{}, err
	}
	err = c.transaction(func() error {
		if head, err = c.head(); err != nil {
			return err
		}
		if b.Epoch != "" && b.Epoch != head.Epoch {
			return es.ErrEpochChanged
		}
		base := head.Position
		if base != b.Seen {
			if err := c.conflict(b); err != nil {
				return err
			}
		}
		head.Position += int64(len(b.Events))
		for _, write := range [...]func() error{
			func() error { return c.insertEvents(b, base, plan) },
			func() error { return c.insertPersonal(b, base, plan) },
			func() error { return c.insertOutcomes(b, base, plan) },
			func() error { return c.park(b.Parked) },
			func() error { return c.saveCursors(b.Cursors) },
			func() error { return c.setTimers(plan) },
		} {
			if err := write(); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil || !conflicting(err) {
		return head, err
	}
	if conflict := c.conflict(b); conflict != nil {
		return es.Head{}, conflict
	}
	return es.Head{}, err
}

// securely has rows overwritten with zeros when they are deleted. It costs, so only while
// personal payloads are erased.
func (c *conn) securely(secure bool) error {
	if secure == c.secure {
		return nil
	}
	if err := c.rows(fmt.Sprintf(`PRAGMA secure_delete = %t`, secure), nil, nil); err != nil {
		return err
	}
	c.secure = secure
	return nil
}

// conflict names the streams and commands that stand in the way of the batch; nil if none do.
func (c *conn) conflict(b *es.Batch) error {
	conflict := &es.ConflictError{}
	for _, want := range b.Streams {
		err := c.rows(`SELECT coalesce(max(version), 0) FROM events WHERE stream = (SELECT id FROM streams WHERE stream = ?)`,
			func(s *sqlite.Stmt) { s.BindText(1, want.Stream) },
			func(s *sqlite.Stmt) error {
				if s.ColumnInt64(0) != want.Version {
					conflict.Streams = append(conflict.Streams, want.Stream)
				}
				return nil
			})
		if err != nil {
			return err
		}
	}
	known := func(id uuid.UUID, digest string) error {
		err := c.rows(`SELECT 1 FROM outcomes WHERE command = ?`,
			func(s *sqlite.Stmt) { bindID(s, 1, &id) },
			func(*sqlite.Stmt) error {
				conflict.Commands = append(conflict.Commands, id)
				return nil
			})
		return errors.Join(err, c.rows(`SELECT digest FROM parked WHERE command = ?`,
			func(s *sqlite.Stmt) { bindID(s, 1, &id) },
			func(s *sqlite.Stmt) error {
				if !es.SameRequest(s.ColumnText(0), stored.Clean(digest)) {
					conflict.Reused = append(conflict.Reused, id)
				}
				return nil
			}))
	}
	for i := range b.Outcomes {
		if err := known(b.Outcomes[i].Command, b.Outcomes[i].Digest); err != nil {
			return err
		}
	}
	for i := range b.Parked {
		if err := known(b.Parked[i].Command, b.Parked[i].Digest); err != nil {
			return err
		}
	}
	if len(conflict.Streams)+len(conflict.Commands)+len(conflict.Reused) == 0 {
		return nil
	}
	return conflict
}

// each runs a statement n times, with the parameters that bind sets for the i-th.
func (c *conn) each(n int, query string, bind func(s *sqlite.Stmt, i int)) error {
	if n == 0 {
		return nil
	}
	s, err := c.Prepare(query)
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	for i := range n {
		bind(s, i)
		if _, err := s.Step(); err != nil {
			return explain(err)
		}
		if err := s.Reset(); err != nil {
			return explain(err)
		}
	}
	return nil
}

func (c *conn) insertEvents(b *es.Batch, base int64, plan *stored.Plan) error {
	ids, err := c.writeStreams(b, plan)
	if err != nil {
		return err
	}
	var meta []byte
	return c.each(len(b.Events),
		`INSERT INTO events (position, stream, version, type, schema, time, flags, meta, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		func(s *sqlite.Stmt, i int) {
			r := &b.Events[i]
			meta = stored.AppendMetadata(meta[:0], &r.Meta)
			s.BindInt64(1, base+1+int64(i))
			s.BindInt64(2, ids[plan.Of[i]])
			s.BindInt64(3, r.Version)
			s.BindText(4, r.Type)
			s.BindInt64(5, int64(r.Schema))
			s.BindInt64(6, r.Time.UnixMicro())
			s.BindInt64(7, stored.Flags(r))
			s.BindText(8, text(meta))
			s.BindText(9, text(r.Data))
		})
}

func (c *conn) insertPersonal(b *es.Batch, base int64, plan *stored.Plan) error {
	personal := make([]int, 0, plan.Personal)
	for i := range b.Events {
		if len(b.Events[i].Personal) > 0 {
			personal = append(personal, i)
		}
	}
	err := c.each(len(personal), `INSERT INTO personal (position, data) VALUES (?, ?)`, func(s *sqlite.Stmt, i int) {
		s.BindInt64(1, base+1+int64(personal[i]))
		s.BindBytes(2, b.Events[personal[i]].Personal)
	})
	if err != nil {
		return err
	}
	return c.each(len(plan.Erasures), `
		DELETE FROM personal WHERE position IN (
			SELECT position FROM events WHERE stream = (SELECT id FROM streams WHERE stream = ?) AND version < ?)`,
		func(s *sqlite.Stmt, i int) {
			s.BindText(1, plan.Erasures[i].Stream)
			s.BindInt64(2, plan.Erasures[i].Version)
		})
}

func (c *conn) insertOutcomes(b *es.Batch, base int64, plan *stored.Plan) error {
	var encoding error
	err := c.each(len(b.Outcomes),
		`INSERT INTO outcomes (command, position, status, type, stream, version, digest, fault, time) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		func(s *sqlite.Stmt, i int) {
			o := &b.Outcomes[i]
			position := int64(0)
			if plan.Last[i] > 0 {
				position = base + plan.Last[i]
			}
			bindID(s, 1, &o.Command)
			s.BindInt64(2, position)
			s.BindText(3, string(o.Status))
			s.BindText(4, stored.Clean(o.Type))
			s.BindText(5, stored.Clean(o.Stream))
			s.BindInt64(6, o.Version)
			s.BindText(7, stored.Clean(o.Digest))
			if o.Fault == nil {
				s.BindNull(8)
			} else {
				fault, err := stored.Fault(o.Fault)
				encoding = errors.Join(encoding, err)
				s.BindText(8, text(fault))
			}
			s.BindInt64(9, o.Time.UnixMicro())
		})
	if err := errors.Join(err, encoding); err != nil {
		return err
	}
	err = c.each(len(plan.Strays), `
		INSERT INTO outcomes (command, position) VALUES (?, ?)
		ON CONFLICT (command) DO UPDATE SET position = excluded.position WHERE status IS NULL`,
		func(s *sqlite.Stmt, i int) {
			bindID(s, 1, &plan.Strays[i].Command)
			s.BindInt64(2, base+plan.Strays[i].Last)
		})
	if err != nil || len(b.Outcomes) == 0 {
		return err
	}
	return c.unpark(b.Outcomes)
}

// unpark deletes the parked commands that have an outcome now, or returns errReused if one of
// them is another request's. There are none at all, as a rule, and one look at the table says so.
func (c *conn) unpark(outcomes []es.Outcome) error {
	if any, err := c.number(`SELECT EXISTS (SELECT 1 FROM parked)`); err != nil || any == 0 {
		return err
	}
	for i := range outcomes {
		err := c.rows(`DELETE FROM parked WHERE command = ? RETURNING digest`,
			func(s *sqlite.Stmt) { bindID(s, 1, &outcomes[i].Command) },
			func(s *sqlite.Stmt) error { return c.ours(s, outcomes[i].Digest) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) saveCursors(cursors []es.Cursor) error {
	return c.each(len(cursors), `
		INSERT INTO cursors (name, position) SELECT ?1, ?2 WHERE ?2 <= (SELECT coalesce(max(position), 0) FROM events)
		ON CONFLICT (name) DO UPDATE SET position = excluded.position WHERE excluded.position > position`,
		func(s *sqlite.Stmt, i int) {
			s.BindText(1, cursors[i].Name)
			s.BindInt64(2, cursors[i].Position)
		})
}
