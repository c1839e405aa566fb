package pglog

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/internal/stored"
)

// event is where the event columns of a row are scanned into. All may be NULL, in an outer join.
type event struct {
	position, version, schema, flags *int64
	stream, kind                     *string
	time                             *time.Time
	meta, data                       []byte
}

func (e *event) targets() []any {
	return []any{&e.position, &e.stream, &e.version, &e.kind, &e.schema, &e.time, &e.flags, &e.meta, &e.data}
}

// record is the record of a row that has one.
func (e *event) record() (r es.Record, err error) {
	r = es.Record{
		Position: *e.position, Stream: *e.stream, Version: *e.version, Type: *e.kind, Schema: int(*e.schema),
		Time: e.time.UTC(), Data: e.data,
	}
	stored.SetFlags(&r, *e.flags)
	r.Meta, err = stored.Metadata(e.meta)
	return r, err
}

func bounded(limit int) int { return min(max(limit, 0), es.MaxRead) }

// records runs a query for event columns.
func (l *Log) records(ctx context.Context, what, sql string, args ...any) (out []es.Record, err error) {
	err = l.read(ctx, what, func(ctx context.Context) error {
		var e event
		return l.query(ctx, sql, args, e.targets(), func() error {
			r, err := e.record()
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
	return l.records(ctx, "read", selectRecords, after, bounded(limit))
}

// ReadStream implements es.Log.
func (l *Log) ReadStream(ctx context.Context, stream string, after int64, limit int) ([]es.Record, error) {
	return l.records(ctx, "read stream "+stream, selectStream, stream, after, bounded(limit))
}

// Personal implements es.Log.
func (l *Log) Personal(ctx context.Context, stream string, upTo int64) (out [][]byte, err error) {
	err = l.read(ctx, "read what is personal of stream "+stream, func(ctx context.Context) error {
		rows, err := l.pool.Query(ctx, selectPersonal, stream, upTo)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, pgx.RowTo[[]byte])
		return err
	})
	return out, err
}

// Load implements es.Log.
func (l *Log) Load(ctx context.Context, streams []es.StreamQuery) ([]es.StreamState, error) {
	out := make([]es.StreamState, len(streams))
	names, shapes := make([]string, len(streams)), make([]int32, len(streams))
	for i, q := range streams {
		out[i].Stream, names[i], shapes[i] = q.Stream, q.Stream, int32(q.StateVersion)
	}
	err := l.read(ctx, "load streams", func(ctx context.Context) error {
		var (
			e              event
			place, stateAt int64
			state          []byte
			tail           bool
		)
		targets := append([]any{&place, &stateAt, &state, &tail}, e.targets()...)
		return l.query(ctx, selectStreams, []any{names, shapes}, targets, func() error {
			st := &out[place-1]
			if state != nil {
				st.State = state
			}
			st.StateAt, st.Version = stateAt, stateAt
			if !tail {
				return nil
			}
			r, err := e.record()
			st.Tail, st.Version = append(st.Tail, r), r.Version
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Outcomes implements es.Log.
func (l *Log) Outcomes(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]es.Outcome, error) {
	out := make(map[uuid.UUID]es.Outcome)
	commands := make([][16]byte, len(ids))
	for i, id := range ids {
		commands[i] = id
	}
	err := l.read(ctx, "read outcomes", func(ctx context.Context) error {
		var (
			command                      [16]byte
			kept                         bool
			position                     int64
			version                      *int64
			at                           *time.Time
			status, kind, stream, digest *string
			fault                        []byte
			e                            event
		)
		targets := append([]any{&command, &kept, &position, &version, &at, &status, &kind, &stream, &digest, &fault}, e.targets()...)
		return l.query(ctx, selectOutcomes, []any{commands}, targets, func() error {
			if !kept {
				r, err := e.record()
				out[command] = stored.FromEvent(&r)
				return err
			}
			why, err := stored.DecodeFault(fault)
			out[command] = es.Outcome{
				Command: command, Type: *kind, Stream: *stream, Status: es.Status(*status), Version: *version,
				Position: position, Fault: why, Digest: *digest, Time: at.UTC(),
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
