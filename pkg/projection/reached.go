package projection

import (
	"context"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// Reached returns how far what queries see has come: the offset of the next record of each partition
// of a topic, whichever instance folds it. What is read afterwards is at least as new. Partitions
// that nobody has begun with are missing.
func (a *Answers) Reached(ctx context.Context, topics ...string) (map[kafka.Partition]int64, error) {
	at := make(map[kafka.Partition]int64)
	for _, topic := range topics {
		err := a.store.Query(ctx, `SELECT part, next_offset FROM projection_checkpoints WHERE projection = $1 AND version = $2 AND topic = $3`,
			[]any{a.id(), a.version, topic}, func(r Row) error {
				at[kafka.Partition{Topic: topic, ID: int32(r.Int(0))}] = r.Int(1)
				return nil
			})
		if err != nil {
			return nil, err
		}
	}
	return at, nil
}
