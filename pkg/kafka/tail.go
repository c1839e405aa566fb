package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/IBM/sarama"
)

// tailWait is how long a broker keeps a request when there is nothing to read, and so how long a
// stop may take.
const tailWait = 250 * time.Millisecond

// TailPartition reads one partition from its present end on, until ctx ends; then it returns nil.
// Once it stands there it calls standing with the offset: every record produced after that call
// is passed to fn, in order and once, however often the connection is lost. fn must be quick, or
// reading falls behind. Only if the records to go on from have been deleted does it leave some
// out, and says so in the log. It returns an error only for settings that cannot work.
func TailPartition(ctx context.Context, cfg Config, p Partition, standing func(offset int64), fn func(Record)) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	log := slog.Default().With("topic", p.Topic, "partition", p.ID)
	f := &fetcher{part: p, next: sarama.OffsetNewest, wait: tailWait}
	var pause retryPause
	for ctx.Err() == nil {
		err := tail(ctx, cfg, f, standing, fn, &pause)
		if ctx.Err() != nil {
			break
		}
		log.Warn("cannot read the end of a partition", "error", err)
		pause.wait(ctx)
	}
	return nil
}

// tail reads with one client until it fails for good.
func tail(ctx context.Context, cfg Config, f *fetcher, standing func(int64), fn func(Record), pause *retryPause) error {
	s := cfg.sarama()
	s.Metadata.Retry.Max = consumerMetadataRetries
	client, err := sarama.NewClient(cfg.Brokers, s)
	if err != nil {
		return fmt.Errorf("kafka: connect: %w", err)
	}
	defer client.Close()
	f.client = client
	if f.next < 0 {
		end, err := client.GetOffset(f.part.Topic, f.part.ID, sarama.OffsetNewest)
		if err != nil {
			return fmt.Errorf("kafka: find the end of %s/%d: %w", f.part.Topic, f.part.ID, err)
		}
		f.next = end
		standing(end)
	}
	for ctx.Err() == nil {
		recs, _, err := f.fetch()
		if errors.Is(err, sarama.ErrOffsetOutOfRange) {
			err = f.findPlace(err)
		}
		if err != nil {
			if err := f.recover(ctx, err, pause); err != nil {
				return err
			}
			continue
		}
		pause.reset()
		for i := range recs {
			fn(recs[i])
		}
	}
	return nil
}

// findPlace goes on from the nearest offset that the partition holds.
func (f *fetcher) findPlace(cause error) error {
	first, err := f.client.GetOffset(f.part.Topic, f.part.ID, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	end, err := f.client.GetOffset(f.part.Topic, f.part.ID, sarama.OffsetNewest)
	if err != nil {
		return err
	}
	place := min(max(f.next, first), end)
	if place == f.next {
		return nil // it was there a moment later
	}
	slog.Default().Warn("records are gone before they were read", "topic", f.part.Topic, "partition", f.part.ID,
		"at", f.next, "going on from", place, "error", cause)
	f.next = place
	return nil
}
