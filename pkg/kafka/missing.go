package kafka

import (
	"context"
	"errors"
	"fmt"

	kafkago "github.com/segmentio/kafka-go"
)

// MissingTopics returns the names of those topics that do not exist.
func (a *Admin) MissingTopics(ctx context.Context, topics []TopicSpec) ([]string, error) {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Name
	}
	resp, err := a.client.Metadata(ctx, &kafkago.MetadataRequest{Topics: names})
	if err != nil {
		return nil, fmt.Errorf("kafka: look up topics: %w", err)
	}
	var missing []string
	for _, t := range resp.Topics {
		if errors.Is(t.Error, kafkago.UnknownTopicOrPartition) {
			missing = append(missing, t.Name)
		}
	}
	return missing, nil
}
