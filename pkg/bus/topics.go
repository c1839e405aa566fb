package bus

import (
	"strconv"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// OutcomesTopic carries the outcome of every command of every service.
const OutcomesTopic = "outcomes.v1"

// CommandsTopic is where a service takes its commands.
func CommandsTopic(service string) string { return service + ".commands.v1" }

// EventsTopic is where a service publishes its events.
func EventsTopic(service string) string { return service + ".events.v1" }

// PersonalTopic is where a service publishes what is personal of its streams; compacted.
func PersonalTopic(service string) string { return service + ".personal.v1" }

// DeadLettersTopic is where a service tells of messages that it could not handle.
func DeadLettersTopic(service string) string { return service + ".deadletters.v1" }

// Retention of the topics. Commands carry personal data and are kept for less time than
// outcomes, so that no command is delivered again after its outcome was forgotten. Events
// are kept for ever.
const (
	CommandRetention    = 48 * time.Hour
	OutcomeRetention    = 7 * 24 * time.Hour
	DeadLetterRetention = 30 * 24 * time.Hour
)

// ServiceTopics are the topics of a service that decides commands.
func ServiceTopics(service string, personal bool, partitions, replication int) []kafka.TopicSpec {
	topic := func(name string, config map[string]string) kafka.TopicSpec {
		return kafka.TopicSpec{Name: name, Partitions: partitions, Replication: replication, Config: config}
	}
	topics := []kafka.TopicSpec{
		topic(CommandsTopic(service), kept(CommandRetention)),
		topic(EventsTopic(service), map[string]string{"retention.ms": "-1"}),
		DeadLetters(service, partitions, replication),
	}
	if personal {
		topics = append(topics, topic(PersonalTopic(service), map[string]string{"cleanup.policy": "compact"}))
	}
	return topics
}

// Outcomes is the topic of outcomes.
func Outcomes(partitions, replication int) kafka.TopicSpec {
	return kafka.TopicSpec{Name: OutcomesTopic, Partitions: partitions, Replication: replication, Config: kept(OutcomeRetention)}
}

func kept(d time.Duration) map[string]string {
	return map[string]string{"retention.ms": strconv.FormatInt(d.Milliseconds(), 10)}
}

// DeadLetters is the topic of what a service, of either side, could not handle.
func DeadLetters(service string, partitions, replication int) kafka.TopicSpec {
	return kafka.TopicSpec{
		Name: DeadLettersTopic(service), Partitions: partitions, Replication: replication, Config: kept(DeadLetterRetention),
	}
}
