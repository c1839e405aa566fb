package kafka

import (
	"context"
	"errors"
	"sync"
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
func NewProducer(cfg Config) (Producer, error) {
	s, err := newSender(cfg, "")
	if err != nil {
		return nil, err
	}
	return &producer{sender: s}, nil
}

type producer struct {
	mu      sync.Mutex
	waiting []*call // in the order of the calls

	sending sync.Mutex // whoever has it sends for all that wait
	sender  *sender
	closed  bool
}

// call is one Publish that waits.
type call struct {
	recs []Record
	sent bool
	err  error
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
	c := &call{recs: recs}
	p.mu.Lock()
	p.waiting = append(p.waiting, c)
	p.mu.Unlock()

	p.sending.Lock()
	defer p.sending.Unlock()
	for !c.sent { // else somebody has sent it who had the lock before
		calls := p.gather()
		if len(calls) == 1 && calls[0] != c {
			p.send(context.WithoutCancel(ctx), calls) // another's records are not ours to give up
			continue
		}
		p.send(ctx, calls)
	}
	return c.err
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

func (p *producer) send(ctx context.Context, calls []*call) {
	recs := calls[0].recs
	if len(calls) > 1 {
		ctx = context.WithoutCancel(ctx) // the end of one caller's is no reason to fail the others
		recs = nil
		for _, c := range calls {
			recs = append(recs, c.recs...)
		}
	}
	err := error(errClosed)
	if !p.closed {
		err = p.sender.publish(ctx, recs)
	}
	for _, c := range calls {
		c.sent, c.err = true, err
	}
}

func (p *producer) Close() error {
	p.sending.Lock()
	defer p.sending.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	return p.sender.client.Close()
}

var errClosed = errors.New("kafka: producer is closed")
