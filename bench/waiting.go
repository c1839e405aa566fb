package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/orderlane/orderlane/bench/textbook"
	"github.com/orderlane/orderlane/pkg/embedded"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Of waiting handlers.
const (
	handlerWait  = 10 * time.Millisecond
	waitingLanes = 128
	waitingTopic = "bench.waiting"
)

// measureWaiting is how many messages of one partition a handler gets through that waits for
// something outside, such as a payment provider, with each key in order: our subscriber
// against watermill-kafka's, in the same router.
func measureWaiting(ctx context.Context, b *bench) (err error) {
	brokers := b.kafka
	topic := kafka.TopicSpec{Name: waitingTopic, Partitions: 1, Replication: 1}
	if len(brokers) == 0 {
		dir := filepath.Join(b.dir, "waiting")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		broker, err := embedded.Start(ctx, embedded.Options{Dir: dir, Topics: []kafka.TopicSpec{topic}})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, broker.Close()) }()
		brokers = []string{broker.Addr()}
	} else if err := errors.Join(b.wipeTopics(ctx), ensureTopics(ctx, brokers, topic)); err != nil {
		return err
	}
	// As many as both could do together; whoever is slower leaves the rest.
	perSecond := waitingLanes * float64(time.Second) / float64(handlerWait)
	if err := fillWaiting(ctx, brokers, int(perSecond*(b.lasting.Seconds()+2))); err != nil {
		return err
	}
	config := kafka.Config{Brokers: brokers}
	byKey, err := kafka.NewSubscriber(kafka.SubscriberConfig{Config: config, Group: "bench-lanes", Mode: kafka.ByKey, Lanes: waitingLanes})
	if err != nil {
		return err
	}
	plain, err := textbook.NewSubscriber(brokers, "bench-plain")
	if err != nil {
		return err
	}
	our, err := b.waits(ctx, "our subscriber", byKey)
	if err != nil {
		return err
	}
	their, err := b.waits(ctx, "watermill-kafka's", plain)
	if err != nil {
		return err
	}
	b.report.add(row{
		measure: fmt.Sprintf("handler that waits 10 ms, by key, %d lanes, 1 partition", waitingLanes), goal: ">= 80x watermill-kafka",
		measured: fmt.Sprintf("%s/s", thousands(our)), baseline: fmt.Sprintf("%.1f/s", their), ratio: ratio(our, their), met: our >= 80*their,
	})
	return nil
}

func ensureTopics(ctx context.Context, brokers []string, topics ...kafka.TopicSpec) error {
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: brokers})
	if err != nil {
		return err
	}
	defer admin.Close()
	return admin.EnsureTopics(ctx, topics)
}

// fillWaiting publishes messages of many keys, each of which comes again and again.
func fillWaiting(ctx context.Context, brokers []string, n int) (err error) {
	const keys = 5000
	producer, err := kafka.NewProducer(kafka.Config{Brokers: brokers})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, producer.Close()) }()
	for from := 0; from < n; from += fillBatch {
		batch := make([]kafka.Record, min(fillBatch, n-from))
		for i := range batch {
			batch[i] = kafka.Record{
				Topic: waitingTopic, Partition: kafka.AnyPartition, Key: fmt.Appendf(nil, "order-%d", (from+i)%keys), Value: []byte(`{"amount":2998}`),
			}
		}
		if err := producer.Publish(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// waits returns how many messages per second the handler gets through, from its first on.
func (b *bench) waits(ctx context.Context, name string, subscriber message.Subscriber) (float64, error) {
	b.say("waiting: %s for %v", name, b.lasting)
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second}, watermill.NopLogger{})
	if err != nil {
		return 0, err
	}
	var (
		mu    sync.Mutex
		first time.Time
		done  int64
		began = make(chan struct{})
		over  bool
	)
	router.AddConsumerHandler("waiting", waitingTopic, subscriber, func(m *message.Message) error {
		mu.Lock()
		if first.IsZero() {
			first = time.Now()
			close(began)
		}
		mu.Unlock()
		<-time.After(handlerWait)
		mu.Lock()
		defer mu.Unlock()
		if !over {
			done++
		}
		return nil
	})
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- router.Run(ctx) }()
	select {
	case <-began:
		err = pause(ctx, b.lasting)
	case <-time.After(startWithin):
		err = fmt.Errorf("%s gets no message", name)
	}
	mu.Lock()
	over = true
	perSec := rate(done, time.Since(first))
	mu.Unlock()
	cancel()
	err = errors.Join(err, subscriber.Close(), <-ended)
	b.say("  %.1f/s", perSec)
	return perSec, err
}
