package kafka

import (
	"context"
	"errors"
	"fmt"

	kafkago "github.com/segmentio/kafka-go"
)

// Committed returns how far a consumer group has come with partitions: the offset after the last
// record done with. Partitions that nothing was committed for are missing. Within
// BatchHandler.Assigned it is what the partitions' last owners have marked.
func (a *Admin) Committed(ctx context.Context, group string, parts []Partition) (map[Partition]int64, error) {
	topics := make(map[string][]int)
	for _, p := range parts {
		topics[p.Topic] = append(topics[p.Topic], int(p.ID))
	}
	committed := make(map[Partition]int64, len(parts))
	err := retry(ctx, func() error {
		clear(committed)
		resp, err := a.client.OffsetFetch(ctx, &kafkago.OffsetFetchRequest{GroupID: group, Topics: topics})
		if err == nil {
			err = resp.Error
		}
		if errors.Is(err, kafkago.GroupIdNotFound) {
			return nil // it has never committed anything
		}
		if err != nil {
			return err
		}
		for topic, fetched := range resp.Topics {
			for _, p := range fetched {
				if p.Error != nil {
					return p.Error
				}
				if p.CommittedOffset >= 0 {
					committed[Partition{Topic: topic, ID: int32(p.Partition)}] = p.CommittedOffset
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("kafka: read the offsets of group %s: %w", group, err)
	}
	return committed, nil
}
