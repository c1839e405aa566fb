package pglog

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// start starts the notifier and the listener, which end with Close.
func (l *Log) start() {
	var ctx context.Context
	ctx, l.stop = context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { l.notifyLoop(ctx) })
	wg.Go(func() { l.listenLoop(ctx) })
	go func() {
		wg.Wait()
		close(l.stopped)
	}()
}

// tell has other instances told of the head, soon.
func (l *Log) tell() {
	select {
	case l.appended <- struct{}{}:
	default: // it will be told with what was to be told already
	}
}

// notifyLoop tells other instances of appends. A notification is a transaction of its own:
// inside an append's it would keep a lock of the whole server for as long as the commit takes to reach the disk.
func (l *Log) notifyLoop(ctx context.Context) {
	for {
		select {
		case <-l.appended:
		case <-ctx.Done():
			return
		}
		// If it fails, the others find out by themselves within Options.Poll.
		callCtx, cancel := context.WithTimeout(ctx, l.opts.Timeout)
		_, _ = l.pool.Exec(callCtx, notify, l.channel(), strconv.FormatInt(l.watch.Head(), 10))
		cancel()
		pause(ctx, notifyInterval)
	}
}

// listenLoop advances the watch by the notifications of other instances, from the first Wait on.
func (l *Log) listenLoop(ctx context.Context) {
	select {
	case <-l.listens:
	case <-ctx.Done():
		return
	}
	for ctx.Err() == nil {
		_ = l.listen(ctx) // waiting readers poll until it listens again
		pause(ctx, relistenAfter)
	}
}

// listen listens until its connection breaks.
func (l *Log) listen(ctx context.Context) error {
	config := l.config(lockTimeout)
	config.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) {
		if head, err := strconv.ParseInt(n.Payload, 10, 64); err == nil {
			l.watch.Advance(head)
		}
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	if err := conn.Exec(ctx, listen+pgx.Identifier{l.channel()}.Sanitize()).Close(); err != nil {
		return err
	}
	head, err := l.Head(ctx) // what was appended before we listened
	if err != nil {
		return err
	}
	l.watch.Advance(head.Position)
	for {
		if err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
