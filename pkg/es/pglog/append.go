package pglog

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/internal/stored"
)

// SQLSTATEs that say why a batch was not written.
const (
	stateConflict = "OL409" // raised by the function conflict
	stateUnique   = "23505"
)

// Append implements es.Log. If ctx ends while the server is at work, it is unknown whether
// the batch was written.
func (l *Log) Append(ctx context.Context, b es.Batch) (es.Head, error) {
	head, err := l.append(ctx, &b)
	if err != nil {
		return es.Head{}, l.explain("append", err)
	}
	l.watch.See(head)
	if len(b.Events) > 0 {
		l.tell()
	}
	return head, nil
}

func (l *Log) append(ctx context.Context, b *es.Batch) (es.Head, error) {
	plan, err := stored.NewPlan(b)
	if err != nil {
		return es.Head{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.opts.Timeout)
	defer cancel()
	w, err := l.takeWriter(ctx)
	if err != nil {
		return es.Head{}, err
	}
	defer func() { l.writer <- w }()
	head, err := w.append(ctx, b, &plan)
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && (pg.Code == stateConflict || pg.Code == stateUnique) {
		if conflict := l.conflict(ctx, b); conflict != nil {
			return es.Head{}, conflict
		}
	}
	if err != nil {
		return es.Head{}, err
	}
	head.Position += int64(len(b.Events))
	return head, nil
}

// conflict names the streams and commands that stand in the way of a batch that was refused;
// nil if none do. Streams never go back and commands stay known, so this needs no lock.
func (l *Log) conflict(ctx context.Context, b *es.Batch) error {
	streams, versions := make([]string, len(b.Streams)), make([]int64, len(b.Streams))
	for i, s := range b.Streams {
		streams[i], versions[i] = s.Stream, s.Version
	}
	commands, digests := make([][16]byte, 0, len(b.Outcomes)+len(b.Parked)), make([]string, 0, len(b.Outcomes)+len(b.Parked))
	for i := range b.Outcomes {
		commands, digests = append(commands, b.Outcomes[i].Command), append(digests, stored.Clean(b.Outcomes[i].Digest))
	}
	for i := range b.Parked {
		commands, digests = append(commands, b.Parked[i].Command), append(digests, stored.Clean(b.Parked[i].Digest))
	}
	if b.Epoch != "" {
		head, err := l.Head(ctx)
		if err != nil {
			return err
		}
		if head.Epoch != b.Epoch {
			return es.ErrEpochChanged
		}
	}
	conflict := &es.ConflictError{}
	var stream string
	err := l.query(ctx, selectChanged, []any{streams, versions}, []any{&stream}, func() error {
		conflict.Streams = append(conflict.Streams, stream)
		return nil
	})
	if err != nil {
		return fmt.Errorf("name the streams that conflict: %w", err)
	}
	var command [16]byte
	known := make(map[[16]byte]bool)
	err = l.query(ctx, selectKnown, []any{commands}, []any{&command}, func() error {
		known[command] = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("name the commands that conflict: %w", err)
	}
	for _, c := range commands {
		if known[c] {
			conflict.Commands = append(conflict.Commands, uuid.UUID(c))
		}
	}
	err = l.query(ctx, selectReused, []any{commands, digests}, []any{&command}, func() error {
		conflict.Reused = append(conflict.Reused, uuid.UUID(command))
		return nil
	})
	if err != nil {
		return fmt.Errorf("name the commands that are parked for another request: %w", err)
	}
	if len(conflict.Streams)+len(conflict.Commands)+len(conflict.Reused) == 0 {
		return nil
	}
	return conflict
}

// query runs a query on the reading connections and calls row after each scan into the targets.
func (l *Log) query(ctx context.Context, sql string, args, targets []any, row func() error) error {
	rows, err := l.pool.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, targets, row)
	return err
}

// append sends the whole append as one pipeline with one Sync, and returns the head of before.
func (w *writer) append(ctx context.Context, b *es.Batch, plan *stored.Plan) (base es.Head, err error) {
	m := &message{b: w.buffer[:0]}
	portals := []string{"batch"}
	err = w.bindBatch(m, b, plan)
	if err != nil {
		return es.Head{}, err
	}
	extra := func(portal string, n int, parameters int16, values func(m *message)) {
		if n > 0 {
			m.bind(portal, portal, parameters, values)
			portals = append(portals, portal)
		}
	}
	extra("erase", len(plan.Erasures), 2, func(m *message) {
		m.array(typeText, len(plan.Erasures), func(i int) { m.text(plan.Erasures[i].Stream) })
		m.array(typeInt8, len(plan.Erasures), func(i int) { m.i64(plan.Erasures[i].Version) })
	})
	extra("strays", len(plan.Strays), 3, func(m *message) {
		m.i64(int64(len(b.Events)))
		m.array(typeUUID, len(plan.Strays), func(i int) { m.id(plan.Strays[i].Command) })
		m.array(typeInt8, len(plan.Strays), func(i int) { m.i64(plan.Strays[i].Last) })
	})
	extra("park", len(b.Parked), 9, func(m *message) { bindParked(m, b.Parked) })
	extra("cursors", len(b.Cursors), 2, func(m *message) {
		m.array(typeText, len(b.Cursors), func(i int) { m.text(b.Cursors[i].Name) })
		m.array(typeInt8, len(b.Cursors), func(i int) { m.i64(b.Cursors[i].Position) })
	})
	extra("arm", len(plan.Armed), 3, func(m *message) { bindTimers(m, plan.Armed) })
	extra("disarm", len(plan.Disarmed), 1, func(m *message) {
		m.array(typeText, len(plan.Disarmed), func(i int) { m.text(plan.Disarmed[i].Stream) })
	})
	// Nothing before this point waits for the lock or holds it. What is left to send is so short
	// that it goes out whole: a client that freezes in the middle of a batch freezes without the lock.
	m.bind("", "lock", 0, nil)
	m.execute("")
	for _, portal := range portals {
		m.execute(portal)
	}
	m.sync()
	if w.buffer = m.b; cap(w.buffer) > maxBuffer {
		w.buffer = nil
	}
	return w.exchange(ctx, m.b)
}

func (w *writer) bindBatch(m *message, b *es.Batch, plan *stored.Plan) error {
	faults, err := encodeFaults(b.Outcomes)
	if err != nil {
		return err
	}
	continued := make([]int, 0, len(b.Streams))
	for i := range b.Streams {
		if b.Streams[i].Version > 0 && plan.Streams[i].Events > 0 {
			continued = append(continued, i)
		}
	}
	m.bind("batch", "batch", 29, func(m *message) {
		m.i64(b.Seen)
		m.array(typeText, len(b.Streams), func(i int) { m.text(b.Streams[i].Stream) })
		m.array(typeInt8, len(b.Streams), func(i int) { m.i64(b.Streams[i].Version) })
		bindEvents(m, b.Events, plan)
		bindOutcomes(m, b.Outcomes, plan, faults)
		m.array(typeText, len(b.States), func(i int) { m.text(b.States[i].Stream) })
		m.array(typeInt8, len(b.States), func(i int) { m.i64(b.States[i].Version) })
		m.array(typeInt4, len(b.States), func(i int) { m.i32(b.States[i].StateVersion) })
		m.array(typeBytea, len(b.States), func(i int) { m.bytes(b.States[i].Data) })
		m.array(typeText, len(continued), func(i int) { m.text(b.Streams[continued[i]].Stream) })
		m.array(typeInt8, len(continued), func(i int) { m.i64(b.Streams[continued[i]].Version) })
		m.text(b.Epoch)
	})
	return nil
}

func encodeFaults(outcomes []es.Outcome) (faults [][]byte, err error) {
	faults = make([][]byte, len(outcomes))
	for i := range outcomes {
		if outcomes[i].Fault == nil {
			continue
		}
		if faults[i], err = stored.Fault(outcomes[i].Fault); err != nil {
			return nil, err
		}
	}
	return faults, nil
}

func bindEvents(m *message, events []es.Record, plan *stored.Plan) {
	n := len(events)
	m.array(typeText, n, func(i int) { m.text(events[i].Stream) })
	m.array(typeInt8, n, func(i int) { m.i64(events[i].Version) })
	m.array(typeText, n, func(i int) { m.text(events[i].Type) })
	m.array(typeInt4, n, func(i int) { m.i32(events[i].Schema) })
	m.array(typeTimestamptz, n, func(i int) { m.time(events[i].Time) })
	m.array(typeInt2, n, func(i int) { m.i16(stored.Flags(&events[i])) })
	m.array(typeJSON, n, func(i int) {
		m.sized(func() { m.b = stored.AppendMetadata(m.b, &events[i].Meta) })
	})
	m.array(typeJSON, n, func(i int) { m.bytes(events[i].Data) })

	personal := make([]int, 0, plan.Personal)
	for i := range events {
		if len(events[i].Personal) > 0 {
			personal = append(personal, i)
		}
	}
	m.array(typeInt8, len(personal), func(i int) { m.i64(int64(personal[i] + 1)) })
	m.array(typeBytea, len(personal), func(i int) { m.bytes(events[personal[i]].Personal) })
}

func bindOutcomes(m *message, outcomes []es.Outcome, plan *stored.Plan, faults [][]byte) {
	n := len(outcomes)
	m.array(typeUUID, n, func(i int) { m.id(outcomes[i].Command) })
	m.array(typeInt8, n, func(i int) { m.i64(plan.Last[i]) })
	m.array(typeInt8, n, func(i int) { m.i64(outcomes[i].Version) })
	m.array(typeTimestamptz, n, func(i int) { m.time(outcomes[i].Time) })
	m.array(typeText, n, func(i int) { m.text(string(outcomes[i].Status)) })
	m.array(typeText, n, func(i int) { m.text(stored.Clean(outcomes[i].Type)) })
	m.array(typeText, n, func(i int) { m.text(stored.Clean(outcomes[i].Stream)) })
	m.array(typeText, n, func(i int) { m.text(stored.Clean(outcomes[i].Digest)) })
	m.array(typeJSON, n, func(i int) {
		if faults[i] == nil {
			m.null()
		} else {
			m.bytes(faults[i])
		}
	})
}

func bindParked(m *message, parked []es.Parked) {
	n := len(parked)
	m.array(typeUUID, n, func(i int) { m.id(parked[i].Command) })
	m.array(typeTimestamptz, n, func(i int) { m.time(parked[i].Time) })
	m.array(typeText, n, func(i int) { m.text(stored.Clean(parked[i].Type)) })
	m.array(typeText, n, func(i int) { m.text(stored.Clean(parked[i].Topic)) })
	m.array(typeText, n, func(i int) { m.text(stored.Clean(parked[i].Reason)) })
	m.array(typeBytea, n, func(i int) { m.text(parked[i].Key) })
	m.array(typeBytea, n, func(i int) { m.bytes(stored.Headers(parked[i].Headers)) })
	m.array(typeBytea, n, func(i int) { m.bytes(parked[i].Payload) })
	m.array(typeText, n, func(i int) { m.text(stored.Clean(parked[i].Digest)) })
}
