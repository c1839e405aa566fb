package kafka

import (
	"context"
	"sync"
)

// NewOrderedProducer returns an idempotent producer that never writes a later record of a
// partition when an earlier one failed. It costs less than a transaction. Calls of Publish
// wait for each other; the end of ctx ends the retries. It connects at once, and fails if no
// broker answers.
func NewOrderedProducer(cfg Config) (Producer, error) {
	s, err := newSender(cfg, "")
	if err != nil {
		return nil, err
	}
	return &ordered{sender: s}, nil
}

type ordered struct {
	mu     sync.Mutex // one Publish at a time
	sender *sender
	closed bool
}

func (p *ordered) Publish(ctx context.Context, recs []Record) error {
	if len(recs) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkSizes(recs); err != nil {
		return err
	}
	return p.sender.publish(ctx, recs)
}

func (p *ordered) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	return p.sender.client.Close()
}
