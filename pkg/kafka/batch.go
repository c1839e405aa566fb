package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// batch is what one produce request carries for one partition.
type batch struct {
	topic     string
	partition int32
	records   *sarama.RecordBatch
	size      int // upper bound of its bytes
	wave      int // comes after the batches of lower waves
	err       error
}

func (b *batch) place() Partition { return Partition{Topic: b.topic, ID: b.partition} }

// Upper bounds of what the format adds to a batch, a record and a header.
const (
	batchOverhead  = 64
	recordOverhead = 40
	headerOverhead = 10
)

// has reports whether a topic has a partition, as far as is known: of a topic that is not
// known every partition may be there.
func (s *sender) has(p Partition) bool {
	all, err := s.client.Partitions(p.Topic)
	return err != nil || slices.Contains(all, p.ID)
}

// plan sorts records into batches by partition, and batches into waves: a partition that
// needs several batches has one in each of the first waves.
func (s *sender) plan(ctx context.Context, recs []Record) ([][]*batch, error) {
	var waves [][]*batch
	open := make(map[Partition]*batch)
	room := newRecordRoom(recs)
	for i := range recs {
		r := &recs[i]
		id := r.Partition
		err := error(nil)
		if id >= 0 && !s.has(Partition{r.Topic, id}) {
			id = AnyPartition // a place to reply to that is not there: a client said so
		}
		if id < 0 {
			err = s.insist(ctx, func() (err error) { id, err = s.partition(r); return err })
		}
		if err != nil {
			return nil, fmt.Errorf("kafka: choose a partition of %s: %w", r.Topic, err)
		}
		size := recordSize(r)
		place := Partition{Topic: r.Topic, ID: id}
		b := open[place]
		if b == nil || b.size+size > MaxMessageBytes {
			wave := 0
			if b != nil {
				wave = b.wave + 1
			}
			b = &batch{
				topic: r.Topic, partition: id, wave: wave, size: batchOverhead,
				records: &sarama.RecordBatch{Version: 2, FirstTimestamp: millis(r.Time), MaxTimestamp: millis(r.Time)},
			}
			open[place] = b
			if wave == len(waves) {
				waves = append(waves, nil)
			}
			waves[wave] = append(waves[wave], b)
		}
		b.size += size
		b.add(r, room.record(r))
	}
	return waves, nil
}

// partition is that of the record's key.
func (s *sender) partition(r *Record) (int32, error) {
	all, err := s.client.Partitions(r.Topic)
	if err != nil {
		return 0, err
	}
	if r.Key != nil {
		return all[PartitionOf(r.Key, int32(len(all)))], nil
	}
	by := s.partitioners[r.Topic]
	if by == nil {
		by = sarama.NewHashPartitioner(r.Topic)
		s.partitioners[r.Topic] = by
	}
	i, err := by.Partition(&sarama.ProducerMessage{Topic: r.Topic}, int32(len(all)))
	if err != nil {
		return 0, err
	}
	return all[i], nil
}

// add appends a record; one without a time gets that of the first, and none if that has none.
func (b *batch) add(r *Record, rec *sarama.Record) {
	at := millis(r.Time)
	if at.IsZero() || b.records.FirstTimestamp.IsZero() {
		at = b.records.FirstTimestamp
	}
	rec.TimestampDelta = at.Sub(b.records.FirstTimestamp)
	rec.OffsetDelta = int64(len(b.records.Records))
	b.records.LastOffsetDelta = int32(rec.OffsetDelta)
	if at.After(b.records.MaxTimestamp) {
		b.records.MaxTimestamp = at
	}
	b.records.Records = append(b.records.Records, rec)
}

// millis is t as Kafka keeps it.
func millis(t time.Time) time.Time { return t.Truncate(time.Millisecond) }

// ErrTooLarge is wrapped by a producer's error for a record that no batch can hold; see IsTooLarge.
var ErrTooLarge = errors.New("kafka: the message is too large")

// IsTooLarge reports whether a message was not sent at all since it is larger than producers send
// (MaxMessageBytes): so it is whenever it is sent again. What a broker refuses is another matter,
// since that counts what goes out together.
func IsTooLarge(err error) bool {
	var bad sarama.ConfigurationError // what Sarama's own producer says of it
	return errors.Is(err, ErrTooLarge) || errors.As(err, &bad) && strings.Contains(string(bad), "MaxMessageBytes")
}

// checkSizes refuses records that no batch can hold.
func checkSizes(recs []Record) error {
	for i := range recs {
		if n := recordSize(&recs[i]); n > MaxMessageBytes-batchOverhead {
			return fmt.Errorf("kafka: record of %s has %d bytes, %d are allowed: %w",
				recs[i].Topic, n, MaxMessageBytes, ErrTooLarge)
		}
	}
	return nil
}

func recordSize(r *Record) int {
	n := recordOverhead + len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += headerOverhead + len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}

// recordRoom makes Sarama's records in few allocations.
type recordRoom struct {
	records  []sarama.Record
	headers  []sarama.RecordHeader
	pointers []*sarama.RecordHeader
}

func newRecordRoom(recs []Record) *recordRoom {
	n := 0
	for i := range recs {
		n += len(recs[i].Headers)
	}
	return &recordRoom{make([]sarama.Record, len(recs)), make([]sarama.RecordHeader, n), make([]*sarama.RecordHeader, n)}
}

func (m *recordRoom) record(r *Record) *sarama.Record {
	rec := &m.records[0]
	m.records = m.records[1:]
	rec.Key, rec.Value = r.Key, r.Value
	n := len(r.Headers)
	for j, h := range r.Headers {
		m.headers[j] = sarama.RecordHeader{Key: headerBytes(h.Key), Value: h.Value}
		m.pointers[j] = &m.headers[j]
	}
	rec.Headers = m.pointers[:n:n]
	m.headers, m.pointers = m.headers[n:], m.pointers[n:]
	return rec
}
