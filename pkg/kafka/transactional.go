package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// transactionTimeout is when brokers abort a transaction whose producer died, unless another
// producer takes over before. Until then consumers of its partitions wait.
const transactionTimeout = 15 * time.Second

// NewTransactionalProducer returns a producer of which one Publish is one transaction:
// consumers that read committed records see all of its records or none, so a later record is
// never seen without the earlier ones. At most one producer of a transactional id lives:
// making one fences the one before, whose open transaction is aborted; from then on the old
// one returns ErrFenced. It connects at once, and fails if no broker answers.
func NewTransactionalProducer(cfg Config, transactionalID string) (Producer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if transactionalID == "" {
		return nil, errors.New("kafka: a transactional producer needs an id")
	}
	conf := cfg.producer()
	conf.Producer.Partitioner = newPartitioner
	conf.Producer.Transaction.ID = transactionalID
	conf.Producer.Transaction.Timeout = transactionTimeout
	p, err := sarama.NewSyncProducer(cfg.Brokers, conf)
	if err != nil {
		return nil, fmt.Errorf("kafka: connect transactional producer %s: %w", transactionalID, err)
	}
	return &transactional{sync: p, id: transactionalID}, nil
}

type transactional struct {
	id string

	mu     sync.Mutex // one transaction at a time
	sync   sarama.SyncProducer
	dead   error
	closed bool
}

func (p *transactional) Publish(ctx context.Context, recs []Record) error {
	if len(recs) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead != nil {
		return p.dead
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.sync.BeginTxn(); err != nil {
		return p.broken("begin", err)
	}
	if err := sendError(p.sync.SendMessages(messages(recs))); err != nil {
		return p.abort(err)
	}
	if err := p.sync.CommitTxn(); err != nil {
		if p.sync.TxnStatus()&sarama.ProducerTxnFlagAbortableError != 0 {
			return p.abort(err)
		}
		return p.broken("commit", err)
	}
	return nil
}

// abort gives the transaction up because of cause, which it returns.
func (p *transactional) abort(cause error) error {
	if fenced(cause) {
		return p.broken("send", cause)
	}
	if err := p.sync.AbortTxn(); err != nil {
		return errors.Join(p.broken("abort", err), cause)
	}
	if p.sync.TxnStatus()&sarama.ProducerTxnFlagReady == 0 {
		return errors.Join(p.broken("abort", errors.New(p.sync.TxnStatus().String())), cause)
	}
	return cause
}

// broken ends the producer's life: it must not make a new one of itself, since it cannot
// know whether it may still send, and would fence the one that may.
func (p *transactional) broken(doing string, err error) error {
	kind := ErrUnusable
	if fenced(err) {
		kind = ErrFenced
	}
	p.dead = fmt.Errorf("%w: transactional id %s: %s: %w", kind, p.id, doing, err)
	return p.dead
}

func fenced(err error) bool {
	for _, e := range []error{sarama.ErrProducerFenced, sarama.ErrInvalidProducerEpoch, sarama.ErrTransactionCoordinatorFenced, sarama.ErrFencedInstancedId} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (p *transactional) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	if p.dead == nil {
		p.dead = errors.New("kafka: producer is closed")
	}
	return p.sync.Close()
}
