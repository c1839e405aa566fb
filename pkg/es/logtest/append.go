package logtest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/es"
)

var appending = map[string]func(*testing.T, *fixture){
	"an empty log ends at 0 and has an epoch that stays": func(t *testing.T, f *fixture) {
		head, err := f.log.Head(f.ctx)
		f.must(err)
		if head.Position != 0 || head.Epoch == "" {
			t.Fatalf("head of an empty log: %+v", head)
		}
		after := f.append(f.order(0, "order-1", 0, 1))
		f.equal("head after an append", after, es.Head{Epoch: head.Epoch, Position: 1})
		other, err := f.open().Head(f.ctx)
		f.must(err)
		f.equal("head of another instance", other, after)
	},
	"events come back as they were written, at positions 1 to n": func(t *testing.T, f *fixture) {
		b := f.order(0, "order-1", 0, 2)
		b.Events[1].Erases = true
		b.Events[0].Personal = []byte(`{"name":"Ada"}`)
		b.Events[0].Meta = es.Metadata{Command: b.Outcomes[0].Command}
		head := f.append(b)
		more := f.order(head.Position, "order-2", 0, 1)
		f.append(more)

		want := slices.Concat(b.Events, more.Events)
		for i := range want {
			want[i].Position = int64(i + 1)
			want[i].HasPersonal, want[i].Personal = want[i].Personal != nil, nil
		}
		got, err := f.log.Read(f.ctx, 0, 10)
		f.must(err)
		if len(got) != len(want) {
			t.Fatalf("read %d records, want %d", len(got), len(want))
		}
		for i := range want {
			f.equal("record", got[i], want[i])
		}
	},
	"the caller's batch is neither changed nor kept": func(t *testing.T, f *fixture) {
		b := f.order(0, "order-1", 0, 1)
		b.Events[0].Personal = []byte(`{"name":"Ada"}`)
		b.Events[0].Event = "decoded"
		before := show(b.Events[0]) + show(b.Outcomes[0]) + show(b.States)
		f.append(b)
		f.equal("batch after the append", show(b.Events[0])+show(b.Outcomes[0])+show(b.States), before)

		before = f.everything()
		read, err := f.log.Read(f.ctx, 0, 1)
		f.must(err)
		for _, buffer := range [][]byte{b.Events[0].Data, b.Events[0].Personal, b.States[0].Data, read[0].Data} {
			clear(buffer)
		}
		f.equal("log after the caller's buffers were used again", f.everything(), before)
		kept, err := f.log.Personal(f.ctx, "order-1", 1)
		f.must(err)
		f.equal("what is personal", kept, [][]byte{[]byte(`{"name":"Ada"}`)})
	},
	"commands that write nothing leave the head where it is": func(t *testing.T, f *fixture) {
		f.append(f.order(0, "order-1", 0, 1))
		b := f.order(1, "order-1", 1, 0)
		b.States = nil
		if head := f.append(b); head.Position != 1 {
			t.Fatalf("head is at %d after an outcome alone", head.Position)
		}
	},
	"a batch holds many commands": func(t *testing.T, f *fixture) {
		var b es.Batch
		for i := range es.MaxBatchCommands {
			b = join(b, f.order(0, fmt.Sprintf("order-%d", i), 0, 1+i%2))
		}
		if head := f.append(b); head.Position != int64(len(b.Events)) {
			t.Fatalf("head is at %d after %d events", head.Position, len(b.Events))
		}
		ids := make([]uuid.UUID, 0, len(b.Outcomes))
		for _, o := range b.Outcomes {
			ids = append(ids, o.Command)
		}
		found, err := f.log.Outcomes(f.ctx, ids)
		f.must(err)
		for i, o := range b.Outcomes {
			last := slices.IndexFunc(b.Events, func(r es.Record) bool { return r.Stream == o.Stream && r.Version == o.Version })
			o.Position = int64(last + 1)
			f.equal(fmt.Sprintf("outcome %d", i), found[o.Command], o)
		}
	},
	"a large payload is kept": func(t *testing.T, f *fixture) {
		b := f.order(0, "order-1", 0, 1)
		b.Events[0].Data = fmt.Appendf(nil, `{"t":%q}`, bytes.Repeat([]byte("x"), es.MaxPayload-8))
		f.append(b)
		got, err := f.log.Read(f.ctx, 0, 1)
		f.must(err)
		if !bytes.Equal(got[0].Data, b.Events[0].Data) {
			t.Fatalf("read back %d bytes of %d, or others", len(got[0].Data), len(b.Events[0].Data))
		}
	},
	"batches that break the rules are told apart, and write nothing": func(t *testing.T, f *fixture) {
		before := f.everything()
		for name, spoil := range invalid {
			b := f.order(0, "order-1", 0, 2)
			spoil(f, &b)
			if _, err := f.log.Append(f.ctx, b); !errors.Is(err, es.ErrInvalidBatch) {
				t.Errorf("%s: got %v, want %v", name, err, es.ErrInvalidBatch)
			}
		}
		f.equal("log", f.everything(), before)
	},
	"writers of several instances leave no gap and overtake nobody": testConcurrentWriters,
}

