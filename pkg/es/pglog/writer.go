package pglog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/orderlane/orderlane/pkg/es"
)

// maxBuffer bounds what a writer keeps of its send buffer between appends, in bytes.
const maxBuffer = 4 << 20

// longAgo is a deadline that has passed: it ends what a connection is waiting for.
var longAgo = time.Unix(1, 0)

// writer is the one connection that appends.
type writer struct {
	conn   *pgconn.PgConn // nil before the first use, and after one failed
	buffer []byte
}

// takeWriter lends the writer, connected, to one caller, who puts it back into l.writer.
func (l *Log) takeWriter(ctx context.Context) (*writer, error) {
	if err := errors.Join(l.watch.Err(), context.Cause(ctx)); err != nil {
		return nil, err
	}
	var w *writer
	select {
	case w = <-l.writer:
	case <-l.watch.Closed():
		return nil, es.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	err := l.watch.Err()
	if err == nil && w.conn == nil {
		err = w.connect(ctx, l)
	}
	if err != nil {
		l.writer <- w
		return nil, err
	}
	return w, nil
}

func (w *writer) connect(ctx context.Context, l *Log) (err error) {
	conn, err := pgconn.ConnectConfig(ctx, l.config(lockTimeout))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() {
		if err != nil {
			hangUp(conn)
		}
	}()
	// From version 17 on, the server also ends a transaction that waits for the rest of its pipeline.
	if err := conn.Exec(ctx, `SELECT set_config('transaction_timeout', '`+idleTimeout+`', false)
		FROM pg_settings WHERE name = 'transaction_timeout'`).Close(); err != nil {
		return fmt.Errorf("set time-outs: %w", err)
	}
	for name, sql := range map[string]string{
		"lock": fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, l.lock), "batch": insertBatch, "erase": erase,
		"strays": insertStrays, "park": park, "cursors": saveCursors,
		"arm": armTimers, "disarm": disarmTimers,
	} {
		if _, err := conn.Prepare(ctx, name, sql, nil); err != nil {
			return fmt.Errorf("prepare %s: %w", name, err)
		}
	}
	w.conn = conn
	return nil
}

// hangUp closes a connection at once, whatever state it is in.
func hangUp(conn *pgconn.PgConn) {
	_ = conn.Conn().Close() // what it was doing is lost already
	_ = conn.Close(context.Background())
}

// exchange sends a pipeline that ends with a Sync, in one write, and reads the answers. After
// an error of the server the connection goes on; after any other it is given up.
func (w *writer) exchange(ctx context.Context, pipeline []byte) (head es.Head, err error) {
	conn := w.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.Conn().SetDeadline(longAgo) })
	var refused *pgconn.PgError
	_, err = conn.Conn().Write(pipeline)
	for ready := false; err == nil && !ready; {
		var msg pgproto3.BackendMessage
		msg, err = conn.ReceiveMessage(context.Background())
		switch msg := msg.(type) {
		case *pgproto3.DataRow: // of the lock (empty) and of the batch
			if len(msg.Values) == 2 && len(msg.Values[0]) == 8 {
				head = es.Head{Position: int64(binary.BigEndian.Uint64(msg.Values[0])), Epoch: string(msg.Values[1])}
			}
		case *pgproto3.ErrorResponse:
			refused = pgconn.ErrorResponseToPgError(msg)
		case *pgproto3.ReadyForQuery:
			ready = true
		}
	}
	if !stop() || err != nil {
		hangUp(conn)
		w.conn = nil
	}
	switch {
	case refused != nil:
		return es.Head{}, refused
	case err != nil && ctx.Err() != nil:
		return es.Head{}, fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return head, err
}
