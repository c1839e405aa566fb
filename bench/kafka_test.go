package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"go.uber.org/goleak"

	"github.com/orderlane/orderlane/pkg/embedded"
	"github.com/orderlane/orderlane/pkg/kafka"
)

func TestMain(m *testing.M) {
	// Sarama's metrics have one goroutine for the life of the process.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// newKafka is a broker with topics, and a run of the benchmarks that was given it.
func newKafka(t *testing.T, topics ...string) *bench {
	t.Helper()
	o := embedded.Options{Dir: t.TempDir()}
	for _, name := range topics {
		o.Topics = append(o.Topics, kafka.TopicSpec{Name: name, Partitions: 1, Replication: 1})
	}
	broker, err := embedded.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bench{kafka: []string{broker.Addr()}}
}

// with lets a test act on a bench's Kafka.
func (b *bench) with(t *testing.T, act func(c *cluster) error) {
	t.Helper()
	c, err := b.cluster()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := act(c); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) create(t *testing.T, topic string) {
	t.Helper()
	b.with(t, func(c *cluster) error {
		return c.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false)
	})
}

// commit has a group commit an offset.
func (b *bench) commit(t *testing.T, group, topic string) {
	t.Helper()
	b.with(t, func(c *cluster) error {
		_, err := c.AlterConsumerGroupOffsets(group, map[string]map[int32]sarama.OffsetAndMetadata{topic: {0: {Offset: 1}}}, nil)
		return err
	})
}

// holds are the topics and groups of a bench's Kafka.
func (b *bench) holds(t *testing.T) string {
	t.Helper()
	var names []string
	b.with(t, func(c *cluster) error {
		topics, err := c.ListTopics()
		if err != nil {
			return err
		}
		for name := range topics {
			names = append(names, name)
		}
		groups, err := c.ListConsumerGroups()
		for name := range groups {
			names = append(names, "group "+name)
		}
		return err
	})
	slices.Sort(names)
	return strings.Join(names, " ")
}

func TestTheBenchmarksTakeAnEmptyKafkaAndLeaveItEmpty(t *testing.T) {
	b := newKafka(t)
	if err := b.claimKafka(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.create(t, "ordering.commands.v1")
	b.create(t, "textbook.events")
	b.commit(t, "ordering", "ordering.commands.v1")
	// Another run, after one that was killed.
	again := &bench{kafka: b.kafka}
	if err := again.claimKafka(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.holds(t); got != markTopic {
		t.Errorf("it holds %s", got)
	}
	if err := again.leaveKafka(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.holds(t); got != "" {
		t.Errorf("it holds %s", got)
	}
}

func TestTheBenchmarksRefuseAKafkaThatHoldsOthersData(t *testing.T) {
	for _, topic := range []string{"parcels", "ordering.events.v1"} { // a shop's topics have the names of the platform's
		b := newKafka(t, topic)
		if err := b.claimKafka(t.Context()); err == nil || !strings.Contains(err.Error(), topic) || b.claimed {
			t.Errorf("with %s: %v, claimed %t", topic, err, b.claimed)
		}
		if got := b.holds(t); got != topic {
			t.Errorf("it holds %q", got)
		}
	}
}

func TestTheBenchmarksLeaveAloneWhatOthersMakeMeanwhile(t *testing.T) {
	b := newKafka(t)
	if err := b.claimKafka(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{"outcomes.v1", "parcels"} {
		b.create(t, topic)
		b.commit(t, "readers-of-"+topic, topic)
	}
	b.commit(t, "readers-of-both", "outcomes.v1")
	b.commit(t, "readers-of-both", "parcels")
	if err := b.wipeTopics(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%s group readers-of-both group readers-of-parcels parcels", markTopic)
	if got := b.holds(t); got != want {
		t.Errorf("it holds %s, want %s", got, want)
	}
	again := &bench{kafka: b.kafka}
	if err := again.claimKafka(t.Context()); err == nil || !strings.Contains(err.Error(), "parcels") {
		t.Errorf("the next run: %v", err)
	}
}

func TestAllTopicsOfThePlatformAreTheBenchmarksToDelete(t *testing.T) {
	own, err := ownTopics()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"outcomes.v1", "ordering.personal.v1", "storefront.deadletters.v1", "textbook.commands", waitingTopic} {
		if !own[name] {
			t.Errorf("%s is taken for another's", name)
		}
	}
}
