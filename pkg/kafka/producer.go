package kafka

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Producer sends records in batches. It is safe for concurrent use.
type Producer interface {
	// Publish sends all records and returns when every in-sync replica has them; otherwise it
	// returns an error, and any of them may or may not have been written. Records of one key
	// are written in the order given. It rides out a broker's restart. Records on their way
	// are waited for although ctx has ended, for about twenty seconds at most.
	Publish(ctx context.Context, recs []Record) error

	// Close waits for what is on its way and disconnects.
	Close() error
}

// ErrFenced means that another producer with the same transactional id has taken over.
// The producer that returns it will never send again.
var ErrFenced = errors.New("kafka: another producer has taken over")

// ErrUnusable means that a transactional producer lost its way: how its last transaction
// ended is unknown to it. It will never send again; whoever still may send makes a new one.
var ErrUnusable = errors.New("kafka: producer can no longer be used")

// NewProducer returns an idempotent producer for many callers: while one request is on its
// way, further calls gather, and go out together in the next. Within a call, a later record of
// a partition is never written when an earlier one failed. When calls that went out together
// fail, all of them do. It connects at once, and fails if no broker answers.
func NewProducer(cfg Config) (Producer, error) { return newProducer(cfg, 0) }

// newProducer returns a producer whose requests begin no less than a pause apart, so that more
// calls share one.
func newProducer(cfg Config, pause time.Duration) (*producer, error) {
	s, err := newSender(cfg, "")
	if err != nil {
		return nil, err
	}
	p := &producer{sender: s, pause: pause, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go p.run()
	return p, nil
}

// producer has one goroutine, which sends for all callers: if they took turns at it, the next
// request would wait until each caller of the last one has been told.
type producer struct {
	sender *sender
	pause  time.Duration
	wake   chan struct{} // a call waits, or the producer was closed
	ended  chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	waiting []*call // in the order of the calls
	closed  bool
}

// call is one Publish that waits.
type call struct {
	ctx  context.Context
	recs []Record
	done chan error // has room for the answer
}

// maxGathered bounds the records that go out together, so that their answer does not take long.
const maxGathered = 5000

func (p *producer) Publish(ctx context.Context, recs []Record) error {
	if len(recs) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkSizes(recs); err != nil {
		return err // before it fails the calls of others
	}
	c := &call{ctx: ctx, recs: recs, done: make(chan error, 1)}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return errClosed
	}
	p.waiting = append(p.waiting, c)
	p.mu.Unlock()
	p.rouse()
	return <-c.done
}

func (p *producer) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run sends what waits until the producer is closed and nothing waits any more.
func (p *producer) run() {
	defer close(p.ended)
	rested := time.NewTimer(0)
	defer rested.Stop()
	for p.await() {
		if p.pause > 0 {
			<-rested.C
			rested.Reset(p.pause)
		}
		p.send(p.gather())
	}
}

// await returns when calls wait; false if the producer is closed and none do.
func (p *producer) await() bool {
	for {
		p.mu.Lock()
		wait, closed := len(p.waiting) > 0, p.closed
		p.mu.Unlock()
		if wait || closed {
			return wait
		}
		<-p.wake
	}
}

// gather takes the calls that are to go out next.
func (p *producer) gather() []*call {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, records := 0, 0
	for n < len(p.waiting) && (n == 0 || records+len(p.waiting[n].recs) <= maxGathered) {
		records += len(p.waiting[n].recs)
		n++
	}
	calls := p.waiting[:n:n]
	if p.waiting = p.waiting[n:]; len(p.waiting) == 0 {
		p.waiting = nil
	}
	return calls
}

func (p *producer) send(calls []*call) {
	ctx, recs := calls[0].ctx, calls[0].recs
	if len(calls) > 1 {
		ctx = context.WithoutCancel(ctx) // the end of one caller's is no reason to fail the others
		recs = slices.Grow([]Record(nil), len(calls))
		for _, c := range calls {
			recs = append(recs, c.recs...)
		}
	}
	err := p.sender.publish(ctx, recs)
	for _, c := range calls {
		c.done <- err
	}
}

func (p *producer) Close() error {
	p.mu.Lock()
	closed := p.closed
	p.closed = true
	p.mu.Unlock()
	p.rouse()
	<-p.ended
	if closed {
		return nil
	}
	return p.sender.client.Close()
}

var errClosed = errors.New("kafka: producer is closed")
