package kafka

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/turn"
)

// eachBenchBroker is eachBroker for benchmarks.
func eachBenchBroker(b *testing.B, bench func(b *testing.B, cfg Config)) {
	b.Run("kfake", func(b *testing.B) {
		_, cfg := fakeBroker(b)
		bench(b, cfg)
	})
	b.Run("kafka", func(b *testing.B) { bench(b, quick(realparts.Kafka(b))) })
}

// payload is of the size of an order's event.
func payload(topic string, count int) []Record {
	recs := numbered(topic, 997, 0, count)
	for i := range recs {
		recs[i].Value = fmt.Appendf(nil, "%0512d", i)
	}
	return recs
}

func BenchmarkPublish(b *testing.B) {
	makers := map[string]func(Config) (Producer, error){
		"idempotent": NewProducer,
		"ordered":    NewOrderedProducer,
		"transactional": func(cfg Config) (Producer, error) {
			return NewTransactionalProducer(cfg, realparts.Unique(b, "txn"))
		},
	}
	eachBenchBroker(b, func(b *testing.B, cfg Config) {
		for kind, maker := range makers {
			for _, size := range []int{1, 10, 100, 500} {
				b.Run(fmt.Sprintf("%s/%d", kind, size), func(b *testing.B) {
					topic := newTopic(b, cfg, 8)
					p, err := maker(cfg)
					check(b, err)
					defer func() { check(b, p.Close()) }()
					recs := payload(topic, size)
					check(b, p.Publish(context.Background(), recs))
					b.ReportAllocs()
					b.ResetTimer()
					stop := cpu(b, size)
					for range b.N {
						check(b, p.Publish(context.Background(), recs))
					}
					stop()
				})
			}
		}
	})
}

// BenchmarkPublishers are publishers of single messages behind many callers, each of whom waits for
// its own: watermill-kafka's, and the one whose calls go out together.
func BenchmarkPublishers(b *testing.B) {
	makers := map[string]func(Config) (message.Publisher, error){
		"single": NewPublisher,
		"gathering": func(cfg Config) (message.Publisher, error) {
			return NewGatheringPublisher(cfg, func() time.Time { return testTime })
		},
	}
	eachBenchBroker(b, func(b *testing.B, cfg Config) {
		for kind, maker := range makers {
			for _, callers := range []int{1, 8, 64} {
				b.Run(fmt.Sprintf("%s/%d", kind, callers), func(b *testing.B) {
					topic := newTopic(b, cfg, 8)
					p, err := maker(cfg)
					check(b, err)
					defer func() { check(b, p.Close()) }()
					check(b, p.Publish(topic, command(0)))
					b.ReportAllocs()
					b.ResetTimer()
					stop := cpu(b, 1)
					var next atomic.Int64
					var wg sync.WaitGroup
					for range callers {
						wg.Go(func() {
							for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
								check(b, p.Publish(topic, command(i)))
							}
						})
					}
					wg.Wait()
					stop()
				})
			}
		}
	})
}

// command is a message of the size of an order's command.
func command(i int64) *message.Message {
	m := message.NewMessage(fmt.Sprintf("%036d", i), fmt.Appendf(nil, "%0512d", i))
	m.Metadata = message.Metadata{MetadataKey: fmt.Sprintf("order-%036d", i)}
	for _, name := range knownHeaders[1:12] {
		m.Metadata[name] = "a value of some twenty bytes"
	}
	return m
}

// BenchmarkSubscribe drains a filled topic of 8 partitions through handlers that do nothing
// but take their turn, beside watermill-kafka's own subscriber.
func BenchmarkSubscribe(b *testing.B) {
	eachBenchBroker(b, func(b *testing.B, cfg Config) {
		topic := newTopic(b, cfg, 8)
		p, err := NewOrderedProducer(cfg)
		check(b, err)
		const count = 50_000
		for range count / 1000 {
			check(b, p.Publish(context.Background(), payload(topic, 1000)))
		}
		check(b, p.Close())
		drain := func(b *testing.B, s message.Subscriber, count int, handler func(*message.Message)) {
			messages, err := s.Subscribe(context.Background(), topic)
			check(b, err)
			var n atomic.Int64
			done := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				for m := range messages {
					wg.Go(func() {
						handler(m)
						m.Ack()
						if n.Add(1) == int64(count) {
							close(done)
						}
					})
				}
			})
			<-done
			check(b, s.Close())
			wg.Wait()
		}
		for name, mode := range map[string]Mode{"by turn": ByTurn, "by key": ByKey} {
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				defer cpu(b, count)()
				for range b.N {
					s, err := NewSubscriber(SubscriberConfig{Config: cfg, Group: realparts.Unique(b, "g"), Mode: mode})
					check(b, err)
					drain(b, s, count, func(m *message.Message) {
						if mode == ByTurn {
							turn.FromContext(m.Context()).Take(func() {})
						}
					})
				}
			})
		}
		b.Run("watermill-kafka", func(b *testing.B) {
			b.ReportAllocs()
			defer cpu(b, count)()
			for range b.N {
				s, err := wmkafka.NewSubscriber(wmkafka.SubscriberConfig{
					Brokers: cfg.Brokers, Unmarshaler: wmkafka.DefaultMarshaler{}, ConsumerGroup: realparts.Unique(b, "g"),
					OverwriteSaramaConfig: cfg.sarama(),
				}, watermill.NopLogger{})
				check(b, err)
				drain(b, s, count, func(*message.Message) {})
			}
		})
	})
}

// BenchmarkWaiting is a handler that waits 10 ms for the outside world, on one partition.
func BenchmarkWaiting(b *testing.B) {
	const count = 2000
	_, cfg := fakeBroker(b)
	topic := newTopic(b, cfg, 1)
	p, err := NewOrderedProducer(cfg)
	check(b, err)
	recs := payload(topic, count)
	for i := range recs {
		recs[i].Partition = 0
	}
	check(b, p.Publish(context.Background(), recs))
	check(b, p.Close())
	for range b.N {
		s, err := NewSubscriber(SubscriberConfig{Config: cfg, Group: realparts.Unique(b, "g"), Mode: ByKey})
		check(b, err)
		messages, err := s.Subscribe(context.Background(), topic)
		check(b, err)
		var begun, ended atomic.Int64
		done := make(chan struct{})
		var first time.Time
		h := handle(messages, func(*message.Message) error {
			if begun.Add(1) == 1 {
				first = time.Now()
			}
			<-time.After(10 * time.Millisecond)
			if ended.Add(1) == count {
				close(done)
			}
			return nil
		})
		<-done
		b.ReportMetric(count*0.010/time.Since(first).Seconds(), "x-serial")
		check(b, s.Close())
		h.wait()
	}
}

// cpu reports records a second, and the time that this process has been on a processor for
// each, which a busy machine changes less. On kfake that includes the broker's.
func cpu(b *testing.B, records int) (stop func()) {
	before := cpuTime(b)
	return func() {
		n := float64(b.N * records)
		b.ReportMetric(n/b.Elapsed().Seconds(), "records/s")
		b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/n, "cpu-ns/record")
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
