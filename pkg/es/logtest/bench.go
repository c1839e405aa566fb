package logtest

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/es"
)

// BenchmarkAppend measures appends of callers who each wait for their own, grouped in batches
// as the engine groups them: a batch is what waited while the last one was written. An append
// is an event of 476 bytes with a personal payload, its outcome and the state of a new stream.
// Ids are random (ordered false, as version 5 makes them) or begin with the time (true, as version 7 does):
// random ones spread over the pages of an index, and each page is written.
// It reports appends/s and the mean size of the batches, and checks that the log holds all.
func BenchmarkAppend(b *testing.B, log es.Log, callers int, ordered bool) {
	var (
		ctx     = context.Background()
		queue   = make(chan *call, callers)
		next    atomic.Int64
		batches int
		wg      sync.WaitGroup
	)
	head, err := log.Head(ctx)
	if err != nil {
		b.Fatal(err)
	}
	first := head.Position
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			c := &call{done: make(chan struct{}, 1)}
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				c.fill(first+n, ordered)
				queue <- c
				<-c.done
			}
		})
	}
	go func() {
		wg.Wait()
		close(queue)
	}()
	for batch := drain(queue); batch != nil; batch = drain(queue) {
		write := es.Batch{Seen: head.Position}
		for _, c := range batch {
			c.addTo(&write)
		}
		if head, err = log.Append(ctx, write); err != nil {
			b.Fatal(err)
		}
		for _, c := range batch {
			c.done <- struct{}{}
		}
		batches++
	}
	b.StopTimer()
	if head.Position != first+int64(b.N) {
		b.Fatalf("the log grew from %d to %d by %d appends", first, head.Position, b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
	b.ReportMetric(float64(b.N)/float64(batches), "batch")
}

type call struct {
	event   es.Record
	outcome es.Outcome
	state   es.State
	done    chan struct{}
}

var (
	benchData     = []byte(`{"text":"` + strings.Repeat("x", 465) + `"}`)
	benchPersonal = []byte(`{"ship_to":"` + strings.Repeat("y", 150) + `"}`)
	benchState    = []byte(`{"state":"` + strings.Repeat("z", 300) + `"}`)
)

func (c *call) fill(n int64, ordered bool) {
	command := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "command %d", n))
	order := uuid.NewSHA1(command, nil)
	now := noon.Add(time.Duration(n) * 50 * time.Microsecond)
	if ordered {
		ms := uint64(now.UnixMilli()) << 16
		binary.BigEndian.PutUint64(command[:], ms|uint64(binary.BigEndian.Uint16(command[6:])))
		binary.BigEndian.PutUint64(order[:], ms|uint64(binary.BigEndian.Uint16(order[6:])))
	}
	stream := "order-" + order.String()
	c.event = es.Record{
		Stream: stream, Version: 1, Type: "placed", Schema: 1, Time: now, Data: benchData, Personal: benchPersonal,
		Meta: es.Metadata{
			Command: command, Correlation: command.String(), Causation: command.String(), Caller: "c-42",
			Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
			Digest:      "3a7bd3e2360a3d29eea436fcfb7e44c735d117c42d1c1835420b6b9942dd4f1b",
		},
	}
	c.outcome = es.Outcome{
		Command: command, Type: "orderlane.ordering.place_order.v1", Stream: stream, Status: es.StatusSucceeded,
		Version: 1, Digest: c.event.Meta.Digest, Time: now,
	}
	c.state = es.State{Stream: stream, Version: 1, StateVersion: 1, Data: benchState}
}

func (c *call) addTo(b *es.Batch) {
	b.Streams = append(b.Streams, es.StreamVersion{Stream: c.event.Stream})
	b.Events = append(b.Events, c.event)
	b.Outcomes = append(b.Outcomes, c.outcome)
	b.States = append(b.States, c.state)
}

// drain returns what waits, at least one call; nil when the callers are gone.
func drain(queue <-chan *call) []*call {
	c, ok := <-queue
	if !ok {
		return nil
	}
	batch := []*call{c}
	// Others whose turn has come with the last batch are about to call: let them.
	for range 4 {
		runtime.Gosched()
	}
	for len(batch) < es.MaxBatchCommands {
		select {
		case c, ok := <-queue:
			if !ok {
				return batch
			}
			batch = append(batch, c)
		default:
			return batch
		}
	}
	return batch
}

// BenchmarkLookUp measures what an engine asks before it decides a batch of commands that it
// knows nothing of: their outcomes, and the states of their streams, half of which exist.
// It reports ns per command.
func BenchmarkLookUp(b *testing.B, log es.Log, batch int) {
	ctx := context.Background()
	const stored = 5_000
	for n := 0; n < stored; n += es.MaxBatchCommands {
		write := es.Batch{Seen: int64(n)}
		for i := range es.MaxBatchCommands {
			var c call
			c.fill(int64(n+i), false)
			c.addTo(&write)
		}
		if _, err := log.Append(ctx, write); err != nil {
			b.Fatal(err)
		}
	}
	ids, streams := make([]uuid.UUID, batch), make([]es.StreamQuery, batch)
	b.ResetTimer()
	for n := 0; b.Loop(); n++ {
		for i := range batch {
			var c call
			c.fill(int64((n*batch+i)%(2*stored)), false)
			ids[i], streams[i] = c.outcome.Command, es.StreamQuery{Stream: c.event.Stream, StateVersion: 1}
		}
		if _, err := log.Outcomes(ctx, ids); err != nil {
			b.Fatal(err)
		}
		if _, err := log.Load(ctx, streams); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/command")
}
