package kafka

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/orderlane/orderlane/e2e/realparts"
)

// patience is how long a test waits for a condition before it fails.
const patience = 60 * time.Second

// testTime is recent: brokers forget an idempotent producer by the age of its records, and
// delete old records.
var testTime = time.Now().Truncate(time.Millisecond)

// eachBroker runs a test on the in-process broker and on Apache Kafka.
func eachBroker(t *testing.T, test func(t *testing.T, cfg Config)) {
	t.Run("kfake", func(t *testing.T) {
		_, cfg := fakeBroker(t)
		test(t, cfg)
	})
	t.Run("Apache Kafka", func(t *testing.T) { test(t, quick(realparts.Kafka(t))) })
}

// quick has short sessions, so that tests of rebalances are short.
func quick(brokers []string) Config {
	return Config{Brokers: brokers, SessionTimeout: 3 * time.Second, HeartbeatInterval: 100 * time.Millisecond, RebalanceTimeout: 5 * time.Second}
}

func fakeBroker(t testing.TB, opts ...kfake.Opt) (*kfake.Cluster, Config) {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Second)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, quick(c.ListenAddrs())
}

// newTopic makes a topic of its own for the test.
func newTopic(t testing.TB, cfg Config, partitions int32) string {
	t.Helper()
	name := realparts.Unique(t, "test")
	makeTopic(t, cfg, name, partitions)
	return name
}

func adminConfig(cfg Config) *sarama.Config {
	s := cfg.sarama()
	s.Metadata.Full = true // Sarama's admin asks for all topics
	return s
}

func makeTopic(t testing.TB, cfg Config, name string, partitions int32) {
	t.Helper()
	admin, err := sarama.NewClusterAdmin(cfg.Brokers, adminConfig(cfg))
	check(t, err)
	defer func() { check(t, admin.Close()) }()
	check(t, admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false))
}

// read returns the records of a partition, committed ones only, up to its present end.
func read(t *testing.T, cfg Config, topic string, partition int32) []*sarama.ConsumerMessage {
	t.Helper()
	client, err := sarama.NewClient(cfg.Brokers, cfg.sarama())
	check(t, err)
	defer func() { check(t, client.Close()) }()
	end, err := client.GetOffset(topic, partition, sarama.OffsetNewest)
	check(t, err)
	consumer, err := sarama.NewConsumerFromClient(client)
	check(t, err)
	pc, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
	check(t, err)
	defer func() { check(t, pc.Close()) }()
	var got []*sarama.ConsumerMessage
	// A transaction's marker ends the partition and is never delivered: what comes is counted
	// as complete when nothing has come for a while and a record after the end has.
	p, err := NewProducer(cfg)
	check(t, err)
	defer func() { check(t, p.Close()) }()
	check(t, p.Publish(context.Background(), []Record{{Topic: topic, Partition: partition, Value: []byte("end of test"), Time: testTime}}))
	for {
		select {
		case m := <-pc.Messages():
			if m.Offset >= end && string(m.Value) == "end of test" {
				return got
			}
			got = append(got, m)
		case <-time.After(patience):
			t.Fatalf("no end of %s/%d after %d records", topic, partition, len(got))
		}
	}
}

// committed is the offset that a group has committed for a partition; -1 if none.
func committed(t *testing.T, cfg Config, group, topic string, partition int32) int64 {
	t.Helper()
	admin, err := sarama.NewClusterAdmin(cfg.Brokers, adminConfig(cfg))
	check(t, err)
	defer func() { check(t, admin.Close()) }()
	offsets, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {partition}})
	check(t, err)
	return offsets.GetBlock(topic, partition).Offset
}

// fill publishes count records, spread over keys: value i has key i % keys.
func fill(t *testing.T, cfg Config, topic string, keys, count int) {
	t.Helper()
	p, err := NewOrderedProducer(cfg)
	check(t, err)
	defer func() { check(t, p.Close()) }()
	check(t, p.Publish(context.Background(), numbered(topic, keys, 0, count)))
}

// numbered are records with the values from..to-1; value i has key i % keys.
func numbered(topic string, keys, from, to int) []Record {
	recs := make([]Record, 0, to-from)
	for i := from; i < to; i++ {
		recs = append(recs, Record{
			Topic: topic, Partition: AnyPartition, Key: fmt.Appendf(nil, "key-%d", i%keys), Value: fmt.Append(nil, i),
			Headers: []Header{{"ce_id", fmt.Appendf(nil, "id-%d", i)}, {"ce_type", []byte("test")}, {"own", []byte("x")}},
			Time:    testTime.Add(time.Duration(i) * time.Millisecond),
		})
	}
	return recs
}

// handle does with messages what Watermill's router does: a goroutine each, Ack or Nack by
// the handler's error.
type handling struct {
	wg sync.WaitGroup
}

func handle(messages <-chan *message.Message, handler func(*message.Message) error) *handling {
	h := new(handling)
	h.wg.Go(func() {
		for m := range messages {
			h.wg.Go(func() {
				if handler(m) != nil {
					m.Nack()
				} else {
					m.Ack()
				}
			})
		}
	})
	return h
}

// wait returns when the channel is closed and all handlers have returned.
func (h *handling) wait() { h.wg.Wait() }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
