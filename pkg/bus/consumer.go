package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"
)

// Handler handles one type of command; it is Watermill's.
type Handler = cqrs.CommandHandler

// Handle returns the handler of commands of type C, which must be Typed.
func Handle[C any](handle func(ctx context.Context, command *C) error) Handler {
	name := marshaler{}.Name(new(C))
	return cqrs.NewCommandHandler(name, handle)
}

// Group is what consumes one topic: a CommandGroup or a TaskGroup.
type Group interface {
	// Attach adds the group to a router, as the consumer of its topic.
	Attach(router *message.Router, subscriber message.Subscriber)
}

// Consumer drives a group: a Watermill router with the group as its one handler.
type Consumer struct {
	router     *message.Router
	subscriber message.Subscriber
}

// NewConsumer returns the consumer of a group. On its end it gives handlers that are under
// way up to drain to finish; the subscriber must keep their contexts alive for that.
func NewConsumer(group Group, subscriber message.Subscriber, drain time.Duration, log *slog.Logger) (*Consumer, error) {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: drain}, quiet(log))
	if err != nil {
		return nil, fmt.Errorf("bus: make a router: %w", err)
	}
	group.Attach(router, subscriber)
	return &Consumer{router: router, subscriber: subscriber}, nil
}

// Running is closed when messages are taken.
func (c *Consumer) Running() chan struct{} { return c.router.Running() }

// Run takes messages until ctx ends; then it takes no more, lets those in flight finish,
// and leaves the group.
func (c *Consumer) Run(ctx context.Context) error {
	drained := make(chan error, 1)
	// The contexts of messages outlive the router's, so closing it cuts nothing off.
	stop := context.AfterFunc(ctx, func() { drained <- errors.Join(c.router.Close(), c.subscriber.Close()) })
	err := c.router.Run(context.WithoutCancel(ctx))
	if !stop() {
		err = errors.Join(err, <-drained)
	}
	return err
}

// quiet tells Watermill's news about its own routine at debug level only.
func quiet(log *slog.Logger) watermill.LoggerAdapter {
	return quietLogger{log, watermill.NewSlogLoggerWithLevelMapping(log, map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug})}
}

// quietLogger looks whether anybody wants to know before it takes the fields apart: Watermill has
// something to tell of every message.
type quietLogger struct {
	log *slog.Logger
	watermill.LoggerAdapter
}

func (q quietLogger) wants(level slog.Level) bool { return q.log.Enabled(context.Background(), level) }

// Info implements Watermill's logger, as Debug, Trace and With do.
func (q quietLogger) Info(msg string, fields watermill.LogFields) {
	if q.wants(slog.LevelDebug) {
		q.LoggerAdapter.Info(msg, fields)
	}
}

func (q quietLogger) Debug(msg string, fields watermill.LogFields) {
	if q.wants(slog.LevelDebug) {
		q.LoggerAdapter.Debug(msg, fields)
	}
}

func (q quietLogger) Trace(msg string, fields watermill.LogFields) {
	if q.wants(watermill.LevelTrace) {
		q.LoggerAdapter.Trace(msg, fields)
	}
}

func (q quietLogger) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return quietLogger{q.log, q.LoggerAdapter.With(fields)}
}
