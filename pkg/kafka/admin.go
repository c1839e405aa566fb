package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// adminTimeout bounds one request of an Admin to a broker.
const adminTimeout = 10 * time.Second

// Admin sets up topics and looks at them. It is safe for concurrent use.
type Admin struct {
	cfg       Config
	client    *kafkago.Client
	transport *kafkago.Transport
}

// NewAdmin returns an Admin. It connects when it is first used; Close closes its connections.
func NewAdmin(cfg Config) (*Admin, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	mechanism, err := cfg.Security.kafkago()
	if err != nil {
		return nil, err
	}
	t := &kafkago.Transport{ClientID: cfg.ClientID, DialTimeout: 5 * time.Second, TLS: cfg.Security.TLS, SASL: mechanism}
	return &Admin{cfg: cfg, transport: t, client: &kafkago.Client{
		Addr: kafkago.TCP(cfg.Brokers...), Timeout: adminTimeout, Transport: t,
	}}, nil
}

// Close closes the connections.
func (a *Admin) Close() error {
	a.transport.CloseIdleConnections()
	return nil
}

func (s Security) kafkago() (sasl.Mechanism, error) {
	switch s.Mechanism {
	case Plain:
		return plain.Mechanism{Username: s.Username, Password: s.Password}, nil
	case ScramSHA256:
		return scram.Mechanism(scram.SHA256, s.Username, s.Password)
	case ScramSHA512:
		return scram.Mechanism(scram.SHA512, s.Username, s.Password)
	default:
		return nil, nil // no login
	}
}

// Ping asks a broker for a sign of life.
func (a *Admin) Ping(ctx context.Context) error {
	resp, err := a.client.ApiVersions(ctx, &kafkago.ApiVersionsRequest{})
	if err == nil {
		err = resp.Error
	}
	if err != nil {
		return fmt.Errorf("kafka: no broker answers: %w", err)
	}
	return nil
}

