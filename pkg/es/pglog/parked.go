package pglog

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/internal/stored"
)

// ParkedCommands implements es.Log.
func (l *Log) ParkedCommands(ctx context.Context, after uuid.UUID, limit int) ([]es.Parked, error) {
	return l.parked(ctx, "list parked commands", selectParkedAfter, [16]byte(after), bounded(limit))
}

// ParkedCommand implements es.Log.
func (l *Log) ParkedCommand(ctx context.Context, id uuid.UUID) (es.Parked, bool, error) {
	found, err := l.parked(ctx, "read a parked command", selectParked, [16]byte(id))
	if err != nil || len(found) == 0 {
		return es.Parked{}, false, err
	}
	return found[0], true, nil
}

func (l *Log) parked(ctx context.Context, what, sql string, args ...any) (out []es.Parked, err error) {
	err = l.read(ctx, what, func(ctx context.Context) error {
		var (
			p            es.Parked
			command      [16]byte
			key, headers []byte
		)
		targets := []any{&command, &p.Time, &p.Attempts, &p.Type, &p.Topic, &p.Reason, &key, &headers, &p.Payload, &p.Digest}
		return l.query(ctx, sql, args, targets, func() (err error) {
			row := p
			row.Command, row.Key, row.Time = command, string(key), p.Time.UTC()
			row.Headers, err = stored.DecodeHeaders(headers)
			out = append(out, row)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Lease implements es.Log.
func (l *Log) Lease(ctx context.Context, name, holder string, ttl time.Duration) (ok bool, err error) {
	err = l.read(ctx, "take lease "+name, func(ctx context.Context) error {
		tag, err := l.pool.Exec(ctx, takeLease, name, holder, ttl.Microseconds())
		ok = tag.RowsAffected() > 0
		return err
	})
	return ok, err
}

// Release implements es.Log.
func (l *Log) Release(ctx context.Context, name, holder string) error {
	return l.read(ctx, "release lease "+name, func(ctx context.Context) error {
		_, err := l.pool.Exec(ctx, deleteLease, name, holder)
		return err
	})
}

// Cursor implements es.Log.
func (l *Log) Cursor(ctx context.Context, name string) (position int64, err error) {
	err = l.read(ctx, "read cursor "+name, func(ctx context.Context) error {
		return l.query(ctx, selectCursor, []any{name}, []any{&position}, func() error { return nil })
	})
	return position, err
}

// SaveCursor implements es.Log.
func (l *Log) SaveCursor(ctx context.Context, c es.Cursor) error {
	return l.read(ctx, "save cursor "+c.Name, func(ctx context.Context) error {
		_, err := l.pool.Exec(ctx, saveCursors, []string{c.Name}, []int64{c.Position})
		return err
	})
}

// ExpireOutcomes implements es.Log.
func (l *Log) ExpireOutcomes(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = l.read(ctx, "expire outcomes", func(ctx context.Context) error {
		return l.pool.QueryRow(ctx, expireOutcomes, before.Add(time.Microsecond-1).Truncate(time.Microsecond), bounded(limit)).Scan(&n)
	})
	return n, err
}