var invalid = map[string]func(f *fixture, b *es.Batch){
	"a version that does not continue": func(_ *fixture, b *es.Batch) { b.Events[1].Version = 3 },
	"an unnamed stream":                func(_ *fixture, b *es.Batch) { b.Streams[0].Stream = "order-2" },
	"a stream named twice":             func(_ *fixture, b *es.Batch) { b.Streams = append(b.Streams, b.Streams[0]) },
	"an event without type":            func(_ *fixture, b *es.Batch) { b.Events[0].Type = "" },
	"an event without data":            func(_ *fixture, b *es.Batch) { b.Events[0].Data = nil },
	"a payload too large":              func(_ *fixture, b *es.Batch) { b.Events[0].Personal = make([]byte, es.MaxPayload+1) },
	"two outcomes of a command":        func(_ *fixture, b *es.Batch) { b.Outcomes = append(b.Outcomes, b.Outcomes[0]) },
	"an outcome that is not final":     func(_ *fixture, b *es.Batch) { b.Outcomes[0].Status = es.StatusParked },
	"a command without id":             func(_ *fixture, b *es.Batch) { b.Outcomes[0].Command = uuid.Nil },
	"parked and answered": func(_ *fixture, b *es.Batch) {
		b.Parked = append(b.Parked, es.Parked{Command: b.Outcomes[0].Command})
	},
	"a state of an unnamed stream":     func(_ *fixture, b *es.Batch) { b.States[0].Stream = "order-2" },
	"a state of a version not reached": func(_ *fixture, b *es.Batch) { b.States[0].Version = 3 },
	"two states of a stream":           func(_ *fixture, b *es.Batch) { b.States = append(b.States, b.States[0]) },
	"too many commands": func(f *fixture, b *es.Batch) {
		for range es.MaxBatchCommands {
			b.Parked = append(b.Parked, es.Parked{Command: f.id(), Time: noon})
		}
	},
}

// join puts b's commands behind a's; both were decided at the same head.
func join(a, b es.Batch) es.Batch {
	a.Seen = b.Seen
	a.Streams = append(a.Streams, b.Streams...)
	a.Events = append(a.Events, b.Events...)
	a.Outcomes = append(a.Outcomes, b.Outcomes...)
	a.States = append(a.States, b.States...)
	a.Timers = append(a.Timers, b.Timers...)
	return a
}

// testConcurrentWriters has two instances with several writers each, all by turns on streams of
// their own, which never conflict, and on a shared one, while a reader tails the log.
func testConcurrentWriters(t *testing.T, f *fixture) {
	const writers, batches, events = 6, 12, 3
	logs := []es.Log{f.log, f.open()}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			log, own := logs[w%2], fmt.Sprintf("order-%d", w)
			for i := range int64(batches) {
				b := commandOn(uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%d/%d", w, i)), 0, own, i*events, events)
				if _, err := log.Append(f.ctx, b); err != nil {
					t.Errorf("append to a stream of its own: %v", err)
					return
				}
				b = commandOn(uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "shared %d/%d", w, i)), 0, own, (i+1)*events, 0)
				b.States = nil
				if err := appendShared(f, log, b); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	const total = writers * batches * (events + 1)
	tailed := make([]es.Record, 0, total)
	for len(tailed) < total && !t.Failed() {
		f.must(logs[0].Wait(f.ctx, int64(len(tailed))))
		got, err := logs[0].Read(f.ctx, int64(len(tailed)), 100)
		f.must(err)
		tailed = append(tailed, got...)
	}
	wg.Wait()
	versions := map[string]int64{}
	for i, r := range tailed {
		if r.Position != int64(i+1) || r.Version != versions[r.Stream]+1 {
			t.Fatalf("record %d is %s at position %d after version %d", i+1, r.ID(), r.Position, versions[r.Stream])
		}
		versions[r.Stream] = r.Version
	}
	if versions["shared-1"] != writers*batches {
		t.Fatalf("the shared stream has %d versions, want %d", versions["shared-1"], writers*batches)
	}
}

// appendShared adds an event of the shared stream to the batch and appends it, again as long
// as others were first.
func appendShared(f *fixture, log es.Log, b es.Batch) error {
	for {
		states, err := log.Load(f.ctx, []es.StreamQuery{{Stream: "shared-1", StateVersion: 1}})
		if err != nil {
			return err
		}
		shared := commandOn(b.Outcomes[0].Command, 0, "shared-1", states[0].Version, 1)
		both := b
		both.Streams = append(slices.Clone(b.Streams), shared.Streams...)
		both.Events = append(slices.Clone(b.Events), shared.Events...)
		_, err = log.Append(f.ctx, both)
		var conflict *es.ConflictError
		if err == nil {
			return nil
		}
		if !errors.As(err, &conflict) || !slices.Equal(conflict.Streams, []string{"shared-1"}) {
			return fmt.Errorf("append to the shared stream: %w", err)
		}
	}
}
