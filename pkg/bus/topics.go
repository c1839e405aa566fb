package bus

import (
	"strconv"
	"strings"
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

// IsPersonal says whether a topic holds what is personal of streams.
func IsPersonal(topic string) bool { return strings.HasSuffix(topic, PersonalTopic("")) }

// DeadLettersTopic is where a service tells of messages that it could not handle.
func DeadLettersTopic(service string) string { return service + ".deadletters.v1" }

// TasksTopic is where a service's gateway takes its tasks.
func TasksTopic(service string) string { return service + ".tasks.v1" }

// Retention of the topics, unless RetainOutcomes says otherwise. Events are kept for ever.
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

// Tasks is the topic of the tasks of a service's gateway. They may carry what is personal, and
// are kept as long as commands.
func Tasks(service string, partitions, replication int) kafka.TopicSpec {
	return kafka.TopicSpec{Name: TasksTopic(service), Partitions: partitions, Replication: replication, Config: kept(CommandRetention)}
}

// Outcomes is the topic of outcomes.
func Outcomes(partitions, replication int) kafka.TopicSpec {
	return kafka.TopicSpec{Name: OutcomesTopic, Partitions: partitions, Replication: replication, Config: kept(OutcomeRetention)}
}

// RetainOutcomes sets how long outcomes are kept on their topic. Commands and tasks, which carry
// personal data, are kept for half of that at the most, so that none is delivered again
// after its outcome was forgotten.
func RetainOutcomes(topics []kafka.TopicSpec, d time.Duration) {
	for i := range topics {
		switch name := topics[i].Name; {
		case name == OutcomesTopic:
			topics[i].Config = kept(d)
		case name == CommandsTopic(serviceOf(name)), name == TasksTopic(serviceOf(name)):
			topics[i].Config = kept(min(CommandRetention, d/2))
		}
	}
}

// serviceOf is the first part of a topic's name.
func serviceOf(topic string) string {
	service, _, _ := strings.Cut(topic, ".")
	return service
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
