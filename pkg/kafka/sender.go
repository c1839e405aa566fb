package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// How long a Publish keeps trying: a restarting broker is away for seconds.
const (
	publishTimeout = 20 * time.Second
	sendPause      = 200 * time.Millisecond
)

// sender sends produce requests itself, at most one per partition at a time, and none after
// one that failed. Sarama's own producer may split a batch, fail the first part for good and
// then write the second; it also hands each record through half a dozen goroutines.
// A sender is for one goroutine at a time.
type sender struct {
	client       sarama.Client
	transaction  *string // the transactional id, if there is one
	partitioners map[string]sarama.Partitioner

	// The broker knows a producer by its id, and drops a batch whose sequence number it has
	// seen from it. It forgets one whose last record is older than a day.
	known bool
	id    int64
	epoch int16
	next  map[Partition]int32 // sequence number of the next record
}

func newSender(cfg Config, transactionalID string) (*sender, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	conf := cfg.producer()
	conf.Metadata.Retry.Max = 0 // Publish has its own retries
	client, err := sarama.NewClient(cfg.Brokers, conf)
	if err != nil {
		return nil, fmt.Errorf("kafka: connect producer: %w", err)
	}
	s := &sender{client: client, id: -1, epoch: -1, partitioners: make(map[string]sarama.Partitioner)}
	if transactionalID != "" {
		s.transaction = &transactionalID
	}
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	if err := s.insist(ctx, s.identify); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return s, nil
}

// insist repeats what may pass, until it does or ctx ends.
func (s *sender) insist(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil || !retriable(err) {
			return err
		}
		pause := sendPause
		if errors.Is(err, sarama.ErrConcurrentTransactions) {
			pause = markerPause
		}
		wait(ctx, pause)
		if ctx.Err() != nil {
			return fmt.Errorf("%w; %w", context.Cause(ctx), err)
		}
	}
}

// markerPause is how long the last transaction's markers may take to be written; the next
// one can't begin before.
const markerPause = 3 * time.Millisecond

// publish sends records, outside of a transaction.
func (s *sender) publish(ctx context.Context, recs []Record) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	waves, err := s.plan(ctx, recs)
	if err != nil {
		return err
	}
	return s.sendAll(ctx, waves)
}

// sendAll sends waves one after the other. After an error it is not known what of the wave is
// written, so the next one needs another identity.
func (s *sender) sendAll(ctx context.Context, waves [][]*batch) error {
	for _, wave := range waves {
		if err := s.insist(ctx, func() error { return s.try(&wave) }); err != nil {
			s.known = false
			return err
		}
	}
	return nil
}

// try sends each batch of a wave, one request per broker, and leaves in the wave those that
// are to be sent again.
func (s *sender) try(wave *[]*batch) error {
	if err := s.identify(); err != nil {
		return err
	}
	requests := make(map[*sarama.Broker][]*batch, 1)
	for _, b := range *wave {
		leader, err := s.client.Leader(b.topic, b.partition)
		if b.err = err; err == nil {
			s.number(b)
			requests[leader] = append(requests[leader], b)
		}
	}
	var wg sync.WaitGroup
	for leader, batches := range requests {
		if len(requests) == 1 {
			s.request(leader, batches)
			break
		}
		wg.Go(func() { s.request(leader, batches) })
	}
	wg.Wait()
	return s.conclude(wave)
}

// conclude draws the conclusions of a wave's answers: an error that lasts comes first.
func (s *sender) conclude(wave *[]*batch) error {
	var passing error
	again := (*wave)[:0]
	for _, b := range *wave {
		switch {
		case b.err == nil:
			// Sequence numbers start again after 2^31-1, as Kafka's do.
			s.next[b.place()] = int32((int64(b.records.FirstSequence) + int64(len(b.records.Records))) & 0x7fffffff)
			continue
		case s.transaction == nil && forgotten(b.err):
			s.known = false
		case !retriable(b.err):
			return fmt.Errorf("kafka: send to %s: %w", b.topic, b.err)
		}
		again = append(again, b)
		passing = fmt.Errorf("kafka: send to %s: %w: %w", b.topic, errPassing, b.err)
		_ = s.client.RefreshMetadata(b.topic) // there may be a new leader; the next attempt tells
	}
	*wave = again
	return passing
}

// errPassing marks errors of which the same request may succeed.
var errPassing = errors.New("not written yet")

// number gives a batch its sequence numbers; one that is sent again gets the same, since only
// what is written moves them on.
func (s *sender) number(b *batch) {
	b.records.IsTransactional = s.transaction != nil
	b.records.ProducerID, b.records.ProducerEpoch = s.id, s.epoch
	b.records.FirstSequence = s.next[b.place()]
}

