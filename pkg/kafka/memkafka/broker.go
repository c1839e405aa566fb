// Package memkafka stands in for Kafka where every step is to be driven by hand: in tests and in
// simulations from one seed. Topics are slices in partitions, and partitions are assigned
// explicitly. It starts no goroutine and waits for nothing: what is not asked for does not
// happen.
//
// Broker takes records in (Producer, Publisher), Consumer hands them to a kafka.BatchHandler, and
// Subscriber hands them to Watermill handlers. A consumer group's protocol it does not
// imitate; the in-process broker of package embedded has it.
package memkafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// Broker holds topics. It is safe for concurrent use.
type Broker struct {
	clock func() time.Time

	mu     sync.Mutex
	topics map[string]*topic
	epochs map[string]int // of transactional ids: the producer made last is the one that may send
	faults []fault
}

type topic struct {
	partitions []partition
	keyless    int // records without a key so far; they go round
}

type partition struct {
	first   int64 // offset of records[0]
	records []kafka.Record
}

func (p *partition) end() int64 { return p.first + int64(len(p.records)) }

type fault struct {
	err     error
	written int
}

// New returns a broker with topics. The clock stamps records that have no time of their own.
func New(clock func() time.Time, topics ...kafka.TopicSpec) *Broker {
	b := &Broker{clock: clock, topics: make(map[string]*topic), epochs: make(map[string]int)}
	_ = b.EnsureTopics(context.Background(), topics) // there is nothing yet that it could differ from
	return b
}

// EnsureTopics creates the topics that do not exist, and fails if one has another number of
// partitions.
func (b *Broker) EnsureTopics(_ context.Context, topics []kafka.TopicSpec) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range topics {
		have := b.topics[t.Name]
		if have == nil {
			b.topics[t.Name] = &topic{partitions: make([]partition, t.Partitions)}
			continue
		}
		if len(have.partitions) != t.Partitions {
			return fmt.Errorf("memkafka: topic %s has %d partitions, not %d", t.Name, len(have.partitions), t.Partitions)
		}
	}
	return nil
}

// FailNext makes a Publish to come fail with err, after it has written that many of its records
// (all if negative): 0 is a broker that could not be reached, all of them a lost answer.
// Transactional producers write all or nothing. Several calls queue up.
func (b *Broker) FailNext(err error, written int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, fault{err, written})
}

// Partitions lists the partitions of topics, in order; of all topics, by name, if none is given.
func (b *Broker) Partitions(topics ...string) []kafka.Partition {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(topics) == 0 {
		for name := range b.topics {
			topics = append(topics, name)
		}
		slices.Sort(topics)
	}
	var parts []kafka.Partition
	for _, name := range topics {
		if t := b.topics[name]; t != nil {
			for id := range t.partitions {
				parts = append(parts, kafka.Partition{Topic: name, ID: int32(id)})
			}
		}
	}
	return parts
}

// Offsets returns what each partition of a topic holds.
func (b *Broker) Offsets(_ context.Context, name string) (map[int32]kafka.Range, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[name]
	if t == nil {
		return nil, fmt.Errorf("memkafka: there is no topic %s", name)
	}
	held := make(map[int32]kafka.Range, len(t.partitions))
	for id := range t.partitions {
		p := &t.partitions[id]
		held[int32(id)] = kafka.Range{First: p.first, Last: p.end()}
	}
	return held, nil
}

// Records returns up to limit records (all if negative) of a partition from an offset on. They
// are not to be changed.
func (b *Broker) Records(p kafka.Partition, from int64, limit int) []kafka.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	part, err := b.partition(p)
	if err != nil || from >= part.end() {
		return nil
	}
	recs := part.records[max(from-part.first, 0):]
	if limit >= 0 && limit < len(recs) {
		recs = recs[:limit]
	}
	return slices.Clone(recs)
}

// LastRecord returns the last record of a partition, as kafka.Admin does; ok is false if it
// holds none.
func (b *Broker) LastRecord(_ context.Context, p kafka.Partition, held kafka.Range) (last kafka.Record, ok bool, err error) {
	recs := b.Records(p, max(held.First, held.Last-1), 1)
	if len(recs) == 0 {
		return last, false, nil
	}
	return recs[0], true, nil
}

// ReadRange calls fn for each record at offsets from..to-1 that there is, in order, as
// kafka.Admin does.
func (b *Broker) ReadRange(ctx context.Context, p kafka.Partition, from, to int64, fn func(kafka.Record) error) error {
	for _, r := range b.Records(p, from, -1) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if r.Offset >= to {
			return nil
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// DeleteRecords deletes the records of a partition before an offset; -1 means all there are.
// Offsets go on from where they were.
func (b *Broker) DeleteRecords(_ context.Context, p kafka.Partition, before int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	part, err := b.partition(p)
	if err != nil {
		return err
	}
	if before < 0 || before > part.end() {
		before = part.end()
	}
	if before > part.first {
		part.records = slices.Clone(part.records[before-part.first:])
		part.first = before
	}
	return nil
}

func (b *Broker) partition(p kafka.Partition) (*partition, error) {
	t := b.topics[p.Topic]
	if t == nil || p.ID < 0 || int(p.ID) >= len(t.partitions) {
		return nil, fmt.Errorf("memkafka: there is no partition %s/%d", p.Topic, p.ID)
	}
	return &t.partitions[p.ID], nil
}

var errClosed = errors.New("memkafka: producer is closed")

// publish writes records in order, or those before a fault; atomic makes that all or none.
func (b *Broker) publish(recs []kafka.Record, atomic bool) error {
	var f fault
	if len(b.faults) > 0 {
		f, b.faults = b.faults[0], b.faults[1:]
	} else {
		f.written = -1
	}
	n := len(recs)
	if f.written >= 0 && f.written < n {
		n = f.written
		if atomic {
			n = 0
		}
	}
	ids := make([]int32, n)
	for i := range ids {
		id, err := b.choose(&recs[i])
		if err != nil {
			return err // before anything is written
		}
		ids[i] = id
	}
	for i, id := range ids {
		b.append(recs[i], id)
	}
	return f.err
}

// choose returns the partition that a record goes to.
func (b *Broker) choose(r *kafka.Record) (int32, error) {
	id := r.Partition
	if t := b.topics[r.Topic]; t != nil && id < 0 {
		if r.Key != nil {
			return kafka.PartitionOf(r.Key, int32(len(t.partitions))), nil
		}
		id = int32(t.keyless % len(t.partitions))
		t.keyless++
	}
	_, err := b.partition(kafka.Partition{Topic: r.Topic, ID: id})
	return id, err
}

func (b *Broker) append(r kafka.Record, id int32) {
	part := &b.topics[r.Topic].partitions[id]
	r.Partition, r.Offset = id, part.end()
	r.Key, r.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
	r.Headers = slices.Clone(r.Headers)
	for i := range r.Headers {
		r.Headers[i].Value = bytes.Clone(r.Headers[i].Value)
	}
	if r.Time.IsZero() {
		r.Time = b.clock()
	}
	part.records = append(part.records, r)
}
