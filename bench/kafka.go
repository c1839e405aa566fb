package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"gopkg.in/yaml.v3"

	"github.com/orderlane/orderlane/api"
	"github.com/orderlane/orderlane/bench/textbook"
)

// markTopic marks a Kafka that was empty when the benchmarks came, and is theirs: a run that is
// killed leaves topics behind, which the next one must be able to tell from a shop's.
const markTopic = "bench.orderlane"

// ownTopics are the topics that the benchmarks make: the platform's, as its contract names
// them, those of the textbook way, and that of the waiting handler.
func ownTopics() (map[string]bool, error) {
	var contract struct {
		Channels map[string]struct {
			Address string `yaml:"address"`
		} `yaml:"channels"`
	}
	if err := yaml.Unmarshal(api.AsyncAPI, &contract); err != nil {
		return nil, fmt.Errorf("read the platform's topics: %w", err)
	}
	own := map[string]bool{waitingTopic: true}
	for _, c := range contract.Channels {
		own[c.Address] = true
	}
	for _, t := range textbook.Topics(1) {
		own[t.Name] = true
	}
	return own, nil
}

// cluster is the Kafka that was named, with an eye on what is whose there.
type cluster struct {
	sarama.ClusterAdmin
	own map[string]bool
}

func (b *bench) cluster() (*cluster, error) {
	own, err := ownTopics()
	if err != nil {
		return nil, err
	}
	c := sarama.NewConfig()
	c.Version = sarama.V4_0_0_0
	admin, err := sarama.NewClusterAdmin(b.kafka, c)
	if err != nil {
		return nil, fmt.Errorf("reach Kafka: %w", err)
	}
	return &cluster{admin, own}, nil
}

// topics are those that are no internal ones of Kafka's, with the benchmarks' apart.
func (c *cluster) topics() (ours, others []string, marked bool, err error) {
	all, err := c.ListTopics()
	for name := range all {
		switch {
		case name == markTopic:
			marked = true
		case c.own[name]:
			ours = append(ours, name)
		case !strings.HasPrefix(name, "_"):
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return ours, others, marked, err
}

// groups are the consumer groups that have committed offsets, with those apart that have some
// of topics that are not the benchmarks'.
func (c *cluster) groups() (ours, others []string, err error) {
	all, err := c.ListConsumerGroups()
	if err != nil {
		return nil, nil, err
	}
	for name := range all {
		offsets, err := c.ListConsumerGroupOffsets(name, nil)
		if err != nil {
			return nil, nil, fmt.Errorf("read the offsets of group %s: %w", name, err)
		}
		foreign := false
		for topic := range offsets.Blocks {
			foreign = foreign || !c.own[topic]
		}
		switch {
		case foreign:
			others = append(others, name)
		case len(offsets.Blocks) > 0:
			ours = append(ours, name)
		}
	}
	slices.Sort(others)
	return ours, others, nil
}

// claimKafka makes the Kafka that was named the benchmarks' own. It refuses one that holds
// anything, unless an earlier run has claimed it and nobody else has come since: what has the
// names of the platform's topics may be a shop's.
func (b *bench) claimKafka(ctx context.Context) error {
	if len(b.kafka) == 0 {
		return nil
	}
	c, err := b.cluster()
	if err != nil {
		return err
	}
	defer c.Close()
	ours, others, marked, err := c.topics()
	if err != nil {
		return err
	}
	ourGroups, otherGroups, err := c.groups()
	if err != nil {
		return err
	}
	if !marked {
		others, otherGroups = append(others, ours...), append(otherGroups, ourGroups...)
	}
	if len(others) > 0 {
		return fmt.Errorf("the Kafka at %v holds topics that are not the benchmarks' (%s, ...): name one that is empty", b.kafka, others[0])
	}
	if len(otherGroups) > 0 {
		return fmt.Errorf("the Kafka at %v holds consumer groups that are not the benchmarks' (%s, ...): name one that is empty", b.kafka, otherGroups[0])
	}
	if !marked {
		if err := c.CreateTopic(markTopic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: -1}, false); err != nil {
			return fmt.Errorf("claim the Kafka at %v: %w", b.kafka, err)
		}
	}
	b.claimed = true
	return b.wipeTopics(ctx)
}

// wipeTopics deletes the benchmarks' topics, and the groups that read nothing else, so that
// each system starts with none. What others have made meanwhile stays.
func (b *bench) wipeTopics(ctx context.Context) error {
	c, err := b.cluster()
	if err != nil {
		return err
	}
	defer c.Close()
	groups, _, err := c.groups()
	if err != nil {
		return err
	}
	for _, group := range groups {
		_ = c.DeleteConsumerGroup(group) // one that is not empty yet expires
	}
	topics, _, _, err := c.topics()
	for _, topic := range topics {
		if err := c.DeleteTopic(topic); err != nil {
			return fmt.Errorf("delete topic %s: %w", topic, err)
		}
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for err == nil && len(topics) > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		topics, _, _, err = c.topics()
	}
	return err
}

// leaveKafka leaves the Kafka as empty as it was.
func (b *bench) leaveKafka(ctx context.Context) error {
	if err := b.wipeTopics(ctx); err != nil {
		return err
	}
	c, err := b.cluster()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.DeleteTopic(markTopic); err != nil {
		return fmt.Errorf("delete topic %s: %w", markTopic, err)
	}
	return nil
}
