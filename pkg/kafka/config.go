package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// Defaults of Config. They bound how long the group does without a process that died
// (the session time-out) and how long a rebalance waits for one that finishes its work.
const (
	DefaultClientID         = "orderlane"
	DefaultSessionTimeout   = 6 * time.Second // the lowest that brokers allow as they come
	DefaultHeartbeat        = 500 * time.Millisecond
	DefaultRebalanceTimeout = 20 * time.Second

	// MaxMessageBytes is the largest message that producers send: a stored payload
	// (es.MaxPayload) with room for headers, below what brokers take as they come.
	MaxMessageBytes = 1000 * 1000
)

// Config says how to reach a Kafka cluster, and how members of consumer groups behave.
// The zero value of everything but Brokers has a default. Consumers read committed records
// only, and start at the oldest record where their group has no offset yet.
type Config struct {
	Brokers  []string // host:port of some brokers; the rest is learnt from them
	ClientID string   // appears in the brokers' logs and quotas; default DefaultClientID
	Security Security

	// InstanceID makes a process a static member of its groups (KIP-345): when it comes back
	// within SessionTimeout it takes up its partitions without a rebalance. It must be unique
	// in a group and the same after a restart, such as a pod's name in a StatefulSet.
	InstanceID string

	SessionTimeout    time.Duration // how long a dead member keeps its partitions
	HeartbeatInterval time.Duration // well below SessionTimeout
	RebalanceTimeout  time.Duration // how long members may take to let go of partitions
}

// Validate reports the first setting that cannot be right.
func (c Config) Validate() error {
	if len(c.Brokers) == 0 {
		return errors.New("kafka: no broker address is given")
	}
	if err := c.Security.validate(); err != nil {
		return err
	}
	d := c.withDefaults()
	if d.HeartbeatInterval >= d.SessionTimeout {
		return fmt.Errorf("kafka: heartbeat interval %v is not below session time-out %v", d.HeartbeatInterval, d.SessionTimeout)
	}
	if d.SessionTimeout < 0 || d.HeartbeatInterval < 0 || d.RebalanceTimeout < time.Second {
		return errors.New("kafka: session and rebalance time-outs and the heartbeat interval are positive, and a rebalance takes a second at least")
	}
	if err := d.sarama().Validate(); err != nil {
		return fmt.Errorf("kafka: settings: %w", err)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.ClientID == "" {
		c.ClientID = DefaultClientID
	}
	if c.SessionTimeout == 0 {
		c.SessionTimeout = DefaultSessionTimeout
	}
	if c.HeartbeatInterval == 0 {
		c.HeartbeatInterval = min(DefaultHeartbeat, c.SessionTimeout/3)
	}
	if c.RebalanceTimeout == 0 {
		c.RebalanceTimeout = DefaultRebalanceTimeout
	}
	return c
}

// sarama is what every Sarama client of this package starts from; it is made anew by each
// call, so that callers may change it.
func (c Config) sarama() *sarama.Config {
	c = c.withDefaults()
	s := sarama.NewConfig()
	s.ClientID = c.ClientID
	s.Version = sarama.V4_0_0_0 // works with brokers 4.0 and later, and with the embedded one
	s.MetricRegistry = noRegistry{}
	turnOffDefaultMetrics()
	s.Net.DialTimeout = 5 * time.Second
	// A join is answered when the slowest member has let go: the connection must wait longer.
	s.Net.ReadTimeout = max(30*time.Second, c.RebalanceTimeout+10*time.Second)

	// Ask for a coordinator as long as it would still know this member, and not longer: a group
	// that may not be joined answers like one whose coordinator is away.
	s.Metadata.Retry.Backoff = 250 * time.Millisecond
	s.Metadata.Retry.Max = int(c.SessionTimeout/s.Metadata.Retry.Backoff) + 1
	s.Metadata.Full = false
	s.Metadata.AllowAutoTopicCreation = false // a typing error must not become a topic

	s.Producer.MaxMessageBytes = MaxMessageBytes
	s.Producer.RequiredAcks = sarama.WaitForAll
	s.Producer.Retry.Max = 30
	s.Producer.Retry.Backoff = 200 * time.Millisecond
	s.Producer.Return.Successes = true
	s.Producer.Return.Errors = true

	s.Consumer.Return.Errors = true // without it a denied group is silent
	s.Consumer.IsolationLevel = sarama.ReadCommitted
	s.Consumer.Offsets.Initial = sarama.OffsetOldest
	s.Consumer.Offsets.AutoCommit.Enable = true
	s.Consumer.Offsets.AutoCommit.Interval = time.Second
	s.Consumer.Retry.Backoff = 250 * time.Millisecond
	// Heartbeats share a connection with fetches, and wait behind a fetch that waits.
	s.Consumer.MaxWaitTime = 250 * time.Millisecond
	s.Consumer.MaxProcessingTime = maxProcessingTime
	s.Consumer.Group.Session.Timeout = c.SessionTimeout
	s.Consumer.Group.Heartbeat.Interval = c.HeartbeatInterval
	s.Consumer.Group.Rebalance.Timeout = c.RebalanceTimeout
	s.Consumer.Group.Rebalance.Retry.Backoff = 500 * time.Millisecond
	s.Consumer.Group.Rebalance.Retry.Max = 1 // then Consume returns, and is called again
	s.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	s.Consumer.Group.InstanceId = c.InstanceID
	c.Security.apply(s)
	return s
}

// maxProcessingTime is how long a partition whose reader takes nothing may hold up the
// fetches of the other partitions of its broker. Sarama then drops it, feeds what it has, and
// subscribes it again: nothing is lost. Its own 100 ms would do so whenever a window is full
// for a moment.
const maxProcessingTime = time.Second

// producer is sarama with what exactly-once sending asks for.
func (c Config) producer() *sarama.Config {
	s := c.sarama()
	// A restarting broker is away for seconds: keep asking instead of failing 1,000 messages.
	s.Metadata.Retry.Max = 60
	s.Producer.Idempotent = true
	s.Net.MaxOpenRequests = 1
	return s
}