// request sends one request to one broker, and leaves in each batch how it went.
func (s *sender) request(leader *sarama.Broker, batches []*batch) {
	req := &sarama.ProduceRequest{
		Version: 10, TransactionalID: s.transaction, RequiredAcks: sarama.WaitForAll,
		Timeout: int32(s.client.Config().Producer.Timeout.Milliseconds()),
	}
	for _, b := range batches {
		req.AddBatch(b.topic, b.partition, b.records)
	}
	res, err := leader.Produce(req)
	if err != nil {
		_ = leader.Close() // the next attempt opens it again
		for _, b := range batches {
			b.err = err
		}
		return
	}
	for _, b := range batches {
		block := res.GetBlock(b.topic, b.partition)
		switch {
		case block == nil:
			b.err = sarama.ErrIncompleteResponse
		case block.Err != sarama.ErrNoError && block.Err != sarama.ErrDuplicateSequenceNumber:
			b.err = block.Err
		}
	}
}

// identify gets a producer id, unless there is one. With a transactional id, the coordinator
// keeps the id and raises the epoch: it fences whoever had the epoch before, and refuses a
// sender that was fenced itself.
func (s *sender) identify() error {
	if s.known {
		return nil
	}
	req := &sarama.InitProducerIDRequest{Version: 4, ProducerID: -1, ProducerEpoch: -1}
	broker, err := s.client.LeastLoadedBroker(), error(nil)
	if s.transaction != nil {
		req.TransactionalID, req.TransactionTimeout = s.transaction, transactionTimeout
		req.ProducerID, req.ProducerEpoch = s.id, s.epoch
		broker, err = s.client.TransactionCoordinator(*s.transaction)
	}
	if err == nil && broker == nil {
		err = sarama.ErrOutOfBrokers
	}
	if err != nil {
		return fmt.Errorf("kafka: ask for a producer id: %w", err)
	}
	res, err := broker.InitProducerID(req)
	if err == nil && res.Err != sarama.ErrNoError {
		err = res.Err
	}
	if err != nil {
		s.drop(broker, err)
		return fmt.Errorf("kafka: ask for a producer id: %w", err)
	}
	s.known, s.id, s.epoch = true, res.ProducerID, res.ProducerEpoch
	s.next = make(map[Partition]int32)
	return nil
}

// drop makes the next request go by another connection, if err says that this one is of no use.
func (s *sender) drop(broker *sarama.Broker, err error) {
	var answer sarama.KError
	if !errors.As(err, &answer) {
		_ = broker.Close()
	}
	if s.transaction != nil && !errors.Is(err, sarama.ErrConcurrentTransactions) {
		_ = s.client.RefreshTransactionCoordinator(*s.transaction) // the next attempt tells
	}
}

// forgotten reports that the broker does not know the producer id any more, as when it has
// lost the end of its log; a new id starts over.
func forgotten(err error) bool {
	return errors.Is(err, sarama.ErrOutOfOrderSequenceNumber) || errors.Is(err, sarama.ErrUnknownProducerID) ||
		errors.Is(err, sarama.ErrInvalidProducerEpoch) || errors.Is(err, sarama.ErrInvalidProducerIDMapping)
}

// retriable reports that the same request may succeed later. Whatever is no answer of a broker
// is a matter of the connection.
func retriable(err error) bool {
	if errors.Is(err, errPassing) {
		return true
	}
	var answer sarama.KError
	if !errors.As(err, &answer) {
		var certificate *tls.CertificateVerificationError
		if errors.As(err, &certificate) {
			return false
		}
		var config sarama.ConfigurationError
		var encoding sarama.PacketEncodingError
		return !errors.As(err, &config) && !errors.As(err, &encoding) && !errors.Is(err, sarama.ErrClosedClient)
	}
	switch answer {
	case sarama.ErrInvalidMessage, sarama.ErrUnknownTopicOrPartition, sarama.ErrLeaderNotAvailable,
		sarama.ErrNotLeaderForPartition, sarama.ErrRequestTimedOut, sarama.ErrReplicaNotAvailable,
		sarama.ErrNetworkException, sarama.ErrNotEnoughReplicas, sarama.ErrNotEnoughReplicasAfterAppend,
		sarama.ErrKafkaStorageError, sarama.ErrFencedLeaderEpoch, sarama.ErrUnknownLeaderEpoch,
		sarama.ErrThrottlingQuotaExceeded, sarama.ErrOffsetsLoadInProgress, sarama.ErrConcurrentTransactions,
		sarama.ErrConsumerCoordinatorNotAvailable, sarama.ErrNotCoordinatorForConsumer:
		return true
	}
	return false
}
