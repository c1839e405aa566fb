package kafka

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"time"

	"github.com/IBM/sarama"
)

// Bounds of batch consumption.
const (
	// DefaultMaxBatch is how many records one Deliver gets at the most.
	DefaultMaxBatch = 1000

	// A consumer that failed comes back after minBackoff, doubled with each failure up to
	// maxBackoff.
	minBackoff = 200 * time.Millisecond
	maxBackoff = 5 * time.Second

	// consumerMetadataRetries times 250 ms is how long one look for a topic or a leader may
	// hold up a stop, since Sarama can't break it off. We come back after it ourselves.
	consumerMetadataRetries = 8
)

// Generation is one assignment of partitions to this process.
type Generation interface {
	// Mark tells the group how far the owner has come: next is the offset after the last record
	// done with. Only tools that show lag read it, since BatchHandler says itself where it goes
	// on. It is safe for concurrent use; after the generation has ended it does nothing.
	Mark(p Partition, next int64)
}

// BatchHandler owns the partitions that it is assigned, keeps their offsets itself, and gets
// their records in batches. A generation is one call of Assigned, calls of Deliver (at the
// same time for different partitions, one after another for the same), and one call of Revoked.
type BatchHandler interface {
	// Assigned returns the next offset to read of each partition; one that is missing is read
	// from its start. An error gives the partitions back, and they are asked for again later,
	// without a call of Revoked.
	Assigned(ctx context.Context, g Generation, parts []Partition) (map[Partition]int64, error)

	// Deliver takes records of one partition in their order. It may block: little more is read
	// of the partition meanwhile. It must return when ctx ends, which says that the partition
	// is taken away; whether its records count is for the handler to say at the next Assigned.
	// The slice is the handler's to keep. An error ends the generation.
	Deliver(ctx context.Context, recs []Record) error

	// Revoked is called once all calls of Deliver of the generation have returned. Until it
	// returns no other process gets the partitions, for as long as the rebalance time-out allows.
	Revoked(parts []Partition)
}

// GroupConfig says what a BatchHandler consumes.
type GroupConfig struct {
	Config
	Group    string // the consumer group; ConsumeAll has none
	Topics   []string
	MaxBatch int          // records in one Deliver; DefaultMaxBatch if 0
	Log      *slog.Logger // slog.Default() if nil
}

func (c GroupConfig) prepare() (GroupConfig, error) {
	if err := c.Validate(); err != nil {
		return c, err
	}
	if len(c.Topics) == 0 {
		return c, errors.New("kafka: no topic to consume")
	}
	if c.MaxBatch <= 0 {
		c.MaxBatch = DefaultMaxBatch
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c, nil
}

func (c GroupConfig) sarama() *sarama.Config {
	s := c.Config.sarama()
	s.Metadata.Retry.Max = consumerMetadataRetries
	s.Consumer.Fetch.Default = fetchBytes
	s.ChannelBufferSize = min(c.MaxBatch, 1024) // what may wait, and so the largest batch cut from it
	return s
}

// cut takes what waits behind a first message, up to limit in all, into buf. There is no timer: a
// lone message is not held up.
func cut(first *sarama.ConsumerMessage, more <-chan *sarama.ConsumerMessage, limit int, buf []*sarama.ConsumerMessage) []*sarama.ConsumerMessage {
	buf = append(buf[:0], first)
	for yielded := false; len(buf) < limit; {
		select {
		case m, ok := <-more:
			if !ok {
				return buf
			}
			buf = append(buf, m)
			continue
		default:
		}
		if yielded {
			return buf
		}
		// Sarama's feeder may be in the middle of passing on what it has fetched: let it, once.
		yielded = true
		runtime.Gosched()
	}
	return buf
}

// recordsOf converts a batch in two allocations, however many records and headers it has.
func recordsOf(msgs []*sarama.ConsumerMessage) []Record {
	n := 0
	for _, m := range msgs {
		n += len(m.Headers)
	}
	recs := make([]Record, len(msgs))
	headers := make([]Header, 0, n)
	for i, m := range msgs {
		from := len(headers)
		for _, h := range m.Headers {
			headers = append(headers, Header{Key: headerName(h.Key), Value: h.Value})
		}
		recs[i] = Record{
			Topic: m.Topic, Partition: m.Partition, Offset: m.Offset,
			Key: m.Key, Value: m.Value, Time: m.Timestamp,
			Headers: headers[from:len(headers):len(headers)],
		}
	}
	return recs
}

// retryPause is how long the last pause before a new attempt was.
type retryPause time.Duration

func (p *retryPause) reset() { *p = 0 }

// wait returns false if ctx ends before the pause does.
func (p *retryPause) wait(ctx context.Context) bool {
	*p = retryPause(min(max(time.Duration(*p)*2, minBackoff), maxBackoff))
	t := time.NewTimer(time.Duration(*p))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
