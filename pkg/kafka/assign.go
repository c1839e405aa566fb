package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/IBM/sarama"
)

// ConsumeAll hands every partition of the topics to the handler, with no group and no other
// owner, until ctx ends; then it returns nil. What it cannot do at present it logs and tries
// again, with a new generation. It returns an error only for settings that cannot work.
func ConsumeAll(ctx context.Context, cfg GroupConfig, h BatchHandler) error {
	cfg, err := cfg.prepare()
	if err != nil {
		return err
	}
	var pause retryPause
	for ctx.Err() == nil {
		delivered, err := consumeAll(ctx, cfg, h)
		if ctx.Err() != nil {
			break
		}
		cfg.Log.Warn("consumption stopped", "topics", cfg.Topics, "error", err)
		if delivered {
			pause.reset()
		}
		pause.wait(ctx)
	}
	return nil
}

// ungrouped is the generation of an owner that shares with nobody.
type ungrouped struct{}

// Mark does nothing: there is no group to tell.
func (ungrouped) Mark(Partition, int64) {}

// consumeAll is one generation. It says whether anything was delivered, and what ended it.
func consumeAll(ctx context.Context, cfg GroupConfig, h BatchHandler) (delivered bool, err error) {
	client, err := sarama.NewClient(cfg.Brokers, cfg.sarama())
	if err != nil {
		return false, fmt.Errorf("kafka: connect: %w", err)
	}
	defer client.Close()
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return false, fmt.Errorf("kafka: consume: %w", err)
	}
	defer consumer.Close()
	var parts []Partition
	for _, topic := range cfg.Topics {
		ids, err := client.Partitions(topic)
		if err != nil {
			return false, fmt.Errorf("kafka: partitions of %s: %w", topic, err)
		}
		for _, id := range ids {
			parts = append(parts, Partition{topic, id})
		}
	}
	sortPartitions(parts)

	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	offsets, err := h.Assigned(ctx, ungrouped{}, parts)
	if err != nil {
		return false, err
	}
	var some atomic.Bool
	var running sync.WaitGroup
	for _, p := range parts {
		pc, err := open(consumer, cfg, p, offsets[p])
		if err != nil {
			stop(err)
			break
		}
		running.Go(func() {
			stop(own(ctx, cfg, h, pc, p, &some))
		})
	}
	running.Wait()
	h.Revoked(parts)
	return some.Load(), context.Cause(ctx)
}

func open(consumer sarama.Consumer, cfg GroupConfig, p Partition, from int64) (sarama.PartitionConsumer, error) {
	pc, err := consumer.ConsumePartition(p.Topic, p.ID, from)
	if errors.Is(err, sarama.ErrOffsetOutOfRange) {
		if from > 0 {
			warnGone(cfg.Log, p, from)
		}
		pc, err = consumer.ConsumePartition(p.Topic, p.ID, sarama.OffsetOldest)
	}
	if err != nil {
		return nil, fmt.Errorf("kafka: consume %s/%d: %w", p.Topic, p.ID, err)
	}
	return pc, nil
}

// own delivers one partition until the generation ends, or says why it ends it.
func own(ctx context.Context, cfg GroupConfig, h BatchHandler, pc sarama.PartitionConsumer, p Partition, some *atomic.Bool) error {
	var errs sync.WaitGroup
	errs.Go(func() {
		for err := range pc.Errors() { // until the partition is closed
			cfg.Log.Warn("consumer", "error", err)
		}
	})
	err := deliver(ctx, pc.Messages(), cfg.MaxBatch, func(ctx context.Context, recs []Record) error {
		some.Store(true)
		return h.Deliver(ctx, recs)
	})
	pc.AsyncClose()
	for range pc.Messages() { // so that Sarama's feeder ends
	}
	errs.Wait()
	if err == nil {
		err = fmt.Errorf("kafka: consume %s/%d: the partition was closed", p.Topic, p.ID)
	}
	return err
}
