package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// encode makes the report a message. One that can't be sent is a fault of ours, and none.
func (t *task) encode(err error) ([]byte, error) {
	if t.report == nil {
		return nil, err
	}
	data, failed := Encode(t.report)
	if failed == nil && len(data) > es.MaxPayload {
		failed = fmt.Errorf("it has %d bytes, more than %d", len(data), es.MaxPayload)
	}
	if failed == nil {
		return data, err
	}
	failed = fmt.Errorf("encode the report %s: %w", t.report.MessageType(), failed)
	t.result, t.report = TaskBroken, nil
	return nil, errors.Join(failed, err)
}

// finish returns what is to be published of a task that is over: the report, and a dead letter
// unless the task was done or refused.
func (t *task) finish(report []byte, err error) ([]kafka.Record, error) {
	g := t.group
	var records []kafka.Record
	if t.result == TaskBroken || t.result == TaskExhausted {
		g.Log.Error("a task was given up", "task", t.message.UUID, "type", t.Type, "stream", t.Subject, "attempts", t.attempt, "error", err)
		letter, err := t.deadLetter(err)
		if err != nil {
			return nil, err
		}
		records = append(records, letter)
	}
	if t.report == nil {
		return records, nil
	}
	e := Envelope{
		ID: DeriveID("task", t.id.String()).String(), Type: t.report.MessageType(), Source: Source(g.Service),
		Subject: t.Subject, Time: g.Clock(), Traceparent: t.Traceparent, Correlation: t.Correlation, Causation: t.ID,
		Caller: Caller{ID: g.Service, Role: RoleService}, ReplyTo: noReply(),
	}
	return append(records, e.Record(CommandsTopic(g.Service), []byte(t.Subject), report)), nil
}

func (t *task) deadLetter(why error) (kafka.Record, error) {
	d, _ := kafka.DeliveryFrom(t.message.Context())
	letter := DeadLetter{
		Topic: TasksTopic(t.group.Service), Partition: d.Partition, Offset: d.Offset, Consumer: GatewayGroup(t.group.Service),
		MessageID: t.id.String(), MessageType: clip(t.Type), Stream: t.Subject, Time: t.group.Clock(),
	}
	if why != nil {
		letter.Reason = clip(firstLine(why.Error()))
	}
	return DeadLetterRecord(t.group.Service, letter)
}

// Pauses between attempts to publish what a task came to.
const (
	publishRetryFrom = 100 * time.Millisecond
	publishRetryUpTo = 5 * time.Second
)

// publish sends records, again until it succeeds: the work is done, and is not to be done again
// since the broker is away. It returns an error when the process stops.
func (g *TaskGroup) publish(ctx context.Context, records []kafka.Record) error {
	for pause := publishRetryFrom; len(records) > 0; pause = min(2*pause, publishRetryUpTo) {
		err := g.Producer.Publish(ctx, records)
		if err == nil {
			return nil
		}
		g.Log.Warn("the report of a task was not published, and is sent again", "error", err)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
	}
	return nil
}
