// Package count reads topics after a run and says what is on them, so that a figure is only
// printed for work that was done whole and once.
package count

import (
	"context"
	"errors"
	"fmt"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// Messages is what was found on a topic, by stream or command.
type Messages struct {
	Records int64
	Keys    int64 // distinct ones
	Repeats int64 // records that have the id of an earlier one
}

// Topic reads a topic from its start to its present end. version says what is to be checked of
// a record: its version in its key's sequence, from 1, or 0 to leave the record out. That first
// occurrences have versions 1..n per key, in order, is checked here.
func Topic(ctx context.Context, brokers []string, topic string, version func(*kafka.Record) (int64, error)) (Messages, error) {
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: brokers})
	if err != nil {
		return Messages{}, err
	}
	defer admin.Close()
	ranges, err := admin.Offsets(ctx, topic)
	if err != nil {
		return Messages{}, err
	}
	var m Messages
	at := make(map[string]int64)
	for id, r := range ranges {
		if r.First != 0 {
			return m, fmt.Errorf("%s/%d begins at offset %d: it was trimmed and can't be counted", topic, id, r.First)
		}
		err := admin.ReadRange(ctx, kafka.Partition{Topic: topic, ID: id}, r.First, r.Last, func(rec kafka.Record) error {
			v, err := version(&rec)
			if err != nil || v == 0 {
				return err
			}
			m.Records++
			switch have := at[string(rec.Key)]; {
			case v <= have:
				m.Repeats++
			case v > have+1:
				return fmt.Errorf("%s has version %d after %d", rec.Key, v, have)
			default:
				at[string(rec.Key)] = v
			}
			return nil
		})
		if err != nil {
			return m, errors.Join(fmt.Errorf("count %s/%d", topic, id), err)
		}
	}
	m.Keys = int64(len(at))
	return m, nil
}
