package sqlitelog

import (
	"zombiezen.com/go/sqlite"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/internal/stored"
)

// writeStreams creates the streams that are new, writes states, and returns the ids of the
// streams that get events.
func (c *conn) writeStreams(b *es.Batch, plan *stored.Plan) ([]int64, error) {
	ids := make([]int64, len(b.Streams))
	for i := range b.Streams {
		stream, change := &b.Streams[i], &plan.Streams[i]
		var err error
		switch {
		case stream.Version == 0 && change.Events > 0:
			ids[i], err = c.insertStream(stream.Stream, change.State)
		case change.Events > 0 || change.State != nil:
			ids[i], err = c.updateStream(stream, change)
		}
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// insertStream creates a stream. That it exists is an error, which shows a conflict.
func (c *conn) insertStream(stream string, state *es.State) (id int64, err error) {
	err = c.rows(`INSERT INTO streams (stream, state_at, state_version, state) VALUES (?, ?, ?, ?)`, func(s *sqlite.Stmt) {
		s.BindText(1, stream)
		if state == nil {
			return // NULL, as statements are lent without parameters
		}
		s.BindInt64(2, state.Version)
		s.BindInt64(3, int64(state.StateVersion))
		s.BindBytes(4, state.Data)
	}, nil)
	return c.LastInsertRowID(), err
}

// updateStream finds a stream, and replaces its state unless that is newer. A stream that
// gets events must be at the version that they continue, or there would be a gap.
func (c *conn) updateStream(stream *es.StreamVersion, change *stored.Change) (id int64, err error) {
	var version int64
	err = c.rows(`SELECT id, (SELECT max(version) FROM events WHERE stream = s.id) FROM streams s WHERE stream = ?`,
		func(s *sqlite.Stmt) { s.BindText(1, stream.Stream) },
		func(s *sqlite.Stmt) error {
			id, version = s.ColumnInt64(0), s.ColumnInt64(1)
			return nil
		})
	if err == nil && change.Events > 0 && version != stream.Version {
		err = errVersion
	}
	if err != nil || change.State == nil {
		return id, err
	}
	return id, c.rows(`UPDATE streams SET state_at = ?2, state_version = ?3, state = ?4 WHERE id = ?1
		AND (state_at IS NULL OR ?2 > state_at OR ?2 = state_at AND ?3 <> state_version)`,
		func(s *sqlite.Stmt) {
			s.BindInt64(1, id)
			s.BindInt64(2, change.State.Version)
			s.BindInt64(3, int64(change.State.StateVersion))
			s.BindBytes(4, change.State.Data)
		}, nil)
}
