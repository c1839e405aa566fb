package projection

import (
	"context"
	"sync"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// What a record and a header take in memory beside their bytes, about.
const (
	recordWeight = 256
	headerWeight = 64
)

// chunk is a run of records of one partition.
type chunk struct {
	claim *claim
	recs  []kafka.Record
}

// queue holds the records that wait, of all partitions, in the order they came in. It is
// bounded in records and in bytes; deliverers wait for room. It is safe for concurrent use.
type queue struct {
	limit int
	bytes int
	ready chan struct{} // has a token when there may be records

	mu      sync.Mutex
	chunks  []chunk
	head    int // of chunks: those before were taken
	records int
	weight  int
	waiting int           // deliverers that wait for room
	room    chan struct{} // closed when there is some
}

func newQueue(limit, bytes int) *queue {
	return &queue{limit: limit, bytes: bytes, ready: make(chan struct{}, 1), room: make(chan struct{})}
}

// weightOf is about what a record takes in memory.
func weightOf(r *kafka.Record) int {
	n := recordWeight + len(r.Key) + len(r.Value) + headerWeight*len(r.Headers)
	for i := range r.Headers {
		n += len(r.Headers[i].Value)
	}
	return n
}

// fits returns how many of the records there is room for, and their weight. The last one may
// be too large: each fits into a queue that is not full.
func (q *queue) fits(recs []kafka.Record) (n, weight int) {
	for n < len(recs) && q.records+n < q.limit && q.weight+weight < q.bytes {
		weight += weightOf(&recs[n])
		n++
	}
	return n, weight
}

// put appends records of a claim, in pieces if there is little room. It returns when all are
// in the queue, the claim is over, or ctx ends.
func (q *queue) put(ctx context.Context, c *claim, recs []kafka.Record) error {
	for len(recs) > 0 {
		q.mu.Lock()
		if n, weight := q.fits(recs); n > 0 {
			q.chunks = append(q.chunks, chunk{c, recs[:n:n]})
			q.records += n
			q.weight += weight
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

// take moves up to limit records from the queue to batch, and no more than about the bytes that
// may wait, whatever comes in meanwhile.
func (q *queue) take(limit int, batch []Record) []Record {
	for taken, weight := 0, 0; taken < limit && weight < q.bytes; {
		c, ok := q.next(limit - taken)
		if !ok {
			break
		}
		freed := 0
		for i := range c.recs {
			freed += weightOf(&c.recs[i])
			batch = append(batch, parse(&c.recs[i], c.claim))
		}
		q.release(len(c.recs), freed)
		taken += len(c.recs)
		weight += freed
	}
	return batch
}

// next takes up to limit records of one partition. They count until they are released.
func (q *queue) next(limit int) (chunk, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head == len(q.chunks) {
		return chunk{}, false
	}
	first := &q.chunks[q.head]
	n := min(len(first.recs), limit)
	c := chunk{first.claim, first.recs[:n:n]}
	if first.recs = first.recs[n:]; len(first.recs) == 0 {
		*first = chunk{}
		q.head++
	}
	if q.head == len(q.chunks) {
		q.chunks, q.head = q.chunks[:0], 0
	} else if q.head > 1024 { // the slice must not grow for ever when it is never empty
		n := copy(q.chunks, q.chunks[q.head:])
		clear(q.chunks[n:])
		q.chunks, q.head = q.chunks[:n], 0
	}
	return c, true
}

// release makes the room of records that were taken.
func (q *queue) release(records, weight int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.records -= records
	q.weight -= weight
	if q.waiting > 0 {
		close(q.room)
		q.room, q.waiting = make(chan struct{}), 0
	}
}

// len is the number of records that wait.
func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.records
}
