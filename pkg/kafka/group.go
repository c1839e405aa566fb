package kafka

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/IBM/sarama"
)

// ConsumeGroup shares the partitions of the topics with the other members of the group, and hands
// its own to the handler, generation by generation, until ctx ends; then it leaves the group and
// returns nil. Unreachable brokers, missing topics and errors of the handler are logged, and
// tried again with growing pauses. It returns an error only for settings that cannot work.
func ConsumeGroup(ctx context.Context, cfg GroupConfig, h BatchHandler) error {
	cfg, err := cfg.prepare()
	if err != nil {
		return err
	}
	if cfg.Group == "" {
		return errors.New("kafka: no consumer group is given")
	}
	m := &member{cfg: cfg, handler: h, log: cfg.Log.With("group", cfg.Group)}
	var pause retryPause
	for ctx.Err() == nil {
		group, err := sarama.NewConsumerGroup(cfg.Brokers, cfg.Group, cfg.sarama())
		if err == nil {
			m.consume(ctx, group, &pause)
			continue
		}
		m.log.Warn("cannot reach Kafka", "error", err)
		pause.wait(ctx)
	}
	return nil
}

// member is this process in a consumer group.
type member struct {
	cfg     GroupConfig
	handler BatchHandler
	log     *slog.Logger
}

// consume takes part in generations until ctx ends or the group's client is closed.
func (m *member) consume(ctx context.Context, group sarama.ConsumerGroup, pause *retryPause) {
	var errs sync.WaitGroup
	errs.Go(func() {
		for err := range group.Errors() {
			m.log.Warn("consumer group", "error", err)
		}
	})
	defer errs.Wait()
	defer func() {
		if err := group.Close(); err != nil {
			m.log.Warn("cannot leave the consumer group", "error", err)
		}
	}()
	for quiet := 0; ctx.Err() == nil; {
		g := &generation{member: m}
		err := errors.Join(group.Consume(ctx, m.cfg.Topics, g), g.failure())
		if ctx.Err() != nil {
			return
		}
		if quiet++; g.delivered.Load() {
			quiet = 0
			pause.reset()
		}
		if err == nil && quiet < quietGenerations {
			continue // a rebalance: take part in the next generation at once
		}
		if err != nil {
			m.log.Warn("consumption stopped", "error", err)
		}
		if !pause.wait(ctx) || errors.Is(err, sarama.ErrClosedClient) || errors.Is(err, sarama.ErrClosedConsumerGroup) {
			return
		}
	}
}

// quietGenerations is how many generations in a row may end with nothing delivered before we wait
// between them: Sarama does not tell a rebalance from a partition that it can't read.
const quietGenerations = 4

// generation is one session of the group. It is Sarama's handler for it.
type generation struct {
	member    *member
	parts     []Partition
	offsets   map[Partition]int64
	session   sarama.ConsumerGroupSession
	assigned  bool
	delivered atomic.Bool // something was, so a failure now is not the last one again
	failed    atomic.Pointer[error]
}

func (g *generation) failure() error {
	if err := g.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Mark implements Generation.
func (g *generation) Mark(p Partition, next int64) {
	g.session.MarkOffset(p.Topic, p.ID, next, "")
}

// Setup asks the handler where to start, and makes Sarama start there.
func (g *generation) Setup(s sarama.ConsumerGroupSession) error {
	g.session = s
	for topic, ids := range s.Claims() {
		for _, id := range ids {
			g.parts = append(g.parts, Partition{topic, id})
		}
	}
	if len(g.parts) == 0 {
		return nil // more members than partitions
	}
	sortPartitions(g.parts)
	offsets, err := g.member.handler.Assigned(s.Context(), g, g.parts)
	if err != nil {
		return err
	}
	g.assigned, g.offsets = true, offsets
	for _, p := range g.parts {
		// The claim starts at the session's offset. Marking moves it forward only, resetting
		// backward only.
		next := offsets[p]
		s.MarkOffset(p.Topic, p.ID, next, "")
		s.ResetOffset(p.Topic, p.ID, next, "")
	}
	return nil
}

// Cleanup runs when all claims have returned.
func (g *generation) Cleanup(sarama.ConsumerGroupSession) error {
	if g.assigned {
		g.member.handler.Revoked(g.parts)
	}
	return nil
}

// ConsumeClaim delivers one partition.
func (g *generation) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	p := Partition{claim.Topic(), claim.Partition()}
	if want := g.offsets[p]; claim.InitialOffset() < 0 && want > 0 {
		warnGone(g.member.log, p, want)
	}
	err := deliver(s.Context(), claim.Messages(), g.member.cfg.MaxBatch, func(ctx context.Context, recs []Record) error {
		g.delivered.Store(true)
		return g.member.handler.Deliver(ctx, recs)
	})
	if err != nil {
		g.failed.CompareAndSwap(nil, &err)
	}
	return nil // ends the session, since no claim may end on its own
}

// deliver passes on a partition's messages until ctx ends or they do, when it returns nil, or
// until the handler fails.
func deliver(ctx context.Context, messages <-chan *sarama.ConsumerMessage, limit int, to func(context.Context, []Record) error) error {
	buf := make([]*sarama.ConsumerMessage, 0, 64)
	for {
		select {
		case <-ctx.Done():
			return nil
		case m, ok := <-messages:
			if !ok || ctx.Err() != nil {
				return nil
			}
			buf = cut(m, messages, limit, buf)
			if err := to(ctx, recordsOf(buf)); err != nil && ctx.Err() == nil {
				return err
			}
			clear(buf)
		}
	}
}

func warnGone(log *slog.Logger, p Partition, want int64) {
	log.Warn("the partition does not hold the offset to go on from: reading it from its start",
		"topic", p.Topic, "partition", p.ID, "offset", want)
}

func sortPartitions(parts []Partition) {
	slices.SortFunc(parts, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.ID, b.ID))
	})
}
