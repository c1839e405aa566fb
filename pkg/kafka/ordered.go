package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// How long an ordered producer keeps trying: a restarting broker is away for seconds.
const (
	orderedAttempts = 60
	connectAttempts = 25
	orderedPause    = 200 * time.Millisecond
)

// NewOrderedProducer returns an idempotent producer that never writes a later record of a
// partition when an earlier one failed: it sends requests itself, at most one per partition
// at a time, and none after one that failed. Sarama's own producer may split a batch, fail
// the first part for good and then write the second. It costs less than a transaction, and
// less than Sarama's producer too, whose goroutines handle records one by one.
//
// Calls of Publish wait for each other; ctx bounds the retries. It connects at once, and
// fails if no broker answers.
func NewOrderedProducer(cfg Config) (Producer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	conf := cfg.producer()
	conf.Metadata.Retry.Max = 0 // Publish has its own retries
	client, err := sarama.NewClient(cfg.Brokers, conf)
	if err != nil {
		return nil, fmt.Errorf("kafka: connect ordered producer: %w", err)
	}
	p := &ordered{client: client, timeout: conf.Producer.Timeout, partitioners: make(map[string]sarama.Partitioner)}
	err = p.identify()
	for i := 0; i < connectAttempts && err != nil && retriable(err); i++ {
		wait(context.Background(), orderedPause)
		err = p.identify()
	}
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return p, nil
}

type ordered struct {
	client  sarama.Client
	timeout time.Duration

	mu           sync.Mutex // one Publish at a time
	closed       bool
	partitioners map[string]sarama.Partitioner

	// The broker knows a producer by its id and drops a batch whose sequence number it has seen.
	known bool
	id    int64
	epoch int16
	next  map[Partition]int32 // sequence number of the next record
}

func (p *ordered) Publish(ctx context.Context, recs []Record) error {
	if len(recs) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errors.New("kafka: producer is closed")
	}
	waves, err := p.plan(recs)
	if err != nil {
		return err
	}
	for _, wave := range waves {
		if err := p.send(ctx, wave); err != nil {
			// Whether the broker has the batch that failed is not known, so neither is the next
			// sequence number.
			p.known = false
			return fmt.Errorf("kafka: send in order: %w", err)
		}
	}
	return nil
}

// send sends a wave, at most one batch of each partition, until all of it is written.
func (p *ordered) send(ctx context.Context, wave []*batch) error {
	for attempt := 1; ; attempt++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := p.try(wave)
		failed := wave[:0:0]
		for _, b := range wave {
			if b.err != nil {
				failed = append(failed, b)
				err = b.err
				if !retriable(err) {
					return fmt.Errorf("%s: %w", b.topic, err)
				}
			}
		}
		switch {
		case err == nil:
			return nil
		case attempt == orderedAttempts:
			return fmt.Errorf("after %d attempts: %w", attempt, err)
		}
		if len(failed) > 0 {
			wave = failed
		}
		wait(ctx, orderedPause)
		for _, b := range wave {
			_ = p.client.RefreshMetadata(b.topic) // the next attempt tells
		}
	}
}

// try sends each batch of the wave once, in one request per broker, and leaves in each how it
// went. An error means that nothing was sent.
func (p *ordered) try(wave []*batch) error {
	if err := p.identify(); err != nil {
		return err
	}
	requests := make(map[*sarama.Broker][]*batch, 1)
	for _, b := range wave {
		leader, err := p.client.Leader(b.topic, b.partition)
		if b.err = err; err != nil {
			continue
		}
		requests[leader] = append(requests[leader], b)
		p.number(b)
	}
	var wg sync.WaitGroup
	for leader, batches := range requests {
		if len(requests) == 1 {
			p.request(leader, batches)
			break
		}
		wg.Go(func() { p.request(leader, batches) })
	}
	wg.Wait()
	for _, batches := range requests {
		for _, b := range batches {
			p.note(b)
		}
	}
	return nil
}

