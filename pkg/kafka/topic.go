package kafka

// TopicSpec declares a topic: what EnsureTopics creates, and what an embedded broker starts with.
type TopicSpec struct {
	Name string
	// Partitions is fixed for the life of the topic, since the partition of a key, and with
	// it the order of a stream, depends on their number.
	Partitions int
	// Replication is the number of copies; 0 leaves it to the broker's default.
	Replication int
	// Config are topic settings by Kafka's names, such as cleanup.policy or retention.ms.
	Config map[string]string
}
