package kafka

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

// fetchBytes is how much of a partition one request asks for.
const fetchBytes = 1 << 20

// fetcher reads one partition, committed records only, request by request on the goroutine that
// asks. It knows its place exactly, which a consumer that hides transaction markers and aborted
// records does not tell: the end of a range may be one of those. (kafka-go's readers, at v0.4.51,
// hand out aborted records.)
type fetcher struct {
	client sarama.Client
	part   Partition
	next   int64 // offset to read next
	size   int32
	wait   time.Duration // how long the broker may wait for a record
}

// fetch returns the records at next and after, if there are any, moves next past them, and
// returns the end: the offset up to which records are committed.
func (f *fetcher) fetch() (recs []Record, end int64, err error) {
	broker, err := f.client.Leader(f.part.Topic, f.part.ID)
	if err != nil {
		return nil, 0, f.failed(err)
	}
	f.size = max(f.size, fetchBytes)
	req := &sarama.FetchRequest{
		Version: 12, MinBytes: 1, MaxBytes: 2 * f.size, MaxWaitTime: int32(f.wait / time.Millisecond),
		Isolation: sarama.ReadCommitted, SessionEpoch: -1,
	}
	req.AddBlock(f.part.Topic, f.part.ID, f.next, f.size, -1)
	resp, err := broker.Fetch(req)
	if err != nil {
		_ = broker.Close() // the next request opens it again
		return nil, 0, f.failed(err)
	}
	block := resp.GetBlock(f.part.Topic, f.part.ID)
	if block == nil {
		return nil, 0, f.failed(sarama.ErrIncompleteResponse)
	}
	if !errors.Is(block.Err, sarama.ErrNoError) {
		return nil, 0, f.failed(block.Err)
	}
	before := f.next
	recs, err = f.read(block)
	if err != nil {
		return nil, 0, f.failed(err)
	}
	if f.next == before && f.next < block.LastStableOffset {
		if block.Partial {
			f.size = min(f.size*2, sarama.MaxResponseSize/4) // a batch larger than we asked for
		} else {
			f.next++ // a batch that compaction has emptied: no record is at this offset
		}
	}
	return recs, block.LastStableOffset, nil
}

func (f *fetcher) failed(err error) error {
	return fmt.Errorf("kafka: read %s/%d at %d: %w", f.part.Topic, f.part.ID, f.next, err)
}

// read takes the records out of a response: not those before next, which share a batch with the
// one asked for, nor transaction markers, nor what was aborted.
func (f *fetcher) read(block *sarama.FetchResponseBlock) ([]Record, error) {
	aborted := slices.Clone(block.AbortedTransactions)
	slices.SortFunc(aborted, func(a, b *sarama.AbortedTransaction) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	dropping := make(map[int64]bool) // producers whose present transaction was aborted
	var recs []Record
	for _, set := range block.RecordsSet {
		batch := set.RecordBatch
		if batch == nil {
			return nil, errors.New("the records are in a format of before Kafka 0.11")
		}
		for len(aborted) > 0 && aborted[0].FirstOffset <= batch.LastOffset() {
			dropping[aborted[0].ProducerID] = true
			aborted = aborted[1:]
		}
		switch {
		case batch.Control:
			if isAbort(batch) {
				delete(dropping, batch.ProducerID)
			}
		case batch.IsTransactional && dropping[batch.ProducerID]:
		default:
			recs = f.appendBatch(recs, batch)
		}
		f.next = max(f.next, batch.LastOffset()+1)
	}
	return recs, nil
}

// isAbort reads a transaction marker: its key is a version and a type, 2 bytes each.
func isAbort(batch *sarama.RecordBatch) bool {
	return len(batch.Records) > 0 && len(batch.Records[0].Key) >= 4 && binary.BigEndian.Uint16(batch.Records[0].Key[2:]) == 0
}

func (f *fetcher) appendBatch(recs []Record, batch *sarama.RecordBatch) []Record {
	recs = slices.Grow(recs, len(batch.Records))
	for _, r := range batch.Records {
		offset := batch.FirstOffset + r.OffsetDelta
		if offset < f.next {
			continue
		}
		rec := Record{
			Topic: f.part.Topic, Partition: f.part.ID, Offset: offset, Key: r.Key, Value: r.Value,
			Time: batch.FirstTimestamp.Add(r.TimestampDelta), Headers: make([]Header, len(r.Headers)),
		}
		if batch.LogAppendTime {
			rec.Time = batch.MaxTimestamp
		}
		for i, h := range r.Headers {
			rec.Headers[i] = Header{Key: headerName(h.Key), Value: h.Value}
		}
		recs = append(recs, rec)
	}
	return recs
}

// recover makes the next fetch possible again after an error, or returns the error if that is in
// vain: it learns who leads the partition now. It waits a little, longer each time.
func (f *fetcher) recover(ctx context.Context, err error, pause *retryPause) error {
	if !pause.wait(ctx) {
		return ctx.Err()
	}
	if errors.Is(err, sarama.ErrClosedClient) || errors.Is(err, sarama.ErrOffsetOutOfRange) ||
		errors.Is(err, sarama.ErrTopicAuthorizationFailed) {
		return err
	}
	_ = f.client.RefreshMetadata(f.part.Topic) // if it fails, the next fetch says so
	return nil
}
