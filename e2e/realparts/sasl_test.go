//go:build unix

package realparts_test

import (
	"context"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/plain"

	"github.com/orderlane/orderlane/e2e/realparts"
)

func TestABrokerWithSASLLetsInWhoLogsInAndAllowsWhatACLsSay(t *testing.T) {
	broker := realparts.StartKafka(t, realparts.SASL(map[string]string{"orders": "secret"})...)
	create := func(user, password string) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		as := transport(t)
		as.SASL = plain.Mechanism{Username: user, Password: password}
		topic := realparts.Unique(t, "orders")
		client := &kafka.Client{Addr: kafka.TCP(broker.Brokers()...), Transport: as}
		answer, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{
			Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: 1, ReplicationFactor: 1}},
		})
		if err != nil {
			return err
		}
		return answer.Errors[topic]
	}
	if err := create(realparts.SASLAdmin, realparts.SASLPassword); err != nil {
		t.Errorf("the admin was refused: %v", err)
	}
	if err := create(realparts.SASLAdmin, "wrong"); err == nil {
		t.Error("a wrong password was let in")
	}
	if err := create("orders", "secret"); err == nil {
		t.Error("a user without ACLs created a topic")
	}
}
