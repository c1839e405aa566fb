package kafka

import (
	"context"
)

// PartitionOf is the partition of a key in a topic of so many partitions, as Sarama's
// default partitioner and kafka-go's Hash balancer have it: FNV-1a, sign dropped.
func PartitionOf(key []byte, partitions int32) int32 {
	h := uint32(2166136261) // FNV-1a, here without the allocation of hash/fnv
	for _, b := range key {
		h = (h ^ uint32(b)) * 16777619
	}
	p := int32(h) % partitions
	if p < 0 {
		return -p
	}
	return p
}

// lastWindow is how far LastRecord looks back first: beyond the markers that a few
// transactions leave.
const lastWindow = 16

// LastRecord returns the last committed record that a partition holds; ok is false if it
// holds none. Markers and aborted records at its end are passed over.
func (a *Admin) LastRecord(ctx context.Context, p Partition, held Range) (last Record, ok bool, err error) {
	for window := int64(lastWindow); ; window *= 4 {
		from := max(held.First, held.Last-window)
		err = a.ReadRange(ctx, p, from, held.Last, func(r Record) error {
			last, ok = r, true
			return nil
		})
		if err != nil || ok || from == held.First {
			return last, ok, err
		}
	}
}