// EnsureTopics creates the topics that do not exist. Those that do keep their settings; but
// another number of partitions than declared is an error, since it can't be changed without
// breaking the order of keys.
func (a *Admin) EnsureTopics(ctx context.Context, topics []TopicSpec) error {
	req := &kafkago.CreateTopicsRequest{}
	for _, t := range topics {
		c := kafkago.TopicConfig{Topic: t.Name, NumPartitions: t.Partitions, ReplicationFactor: t.Replication}
		if c.ReplicationFactor == 0 {
			c.ReplicationFactor = -1 // the broker's default
		}
		for k, v := range t.Config {
			c.ConfigEntries = append(c.ConfigEntries, kafkago.ConfigEntry{ConfigName: k, ConfigValue: v})
		}
		req.Topics = append(req.Topics, c)
	}
	resp, err := a.client.CreateTopics(ctx, req)
	if err != nil {
		return fmt.Errorf("kafka: create topics: %w", err)
	}
	for name, err := range resp.Errors {
		if err != nil && !errors.Is(err, kafkago.TopicAlreadyExists) {
			return fmt.Errorf("kafka: create topic %s: %w", name, err)
		}
	}
	for _, t := range topics {
		if err := a.check(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// check waits until every broker's knowledge of a new topic has had the time to spread, and
// compares.
func (a *Admin) check(ctx context.Context, t TopicSpec) error {
	var pause retryPause
	for {
		ids, err := a.partitions(ctx, t.Name)
		switch {
		case err == nil && len(ids) == t.Partitions:
			return nil
		case err == nil:
			return fmt.Errorf("kafka: topic %s has %d partitions, not %d, and their number can't change", t.Name, len(ids), t.Partitions)
		case !errors.Is(err, kafkago.UnknownTopicOrPartition) && !errors.Is(err, kafkago.LeaderNotAvailable):
			return err
		case !pause.wait(ctx):
			return fmt.Errorf("kafka: wait for topic %s: %w", t.Name, ctx.Err())
		}
	}
}

// partitions returns the partitions of a topic. All of them have a leader.
func (a *Admin) partitions(ctx context.Context, topic string) ([]int, error) {
	resp, err := a.client.Metadata(ctx, &kafkago.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, fmt.Errorf("kafka: look up topic %s: %w", topic, err)
	}
	if len(resp.Topics) != 1 {
		return nil, fmt.Errorf("kafka: look up topic %s: %w", topic, kafkago.UnknownTopicOrPartition)
	}
	t := resp.Topics[0]
	if t.Error != nil {
		return nil, fmt.Errorf("kafka: look up topic %s: %w", topic, t.Error)
	}
	ids := make([]int, 0, len(t.Partitions))
	for _, p := range t.Partitions {
		if p.Error != nil && !errors.Is(p.Error, kafkago.ReplicaNotAvailable) {
			return nil, fmt.Errorf("kafka: look up topic %s: partition %d: %w", topic, p.ID, p.Error)
		}
		ids = append(ids, p.ID)
	}
	return ids, nil
}

// Range is what a partition holds: the offsets from First up to, but without, Last. Not each of
// them need be a record: transactions leave markers and aborted records, compaction leaves gaps.
type Range struct {
	First int64
	Last  int64
}

// Offsets returns what each partition of a topic holds, as far as it is committed.
func (a *Admin) Offsets(ctx context.Context, topic string) (map[int32]Range, error) {
	ids, err := a.partitions(ctx, topic)
	if err != nil {
		return nil, err
	}
	req := &kafkago.ListOffsetsRequest{IsolationLevel: kafkago.ReadCommitted, Topics: map[string][]kafkago.OffsetRequest{}}
	for _, id := range ids {
		req.Topics[topic] = append(req.Topics[topic], kafkago.FirstOffsetOf(id), kafkago.LastOffsetOf(id))
	}
	held := make(map[int32]Range, len(ids))
	return held, retry(ctx, func() error {
		resp, err := a.client.ListOffsets(ctx, req)
		if err != nil {
			return fmt.Errorf("kafka: offsets of %s: %w", topic, err)
		}
		for _, p := range resp.Topics[topic] {
			if p.Error != nil {
				return fmt.Errorf("kafka: offsets of %s/%d: %w", topic, p.Partition, p.Error)
			}
			held[int32(p.Partition)] = Range{First: p.FirstOffset, Last: p.LastOffset}
		}
		return nil
	})
}

// retry calls again what fails while a cluster moves leaders and coordinators about, for as long
// as one request may take.
func retry(ctx context.Context, call func() error) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	var pause retryPause
	for {
		err := call()
		var k kafkago.Error
		if !errors.As(err, &k) || !k.Temporary() || errors.Is(k, kafkago.UnknownTopicOrPartition) || !pause.wait(ctx) {
			return err
		}
	}
}

// Lag returns, for each partition of the topics, how many offsets there are between what the
// group has committed and the end. A group that has committed nothing lags by all that the
// partition holds. On topics written in transactions a consumer that is up to date may show the
// few offsets that its last transaction took for its marker.
func (a *Admin) Lag(ctx context.Context, group string, topics []string) (map[Partition]int64, error) {
	req := &kafkago.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{}}
	held := make(map[Partition]Range)
	for _, topic := range topics {
		ranges, err := a.Offsets(ctx, topic)
		if err != nil {
			return nil, err
		}
		for id, r := range ranges {
			held[Partition{topic, id}] = r
			req.Topics[topic] = append(req.Topics[topic], int(id))
		}
	}
	lag := make(map[Partition]int64, len(held))
	return lag, retry(ctx, func() error { return a.lag(ctx, req, held, lag) })
}

func (a *Admin) lag(ctx context.Context, req *kafkago.OffsetFetchRequest, held map[Partition]Range, lag map[Partition]int64) error {
	resp, err := a.client.OffsetFetch(ctx, req)
	if err == nil {
		err = resp.Error
	}
	for p, r := range held {
		lag[p] = r.Last - r.First
	}
	if errors.Is(err, kafkago.GroupIdNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("kafka: offsets of group %s: %w", req.GroupID, err)
	}
	for topic, parts := range resp.Topics {
		for _, p := range parts {
			if p.Error != nil {
				return fmt.Errorf("kafka: offset of group %s in %s/%d: %w", req.GroupID, topic, p.Partition, p.Error)
			}
			part := Partition{topic, int32(p.Partition)}
			lag[part] = max(0, held[part].Last-max(p.CommittedOffset, held[part].First))
		}
	}
	return nil
}

// DeleteRecords deletes the records of a partition before an offset; -1 means all there are. The
// embedded broker keeps the last one.
func (a *Admin) DeleteRecords(ctx context.Context, p Partition, before int64) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("kafka: delete records: %w", err)
	}
	cfg := a.cfg.sarama()
	cfg.Metadata.Full = true                                 // Sarama's admin starts with all topics
	admin, err := sarama.NewClusterAdmin(a.cfg.Brokers, cfg) // kafka-go has no such request
	if err != nil {
		return fmt.Errorf("kafka: delete records: %w", err)
	}
	defer admin.Close()
	if err := admin.DeleteRecords(p.Topic, map[int32]int64{p.ID: before}); err != nil {
		return fmt.Errorf("kafka: delete records of %s/%d: %w", p.Topic, p.ID, err)
	}
	return nil
}

// ReadRange calls fn for each committed record of a partition at offsets from..to-1 that it still
// holds, in order, and returns at the partition's end if that comes first. It stops at fn's first
// error and returns it.
func (a *Admin) ReadRange(ctx context.Context, p Partition, from, to int64, fn func(Record) error) error {
	if from >= to {
		return nil
	}
	s := a.cfg.sarama()
	s.Metadata.Retry.Max = consumerMetadataRetries
	client, err := sarama.NewClient(a.cfg.Brokers, s)
	if err != nil {
		return fmt.Errorf("kafka: read %s/%d: %w", p.Topic, p.ID, err)
	}
	defer client.Close()
	first, err := client.GetOffset(p.Topic, p.ID, sarama.OffsetOldest)
	if err != nil {
		return fmt.Errorf("kafka: find the start of %s/%d: %w", p.Topic, p.ID, err)
	}
	f := &fetcher{client: client, part: p, next: max(from, first)}
	var pause retryPause
	for f.next < to {
		recs, end, err := f.fetch()
		if err != nil {
			if err := f.recover(ctx, err, &pause); err != nil {
				return err
			}
			continue
		}
		pause.reset()
		for i := range recs {
			if err := ctx.Err(); err != nil {
				return f.failed(err)
			}
			if recs[i].Offset >= to {
				return nil
			}
			if err := fn(recs[i]); err != nil {
				return err
			}
		}
		if f.next >= end {
			return nil
		}
	}
	return nil
}
