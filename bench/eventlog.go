package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/pglog"
	"github.com/orderlane/orderlane/pkg/es/sqlitelog"
)

// appendCallers is how many callers append at the same time, each waiting for its own.
const appendCallers = 64

// A parcel is a stream with one event, of about the size of an order's.
type (
	parcel      struct{ Text string }
	parcelEvent struct{ Text string }
	sendParcel  struct{ Text string }
)

var parcels = &es.Aggregate[parcel, parcelEvent, sendParcel]{
	Decider: es.Decider[parcel, parcelEvent, sendParcel]{
		Category: "parcel", StateVersion: 1, Initial: func() parcel { return parcel{} },
		Decide: func(c sendParcel, _ parcel) ([]parcelEvent, error) { return []parcelEvent{parcelEvent(c)}, nil },
		Evolve: func(e parcelEvent, p parcel) parcel { p.Text = e.Text[:100]; return p },
	},
	Codec: es.NewCodec[parcelEvent](es.Stored[parcelEvent, parcelEvent]("parcel_sent")),
}

// parcelText makes an event of 476 bytes.
var parcelText = strings.Repeat("x", 465)

// appender appends one event with its outcome and its stream's new state.
type appender func(ctx context.Context, id uuid.UUID) error

// measureLog is how many appends per second the engine makes on its logs, each on disk when
// its caller goes on, against one transaction for each.
func measureLog(ctx context.Context, b *bench) error {
	logs := []struct {
		name  string
		our   func(context.Context) (es.Log, error)
		their func(context.Context) (plainLog, error)
	}{{
		"SQLite",
		func(ctx context.Context) (es.Log, error) {
			return sqlitelog.Open(ctx, filepath.Join(b.dir, "append.log.db"), sqlitelog.Options{})
		},
		func(context.Context) (plainLog, error) {
			return openPlainSQLite(filepath.Join(b.dir, "append.plain.db"))
		},
	}}
	if b.postgres != "" {
		url, err := b.newDatabase(ctx, fmt.Sprintf("bench_append_%d", time.Now().Unix()))
		if err != nil {
			return err
		}
		logs = append(logs, logs[0])
		logs[1].name = "PostgreSQL"
		logs[1].our = func(ctx context.Context) (es.Log, error) {
			return pglog.Open(ctx, url, "bench", pglog.Options{})
		}
		logs[1].their = func(ctx context.Context) (plainLog, error) { return openPlainPostgres(ctx, url) }
	}
	for _, l := range logs {
		b.say("log: %s for %v", l.name, b.lasting)
		log, err := l.our(ctx)
		if err != nil {
			return err
		}
		our, err := engineAppends(ctx, log, b.lasting)
		if err := errors.Join(err, log.Close()); err != nil {
			return err
		}
		plain, err := l.their(ctx)
		if err != nil {
			return err
		}
		their, err := plainAppends(ctx, plain, b.lasting)
		if err := errors.Join(err, plain.Close()); err != nil {
			return err
		}
		b.say("  %s, one transaction each %s", perSecond(our), perSecond(their))
		b.report.add(row{
			measure: fmt.Sprintf("event log appends, %d callers, %s", appendCallers, l.name), goal: ">= 20,000/s; >= 4x a transaction each",
			measured: perSecond(our), baseline: perSecond(their), ratio: ratio(our, their), met: our >= 20_000 && our >= 4*their,
		})
	}
	if b.postgres == "" {
		b.say("log: PostgreSQL is measured when -postgres names one")
	}
	return nil
}

// engineAppends runs the real engine on a log and checks what the log holds after it.
func engineAppends(ctx context.Context, log es.Log, lasting time.Duration) (float64, error) {
	before, err := log.Head(ctx)
	if err != nil {
		return 0, err
	}
	engine := es.NewEngine(es.Options{Log: log, Clock: time.Now, Publish: func(context.Context, []es.Answer) error { return nil }})
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(running, 10*time.Second) }()
	n, took, err := appends(ctx, lasting, func(ctx context.Context, id uuid.UUID) error {
		out, err := engine.Submit(ctx, &es.Command{
			Type: "orderlane.bench.send_parcel.v1", Stream: parcels.Stream(id.String()), Of: parcels,
			Body: sendParcel{parcelText}, Creates: true, Meta: es.Metadata{Command: id, Correlation: "bench", Caller: "bench"},
		})
		if err == nil && out.Status != es.StatusSucceeded {
			err = fmt.Errorf("the outcome of an append is %q", out.Status)
		}
		return err
	})
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		return 0, err
	}
	after, err := log.Head(ctx)
	if err == nil && after.Position-before.Position != n {
		err = fmt.Errorf("%d appends have made the log longer by %d", n, after.Position-before.Position)
	}
	return rate(n, took), err
}

// plainLog makes one transaction for each append.
type plainLog interface {
	Append(ctx context.Context, id uuid.UUID) error
	Count(ctx context.Context) (int64, error)
	Close() error
}

func plainAppends(ctx context.Context, log plainLog, lasting time.Duration) (float64, error) {
	n, took, err := appends(ctx, lasting, log.Append)
	if err != nil {
		return 0, err
	}
	have, err := log.Count(ctx)
	if err == nil && have != n {
		err = fmt.Errorf("%d appends have made %d events", n, have)
	}
	return rate(n, took), err
}

// appends has the callers append for the given time.
func appends(ctx context.Context, lasting time.Duration, do appender) (n int64, took time.Duration, err error) {
	var (
		wg    sync.WaitGroup
		total atomic.Int64
		errs  = make([]error, appendCallers)
		start = time.Now()
	)
	for i := range appendCallers {
		wg.Go(func() {
			for time.Since(start) < lasting {
				id, err := uuid.NewV7()
				if err == nil {
					err = do(ctx, id)
				}
				if err != nil {
					errs[i] = err
					return
				}
				total.Add(1)
			}
		})
	}
	wg.Wait()
	return total.Load(), time.Since(start), errors.Join(errs...)
}
