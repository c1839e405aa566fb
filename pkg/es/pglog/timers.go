package pglog

import (
	"context"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
)

const (
	// armTimers: $1 stream, $2 version, $3 due
	armTimers = `
INSERT INTO timers (stream, version, due) SELECT * FROM unnest($1::text[], $2::int8[], $3::timestamptz[])
ON CONFLICT (stream) DO UPDATE SET version = excluded.version, due = excluded.due, handed = NULL`

	// disarmTimers: $1 stream
	disarmTimers = `DELETE FROM timers WHERE stream = ANY ($1::text[])`

	// handOutTimers: $1 now, $2 the pause at the least, $3 the longest that grows.
	// Rows that another instance is about to take, or an append to change, are left to them.
	handOutTimers = `
WITH next AS MATERIALIZED (
	SELECT stream FROM timers
	WHERE due <= $1 AND (handed IS NULL OR handed + greatest($2::interval, least((handed - due) / 2, $3::interval)) <= $1)
	ORDER BY due, stream LIMIT $4 FOR UPDATE SKIP LOCKED
), handed AS (
	UPDATE timers t SET handed = $1 FROM next WHERE t.stream = next.stream RETURNING t.stream, t.version, t.due
)
SELECT stream, version, due FROM handed ORDER BY due, stream`
)

func bindTimers(m *message, timers []es.Timer) {
	n := len(timers)
	m.array(typeText, n, func(i int) { m.text(timers[i].Stream) })
	m.array(typeInt8, n, func(i int) { m.i64(timers[i].Version) })
	m.array(typeTimestamptz, n, func(i int) { m.time(timers[i].Due) })
}

// DueTimers implements es.Log.
func (l *Log) DueTimers(ctx context.Context, now time.Time, again time.Duration, limit int) (out []es.Timer, err error) {
	now = now.Truncate(time.Microsecond)
	err = l.read(ctx, "hand out timers", func(ctx context.Context) error {
		var t es.Timer
		return l.query(ctx, handOutTimers, []any{now, again, es.MaxTimerPause, bounded(limit)}, []any{&t.Stream, &t.Version, &t.Due}, func() error {
			out = append(out, es.Timer{Stream: t.Stream, Version: t.Version, Due: t.Due.UTC()})
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
