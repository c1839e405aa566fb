package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/IBM/sarama"
)

// transactionTimeout is when brokers abort a transaction whose producer died, unless another
// producer takes over before. Until then consumers of its partitions wait. It must be above
// the time that one Publish may take, since the producer is fenced by it.
const transactionTimeout = 3 * publishTimeout

// NewTransactionalProducer returns a producer of which one Publish is one transaction:
// consumers that read committed records see all of its records or none, so a later record is
// never seen without the earlier ones. At most one producer of a transactional id lives:
// making one fences the one before, whose open transaction is aborted; from then on the old
// one returns ErrFenced. It connects at once, and fails if no broker answers.
func NewTransactionalProducer(cfg Config, transactionalID string) (Producer, error) {
	if transactionalID == "" {
		return nil, errors.New("kafka: a transactional producer needs an id")
	}
	s, err := newSender(cfg, transactionalID)
	if err != nil {
		return nil, fmt.Errorf("kafka: transactional id %s: %w", transactionalID, err)
	}
	return &transactional{sender: s}, nil
}

type transactional struct {
	mu     sync.Mutex // one transaction at a time
	sender *sender
	dead   error // why it will never send again
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
	if err := checkSizes(recs); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	waves, err := p.sender.plan(ctx, recs)
	if err != nil {
		return err
	}
	if err := p.begin(ctx, waves); err != nil {
		return p.abort(ctx, err)
	}
	if err := p.sender.sendAll(ctx, waves); err != nil {
		return p.abort(ctx, err)
	}
	if err := p.end(ctx, true); err != nil {
		return p.broken(err)
	}
	return nil
}

// begin tells the coordinator which partitions the transaction writes to; the first of them
// begins it.
func (p *transactional) begin(ctx context.Context, waves [][]*batch) error {
	partitions := make(map[string][]int32)
	for _, b := range waves[0] { // the first wave has every partition
		partitions[b.topic] = append(partitions[b.topic], b.partition)
	}
	return p.sender.insist(ctx, func() error {
		if err := p.sender.identify(); err != nil { // anew, after an aborted transaction
			return err
		}
		return p.coordinate("begin a transaction", func(c *sarama.Broker) error {
			res, err := c.AddPartitionsToTxn(&sarama.AddPartitionsToTxnRequest{
				Version:         3,
				TransactionalID: *p.sender.transaction, ProducerID: p.sender.id, ProducerEpoch: p.sender.epoch,
				TopicPartitions: partitions,
			})
			if err != nil {
				return err
			}
			var refused []error
			for _, answers := range res.Errors {
				for _, a := range answers {
					if a.Err != sarama.ErrNoError {
						refused = append(refused, a.Err)
					}
				}
			}
			if i := slices.IndexFunc(refused, func(err error) bool { return !retriable(err) }); i >= 0 {
				return refused[i]
			}
			return errors.Join(refused...)
		})
	})
}

// end commits or aborts, even if ctx has ended: an open transaction holds up all consumers.
func (p *transactional) end(ctx context.Context, commit bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	return p.sender.insist(ctx, func() error {
		return p.coordinate("end a transaction", func(c *sarama.Broker) error {
			res, err := c.EndTxn(&sarama.EndTxnRequest{
				Version: 3, TransactionalID: *p.sender.transaction,
				ProducerID: p.sender.id, ProducerEpoch: p.sender.epoch, TransactionResult: commit,
			})
			if err == nil && res.Err != sarama.ErrNoError {
				err = res.Err
			}
			return err
		})
	})
}

// coordinate asks the transaction's coordinator.
func (p *transactional) coordinate(doing string, ask func(*sarama.Broker) error) error {
	coordinator, err := p.sender.client.TransactionCoordinator(*p.sender.transaction)
	if err == nil {
		if err = ask(coordinator); err != nil && retriable(err) {
			p.sender.drop(coordinator, err)
		}
	}
	if err != nil {
		return fmt.Errorf("kafka: %s: %w", doing, err)
	}
	return nil
}

// abort gives the transaction up because of cause, which it returns. After a failed send the
// next transaction begins with another epoch, so that nothing of this one can come late into it.
func (p *transactional) abort(ctx context.Context, cause error) error {
	if fenced(cause) {
		return p.broken(cause)
	}
	err := p.end(ctx, false)
	// What ended before it began is no transaction to end.
	if err != nil && !errors.Is(err, sarama.ErrInvalidTxnState) {
		return errors.Join(p.broken(err), cause)
	}
	return cause
}

// broken ends the producer's life: it must not make a new one of itself, since it cannot
// know whether it may still send, and would fence the one that may.
func (p *transactional) broken(err error) error {
	kind := ErrUnusable
	if fenced(err) {
		kind = ErrFenced
	}
	p.dead = fmt.Errorf("%w: transactional id %s: %w", kind, *p.sender.transaction, err)
	return p.dead
}

// fenced reports that the coordinator or a partition knows a later epoch.
func fenced(err error) bool {
	return errors.Is(err, sarama.ErrProducerFenced) || errors.Is(err, sarama.ErrInvalidProducerEpoch)
}

func (p *transactional) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	if p.dead == nil {
		p.dead = errClosed
	}
	return p.sender.client.Close()
}
