package projection

import (
	"context"
	"sync"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// chunk is a run of records of one partition.
type chunk struct {
	claim *claim
	recs  []kafka.Record
}

// queue holds the records that wait, of all partitions, in the order they came in. It is
// bounded in records; deliverers wait for room. It is safe for concurrent use.
type queue struct {
	limit int
	ready chan struct{} // has a token when there may be records

	mu      sync.Mutex
	chunks  []chunk
	head    int // of chunks: those before were taken
	records int
	waiting int           // deliverers that wait for room
	room    chan struct{} // closed when there is some
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, ready: make(chan struct{}, 1), room: make(chan struct{})}
}

// put appends records of a claim, in pieces if there is little room. It returns when all are
// in the queue, the claim is over, or ctx ends.
func (q *queue) put(ctx context.Context, c *claim, recs []kafka.Record) error {
	for len(recs) > 0 {
		q.mu.Lock()
		n := min(len(recs), q.limit-q.records)
		if n > 0 {
			q.chunks = append(q.chunks, chunk{c, recs[:n:n]})
			q.records += n
			recs = recs[n:]
		}
		room := q.room
		if len(recs) > 0 {
			q.waiting++
		}
		q.mu.Unlock()
		select {
		case q.ready <- struct{}{}:
		default:
		}
		if len(recs) == 0 {
			return nil
		}
		select {
		case <-room:
		case <-c.over:
			return c.why()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// take moves up to limit records from the queue to batch.
func (q *queue) take(limit int, batch []Record) []Record {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.head < len(q.chunks) && len(batch) < limit {
		c := &q.chunks[q.head]
		n := min(len(c.recs), limit-len(batch))
		for i := range c.recs[:n] {
			batch = append(batch, parse(&c.recs[i], c.claim))
		}
		q.records -= n
		if c.recs = c.recs[n:]; len(c.recs) == 0 {
			*c = chunk{}
			q.head++
		}
	}
	if q.head == len(q.chunks) {
		q.chunks, q.head = q.chunks[:0], 0
	} else if q.head > 1024 { // the slice must not grow for ever when it is never empty
		q.chunks, q.head = append(q.chunks[:0], q.chunks[q.head:]...), 0
	}
	if q.waiting > 0 && q.records < q.limit {
		close(q.room)
		q.room, q.waiting = make(chan struct{}), 0
	}
	return batch
}

// len is the number of records that wait.
func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.records
}
