package service

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
)

// Reader is what the handlers of a read service ask. Both are nil until the store is open,
// which is before the API is served.
type Reader struct {
	Store   projection.Store    // reads the active build of the view; refuses with view_building while there is none
	Answers *projection.Answers // whether the view is fresh, and what it could not take up
}

// viewLinger bounds how long a view waits for more records before it writes a small batch.
const viewLinger = 15 * time.Millisecond

// maxFetch is how many records a projection takes from a partition at once.
const maxFetch = 1000

// AddRead adds a read service to the process: its view is kept up to date from its topics, and is built
// again beside the one in use when operators ask for that.
func (p *Platform) AddRead(name string, view projection.Twin) *Reader {
	r := &Reader{}
	parts := readParts{database: p.Health.Require(name + " store"), view: p.Health.Require(name + " view")}
	if p.Settings.PostgresReplica != "" {
		parts.replica = p.Health.Require(name + " replica")
	}
	p.addSchema(name+" store", func(ctx context.Context) (string, error) { return p.migrateStore(ctx, name, view) })
	p.Sup.Add(daemon.StageResources, daemon.Component{
		Name: name + " store",
		Start: func(ctx context.Context) error {
			return daemon.Retry(ctx, parts.database, daemon.DefaultBackoff, func(ctx context.Context) error {
				return p.openRead(ctx, name, view, r, parts)
			})
		},
	})
	return r
}

// readParts are what the health of a process knows of a read service.
type readParts struct{ database, view, replica *daemon.Part }

func (p *Platform) openRead(ctx context.Context, name string, view projection.Twin, r *Reader, parts readParts) error {
	store, err := p.openStore(ctx, name)
	if err != nil {
		return err
	}
	closeAll := store.Close
	var queries projection.Queryer // nil: the store
	if url := p.Settings.PostgresReplica; url != "" {
		replica, err := pgstore.OpenReplica(ctx, url, name, pgstore.Options{})
		if err != nil {
			return errors.Join(err, store.Close())
		}
		queries, closeAll = replica, func() error { return errors.Join(replica.Close(), store.Close()) }
	}
	watch := newViewObserver(p, view.Name(), parts)
	builds, err := projection.OpenBuilds(ctx, projection.BuildsOptions{
		Options: projection.Options{
			Store: store, Clock: p.Clock, Log: p.Logger(name), Linger: viewLinger, Replay: p.Admin.ReadRange, DeadLetter: p.deadLetter(name),
		},
		View: view, Queries: queries, Offsets: p.Admin.Offsets, Watch: watch.observe, Told: watch.told,
		Scratch: p.scratch(name), Sensitive: bus.IsPersonal, VerifyRate: p.Settings.Views.VerifyRate, Verified: watch.verified,
		Consume: func(ctx context.Context, group string, topics []string, build *projection.Projection) error {
			config := kafka.GroupConfig{Config: p.Kafka, Group: group, Topics: topics, MaxBatch: maxFetch}
			return kafka.ConsumeGroup(ctx, config, build)
		},
	})
	if err != nil {
		_ = closeAll() // the error is why it was opened in vain
		return err
	}
	r.Store, r.Answers = builds.Store(), builds.Answers()
	p.Sup.Opened(name+" store", func(context.Context) error { return closeAll() })
	p.Sup.Add(daemon.StageViews, daemon.Component{Name: name + " projection", Run: builds.Run})
	if queries != nil {
		p.Sup.Add(daemon.StageViews, daemon.Component{Name: name + " replica", Run: func(ctx context.Context) error {
			daemon.Check(ctx, parts.replica, brokerCheck, func(ctx context.Context) error {
				return queries.Query(ctx, "SELECT 1", nil, func(projection.Row) error { return nil })
			})
			return nil
		}})
	}
	p.operator.addProjection(view.Name(), builds)
	return nil
}

// scratch opens a store for what is folded to be compared: in memory, or among the other data if it may be large.
func (p *Platform) scratch(name string) func(context.Context, bool) (projection.Store, error) {
	return func(_ context.Context, large bool) (projection.Store, error) {
		if !large {
			return sqlitestore.OpenScratch("")
		}
		return sqlitestore.OpenScratch(filepath.Join(p.Settings.Data, name+".verify"))
	}
}

// deadLetter publishes a copy of a message that a view could not fold.
func (p *Platform) deadLetter(name string) func(context.Context, projection.DeadLetter) error {
	return func(ctx context.Context, d projection.DeadLetter) error {
		r, err := bus.DeadLetterRecord(name, bus.DeadLetter{
			Topic: d.Topic, Partition: d.Partition, Offset: d.Offset, Consumer: name,
			MessageID: d.ID, MessageType: d.Type, Stream: d.Key, Reason: d.Reason, Time: d.Time,
		})
		if err != nil {
			return err
		}
		return p.Producer.Publish(ctx, []kafka.Record{r})
	}
}

// FreshnessWait is how long a query waits for a view to be as fresh as its consistency
// token asks, unless the client prefers another time.
const FreshnessWait = 2 * time.Second

// Fresh returns when the view is as fresh as the tokens ask, or refuses when the time that
// the client prefers, or FreshnessWait, is up. Streams that the view never shows are ignored.
func (r *Reader) Fresh(ctx context.Context, p *httpapi.ReadParams) error {
	if len(p.Tokens) == 0 {
		return nil
	}
	wait, cancel := httpapi.WaitContext(ctx, p.Wait.Or(FreshnessWait))
	defer cancel()
	for _, t := range p.Tokens {
		err := r.Await(ctx, wait, t.Stream, func(ctx context.Context) (bool, error) {
			return r.Answers.Shows(ctx, t.Stream, t.Version)
		})
		switch {
		case err == nil:
		case wait.Err() != nil:
			return httpapi.NotYetConsistent(p.Tokens)
		default:
			return err
		}
	}
	return nil
}

// Await returns when check answers true (see projection.Answers.Await), or with the error of
// wait, which is ctx with the time that the client prefers. What is there already is found
// also when that is no time at all.
func (r *Reader) Await(ctx, wait context.Context, id string, check func(context.Context) (bool, error)) error {
	if ok, err := check(ctx); ok || err != nil {
		return err
	}
	return r.Answers.Await(wait, id, check)
}

// Stale says that a view could not take up an event of what it shows.
type Stale struct {
	Since  time.Time `json:"since"`
	Reason string    `json:"reason" doc:"What the view could not take up; operators repair it"`
}

// Stale returns why what is shown of a key may be out of date; nil, as a rule.
func (r *Reader) Stale(ctx context.Context, key string) (*Stale, error) {
	broken, err := r.Answers.Broken(ctx, key)
	if err != nil || len(broken) == 0 {
		return nil, err
	}
	return &Stale{Since: broken[0].Time, Reason: broken[0].Type + " could not be applied"}, nil
}
