package count_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/orderlane/orderlane/bench/count"
	"github.com/orderlane/orderlane/pkg/embedded"
	"github.com/orderlane/orderlane/pkg/kafka"
)

func TestVersionsOnATopicAreCountedAndMustFollowEachOther(t *testing.T) {
	topics := []kafka.TopicSpec{{Name: "whole", Partitions: 2}, {Name: "holed", Partitions: 1}}
	broker, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), Topics: topics})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	producer, err := kafka.NewProducer(kafka.Config{Brokers: []string{broker.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	publish := func(topic string, versions ...string) {
		t.Helper()
		for _, v := range versions {
			key, version, _ := strings.Cut(v, "@")
			r := kafka.Record{Topic: topic, Partition: kafka.AnyPartition, Key: []byte(key), Value: []byte(version)}
			if err := producer.Publish(t.Context(), []kafka.Record{r}); err != nil {
				t.Fatal(err)
			}
		}
	}
	version := func(r *kafka.Record) (int64, error) { return strconv.ParseInt(string(r.Value), 10, 64) }

	publish("whole", "a@1", "b@1", "a@2", "a@1", "a@2", "a@3")
	m, err := count.Topic(t.Context(), []string{broker.Addr()}, "whole", version)
	if want := (count.Messages{Records: 6, Keys: 2, Repeats: 2}); m != want || err != nil {
		t.Fatalf("counted %+v: %v", m, err)
	}
	publish("holed", "a@1", "a@3")
	if _, err := count.Topic(t.Context(), []string{broker.Addr()}, "holed", version); err == nil {
		t.Fatal("a version is missing, and nobody says so")
	}
}
