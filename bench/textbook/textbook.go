// Package textbook is what Orderlane is measured against: the same contract (an order is
// placed: priced, its event stored and published, its row shown, its outcome kept) built as
// Watermill's documentation builds it.
//
//   - HTTP: a chi handler that sends the command with Watermill's cqrs.CommandBus;
//   - a cqrs.CommandProcessor on watermill-kafka's own subscriber, whose handler writes the
//     event and the outcome in one transaction per command, and then publishes the event
//     with cqrs.EventBus, before the message is acked;
//   - a cqrs.EventProcessor that writes each event's row in a transaction of its own.
//
// It is meant to be a good opponent. It is correct: the publisher is idempotent and waits
// for all replicas, consumers start at the oldest message, messages are keyed by order, a
// command that comes again has one effect, and so has an event. It is spared what Orderlane
// does beside: it keeps prices in memory, publishes no outcomes, follows no commands, checks no
// shapes, and keeps personal data in the event. It has the same broker, the same
// databases with the same settings, one prepared statement where one will do, and no
// middleware in its router.
package textbook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	wmkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/orderlane/orderlane/pkg/embedded"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// The topics.
const (
	CommandsTopic = "textbook.commands"
	EventsTopic   = "textbook.events"
)

// Options of a process.
type Options struct {
	Listen     string   // of the API
	Dir        string   // of SQLite files and the embedded broker
	Brokers    []string // none: the broker is embedded
	Embedded   string   // address of the embedded broker
	Postgres   string   // URL; none: SQLite
	Partitions int
}

// Topics are the topics that must exist.
func Topics(partitions int) []kafka.TopicSpec {
	forever := map[string]string{"retention.ms": "-1"}
	return []kafka.TopicSpec{
		{Name: CommandsTopic, Partitions: partitions, Replication: 1, Config: forever},
		{Name: EventsTopic, Partitions: partitions, Replication: 1, Config: forever},
	}
}

// Run runs all of it in one process until ctx ends.
func Run(ctx context.Context, o Options) (err error) {
	brokers := o.Brokers
	if len(brokers) == 0 {
		broker, err := embedded.Start(ctx, embedded.Options{
			Dir: filepath.Join(o.Dir, "broker"), Addr: o.Embedded, Topics: Topics(o.Partitions),
		})
		if err != nil {
			return err
		}
		defer broker.Close()
		brokers = []string{broker.Addr()}
	} else if err := ensure(ctx, brokers, Topics(o.Partitions)); err != nil {
		return err
	}
	store, err := openStore(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	publisher, err := NewPublisher(brokers)
	if err != nil {
		return err
	}
	defer publisher.Close()
	if err := addOrders(router, brokers, publisher, store); err != nil {
		return err
	}
	if err := addView(router, brokers, store); err != nil {
		return err
	}
	commands, err := cqrs.NewCommandBusWithConfig(publisher, cqrs.CommandBusConfig{
		GeneratePublishTopic: func(cqrs.CommandBusGeneratePublishTopicParams) (string, error) { return CommandsTopic, nil },
		Marshaler:            marshaler,
	})
	if err != nil {
		return err
	}
	return serve(ctx, o.Listen, router, newHandler(commands))
}

// serve runs the API once the router runs, and both until ctx ends.
func serve(ctx context.Context, addr string, router *message.Router, handler http.Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	routed := make(chan error, 1)
	go func() {
		defer cancel()
		routed <- router.Run(ctx)
	}()
	select {
	case <-router.Running():
	case <-ctx.Done():
		return <-routed
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	<-ctx.Done()
	stopping, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	err = server.Shutdown(stopping)
	if serving := <-served; !errors.Is(serving, http.ErrServerClosed) {
		err = errors.Join(err, serving)
	}
	return errors.Join(err, <-routed)
}

func ensure(ctx context.Context, brokers []string, topics []kafka.TopicSpec) error {
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: brokers})
	if err != nil {
		return err
	}
	defer admin.Close()
	return admin.EnsureTopics(ctx, topics)
}

// marshaler is Watermill's own, with short names.
var marshaler = cqrs.JSONMarshaler{GenerateName: cqrs.StructName}

// partitionKey is the metadata that decides the partition.
const partitionKey = "partition_key"

var keyed = wmkafka.NewWithPartitioningMarshaler(func(_ string, m *message.Message) (string, error) {
	return m.Metadata.Get(partitionKey), nil
})

// NewPublisher returns watermill-kafka's publisher, set to lose and double nothing.
func NewPublisher(brokers []string) (message.Publisher, error) {
	c := wmkafka.DefaultSaramaSyncPublisherConfig()
	c.Version = sarama.V4_0_0_0
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1
	p, err := wmkafka.NewPublisher(wmkafka.PublisherConfig{
		Brokers: brokers, Marshaler: keyed, OverwriteSaramaConfig: c,
	}, watermill.NopLogger{})
	if err != nil {
		return nil, fmt.Errorf("textbook: make the publisher: %w", err)
	}
	return p, nil
}

// NewSubscriber returns watermill-kafka's subscriber, set to skip nothing.
func NewSubscriber(brokers []string, group string) (message.Subscriber, error) {
	c := wmkafka.DefaultSaramaSubscriberConfig()
	c.Version = sarama.V4_0_0_0
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	s, err := wmkafka.NewSubscriber(wmkafka.SubscriberConfig{
		Brokers: brokers, Unmarshaler: keyed, OverwriteSaramaConfig: c, ConsumerGroup: group,
	}, watermill.NopLogger{})
	if err != nil {
		return nil, fmt.Errorf("textbook: make the subscriber: %w", err)
	}
	return s, nil
}