// number gives a batch its sequence numbers; a batch that is sent again keeps them.
func (p *ordered) number(b *batch) {
	if b.records.ProducerID == p.id && b.numbered {
		return
	}
	b.numbered = true
	b.records.ProducerID, b.records.ProducerEpoch = p.id, p.epoch
	b.records.FirstSequence = p.next[b.place()]
}

// note draws the conclusions of an answer for the batches to come.
func (p *ordered) note(b *batch) {
	switch {
	case b.err == nil:
		// Sequence numbers wrap at 2^31 as Kafka's do.
		p.next[b.place()] = int32((int64(b.records.FirstSequence) + int64(len(b.records.Records))) & 0x7fffffff)
	case forgotten(b.err):
		p.known = false
	}
}

// request sends one request to one broker.
func (p *ordered) request(leader *sarama.Broker, batches []*batch) {
	req := &sarama.ProduceRequest{Version: 10, RequiredAcks: sarama.WaitForAll, Timeout: int32(p.timeout.Milliseconds())}
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
		b.err = nil
		block := res.GetBlock(b.topic, b.partition)
		switch {
		case block == nil:
			b.err = sarama.ErrIncompleteResponse
		case block.Err != sarama.ErrNoError && block.Err != sarama.ErrDuplicateSequenceNumber:
			b.err = block.Err
		}
	}
}

// identify asks a broker for a producer id, unless there is one.
func (p *ordered) identify() error {
	if p.known {
		return nil
	}
	broker := p.client.LeastLoadedBroker()
	if broker == nil {
		return fmt.Errorf("kafka: ask for a producer id: %w", sarama.ErrOutOfBrokers)
	}
	res, err := broker.InitProducerID(&sarama.InitProducerIDRequest{Version: 4, ProducerID: -1, ProducerEpoch: -1})
	if err == nil && res.Err != sarama.ErrNoError {
		err = res.Err
	}
	if err != nil {
		_ = broker.Close()
		return fmt.Errorf("kafka: ask for a producer id: %w", err)
	}
	p.known, p.id, p.epoch = true, res.ProducerID, res.ProducerEpoch
	p.next = make(map[Partition]int32)
	return nil
}

// forgotten reports that the broker no longer knows the producer id, as when it has lost the
// end of its log; a new id starts over.
func forgotten(err error) bool {
	return errors.Is(err, sarama.ErrOutOfOrderSequenceNumber) || errors.Is(err, sarama.ErrUnknownProducerID) ||
		errors.Is(err, sarama.ErrInvalidProducerEpoch) || errors.Is(err, sarama.ErrInvalidProducerIDMapping)
}

// retriable reports that the same batch may be written later. Whatever is no answer of a
// broker is a matter of the connection.
func retriable(err error) bool {
	var answer sarama.KError
	if !errors.As(err, &answer) {
		var config sarama.ConfigurationError
		var encoding sarama.PacketEncodingError
		return !errors.As(err, &config) && !errors.As(err, &encoding) && !errors.Is(err, sarama.ErrClosedClient)
	}
	switch answer {
	case sarama.ErrInvalidMessage, sarama.ErrUnknownTopicOrPartition, sarama.ErrLeaderNotAvailable,
		sarama.ErrNotLeaderForPartition, sarama.ErrRequestTimedOut, sarama.ErrReplicaNotAvailable,
		sarama.ErrNetworkException, sarama.ErrNotEnoughReplicas, sarama.ErrNotEnoughReplicasAfterAppend,
		sarama.ErrKafkaStorageError, sarama.ErrFencedLeaderEpoch, sarama.ErrUnknownLeaderEpoch,
		sarama.ErrThrottlingQuotaExceeded, sarama.ErrOffsetsLoadInProgress,
		sarama.ErrConsumerCoordinatorNotAvailable, sarama.ErrNotCoordinatorForConsumer:
		return true
	}
	return forgotten(err)
}

func (p *ordered) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	return p.client.Close()
}
