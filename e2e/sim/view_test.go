package sim

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
)

// viewWorld is a view: its database, which lasts, and the process that keeps it.
type viewWorld struct {
	w     *world
	name  string
	make  func() projection.View
	store *shakyStore

	viewProcess
	frozen []viewProcess
}

type viewProcess struct {
	view       projection.View
	projection *projection.Projection
	consumer   *memkafka.Consumer
}

func (w *world) newView(name string, make func() projection.View) *viewWorld {
	v := &viewWorld{w: w, name: name, make: make, store: w.open(name)}
	v.start()
	return v
}

func (w *world) open(name string) *shakyStore {
	store, err := sqlitestore.Open(filepath.Join(w.dir, name+".db"), sqlitestore.Options{Readers: 1})
	w.must(err)
	return &shakyStore{Store: store}
}

func (v *viewWorld) start() { v.viewProcess = v.w.project(v.make(), v.store) }

// project starts a projection that owns all partitions of its topics.
func (w *world) project(view projection.View, store projection.Store) viewProcess {
	p, err := projection.New(w.ctx, projection.Options{View: view, Store: store, Clock: time.Now, Replay: w.broker.ReadRange})
	w.must(err)
	consumer := w.broker.Consumer(p)
	w.must(consumer.Assign(w.ctx, w.broker.Partitions(p.Topics()...)...))
	return viewProcess{view, p, consumer}
}

// deliver hands records of a partition to the queue; of all partitions, if limit is negative.
func (v *viewWorld) deliver(limit int) {
	rounds := 1
	if limit < 0 {
		rounds = 100
	}
	for range rounds {
		n, err := v.consumer.StepAny(limit)
		v.w.must(err)
		if n == 0 {
			return
		}
		v.w.worked += n
	}
}

// project commits what waits in the queue. A frozen process that wakes up has waiting what it
// had, and may write none of it.
func (v *viewWorld) project() {
	stepped, err := v.projection.Step(v.w.ctx)
	if stepped.Records > 0 || err != nil {
		v.w.worked++
	}
	if len(v.frozen) > 0 {
		late, err := v.frozen[0].projection.Step(v.w.ctx)
		if err == nil && late.Folded > 0 {
			v.w.rt.Fatalf("a frozen %s wrote %+v", v.name, late)
		}
	}
	synctest.Wait()
}

func (v *viewWorld) crash(frozen bool) {
	v.frozen = nil
	if frozen {
		v.frozen = []viewProcess{v.viewProcess}
	} else {
		v.consumer.Revoke()
	}
	fault := v.store.fault
	v.store.fault = 0 // the new process would try again until it succeeds
	v.start()
	v.store.fault = fault
}

// shakyStore fails on request.
type shakyStore struct {
	projection.Store
	fault int // 1: the next transaction fails; 2: it is committed, and the answer is lost
}

func (s *shakyStore) Update(ctx context.Context, fn func(projection.Tx) error) error {
	fault := s.fault
	s.fault = 0
	if fault == 1 {
		return &projection.StoreError{Op: "commit", Err: errAway}
	}
	err := s.Store.Update(ctx, fn)
	if err == nil && fault == 2 {
		return &projection.StoreError{Op: "commit", Err: errAway}
	}
	return err
}

// rows are all rows of a view's tables, as text.
func (w *world) rows(store projection.Store, view string) []string {
	var tables, rows []string
	text := func(to *[]string) func(projection.Row) error {
		return func(r projection.Row) error {
			*to = append(*to, r.Text(0))
			return nil
		}
	}
	w.must(store.Query(w.ctx, "SELECT name FROM pragma_table_list WHERE type = 'table' AND name LIKE $1", []any{view + "\\_%"}, text(&tables)))
	if len(tables) == 0 {
		w.must(store.Query(w.ctx, "SELECT name FROM pragma_table_list WHERE type = 'table' AND name LIKE $1", []any{view + "%"}, text(&tables)))
	}
	for _, table := range tables {
		var columns, found []string
		w.must(store.Query(w.ctx, "SELECT name FROM pragma_table_info($1)", []any{table}, text(&columns)))
		w.must(store.Query(w.ctx, "SELECT json_array("+strings.Join(columns, ", ")+") FROM "+table, nil, text(&found)))
		for _, row := range found {
			rows = append(rows, fmt.Sprintf("%s: %s", table, row))
		}
	}
	slices.Sort(rows)
	return rows
}

// all are the records of a topic, partition by partition.
func (w *world) all(topic string) (records []kafka.Record) {
	for _, p := range w.broker.Partitions(topic) {
		records = append(records, w.broker.Records(p, 0, -1)...)
	}
	return records
}
