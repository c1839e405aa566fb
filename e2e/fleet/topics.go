//go:build unix

package fleet

import (
	"context"
	"fmt"
	"testing"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// ReadTopic returns all committed records of a topic, partition by partition, in order.
func (f *Fleet) ReadTopic(ctx context.Context, topic string) ([]kafka.Record, error) {
	admin, err := kafka.NewAdmin(f.kafkaConfig())
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	ranges, err := admin.Offsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	var all []kafka.Record
	for partition, r := range ranges {
		err := admin.ReadRange(ctx, kafka.Partition{Topic: topic, ID: partition}, r.First, r.Last, func(rec kafka.Record) error {
			all = append(all, rec)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Records is ReadTopic that fails the test when the topic can't be read.
func (f *Fleet) Records(t testing.TB, topic string) []kafka.Record {
	t.Helper()
	records, err := f.ReadTopic(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// Publish puts records on topics as they are, past the command API.
func (f *Fleet) Publish(t testing.TB, records ...kafka.Record) {
	t.Helper()
	producer, err := kafka.NewProducer(f.kafkaConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	if err := producer.Publish(t.Context(), records); err != nil {
		t.Fatal(err)
	}
}

// stream is what a topic says of one stream.
type stream struct {
	first   []kafka.Record // of each version, from 1
	repeats int
}

// streamsOf sorts the records of an event topic by their streams, and fails where versions are
// not 1..n in the order of their first occurrences, or where a repeat is another message.
func streamsOf(records []kafka.Record) (map[string]*stream, error) {
	streams := make(map[string]*stream)
	for i := range records {
		r := &records[i]
		e, err := bus.EnvelopeOf(r)
		if err != nil {
			return nil, err
		}
		at := fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)
		if string(r.Key) != e.Subject || e.ID != fmt.Sprintf("%s/%d", e.Subject, e.StreamVersion) {
			return nil, fmt.Errorf("%s: event %s of %s at version %d has the key %s", at, e.ID, e.Subject, e.StreamVersion, r.Key)
		}
		s := streams[e.Subject]
		if s == nil {
			s = &stream{}
			streams[e.Subject] = s
		}
		switch held := int64(len(s.first)); {
		case e.StreamVersion == held+1:
			s.first = append(s.first, *r)
		case e.StreamVersion > held:
			return nil, fmt.Errorf("%s: %s comes when the topic holds %d versions of its stream", at, e.ID, held)
		default:
			first := &s.first[e.StreamVersion-1]
			if string(first.Value) != string(r.Value) || first.Header(bus.HeaderPosition) != r.Header(bus.HeaderPosition) {
				return nil, fmt.Errorf("%s: %s is there already, as another message: %s and %s", at, e.ID, first.Value, r.Value)
			}
			s.repeats++
		}
	}
	return streams, nil
}
