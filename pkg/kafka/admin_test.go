package kafka

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/orderlane/orderlane/e2e/realparts"
)

func newAdmin(t *testing.T, cfg Config) *Admin {
	t.Helper()
	a, err := NewAdmin(cfg)
	check(t, err)
	t.Cleanup(func() { check(t, a.Close()) })
	return a
}

func TestTopicsAreCreatedOnceAndTheirPartitionsChecked(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		a := newAdmin(t, cfg)
		name := realparts.Unique(t, "made")
		topics := []TopicSpec{
			{Name: name, Partitions: 3, Config: map[string]string{"cleanup.policy": "compact"}},
			{Name: name + "-two", Partitions: 1, Replication: 1},
		}
		for range 2 {
			check(t, a.EnsureTopics(t.Context(), topics))
		}
		held, err := a.Offsets(t.Context(), name)
		check(t, err)
		if len(held) != 3 || held[2] != (Range{0, 0}) {
			t.Errorf("the topic holds %v", held)
		}
		topics[0].Partitions = 4
		if err := a.EnsureTopics(t.Context(), topics); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v", err)
		}
	})
}

func TestOffsetsAndLagFollowTheRecords(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		a := newAdmin(t, cfg)
		topic := newTopic(t, cfg, 2)
		fill(t, cfg, topic, 10, 100)
		held, err := a.Offsets(t.Context(), topic)
		check(t, err)
		if held[0].Last+held[1].Last != 100 || held[0].First != 0 {
			t.Errorf("the topic holds %v", held)
		}
		gc := groupConfig(t, cfg, topic)
		lag, err := a.Lag(t.Context(), gc.Group, gc.Topics)
		check(t, err)
		if sum := lag[Partition{topic, 0}] + lag[Partition{topic, 1}]; sum != 100 || len(lag) != 2 {
			t.Errorf("a group that has read nothing lags by %v", lag)
		}
		l := newLedger(t)
		stop := runMember(t, gc, &owner{ledger: l, name: "only"}, ConsumeGroup)
		eventually(t, "all is delivered", func() bool { return l.delivered() == 100 })
		stop()
		lag, err = a.Lag(t.Context(), gc.Group, gc.Topics)
		check(t, err)
		if sum := lag[Partition{topic, 0}] + lag[Partition{topic, 1}]; sum != 0 {
			t.Errorf("a group that has read all lags by %v", lag)
		}
	})
}

func TestAnUnknownTopicHasNoOffsets(t *testing.T) {
	_, cfg := fakeBroker(t)
	if _, err := newAdmin(t, cfg).Offsets(t.Context(), "nowhere"); err == nil {
		t.Error("no error")
	}
}

func TestPingTellsWhetherABrokerAnswers(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) { check(t, newAdmin(t, cfg).Ping(t.Context())) })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := newAdmin(t, Config{Brokers: []string{"127.0.0.1:1"}}).Ping(ctx); err == nil {
		t.Error("nobody answers, and no error")
	}
}

// mixed fills a partition with three records, an aborted transaction, a committed one and its marker at the end.
func mixed(t *testing.T, cfg Config, topic string) (visible []string) {
	t.Helper()
	s := cfg.producer()
	s.Producer.Transaction.ID = realparts.Unique(t, "tx")
	s.Producer.Partitioner = sarama.NewManualPartitioner
	p, err := sarama.NewSyncProducer(cfg.Brokers, s)
	check(t, err)
	defer func() { check(t, p.Close()) }()
	tx := func(end func() error, values ...string) {
		check(t, p.BeginTxn())
		for _, v := range values {
			_, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(v)})
			check(t, err)
		}
		check(t, end())
	}
	tx(p.CommitTxn, "a", "b", "c")
	tx(p.AbortTxn, "never 1", "never 2")
	tx(p.CommitTxn, "d", "e")
	tx(p.AbortTxn, "never 3")
	return []string{"a", "b", "c", "d", "e"}
}

func TestARangeHoldsCommittedRecordsOnlyAndEndsAtMarkers(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		a := newAdmin(t, cfg)
		topic := newTopic(t, cfg, 1)
		want := mixed(t, cfg, topic)
		held, err := a.Offsets(t.Context(), topic)
		check(t, err)
		for _, to := range []int64{held[0].Last, 1 << 40} {
			var got []string
			check(t, a.ReadRange(t.Context(), Partition{topic, 0}, 0, to, func(r Record) error {
				got = append(got, string(r.Value))
				return nil
			}))
			if strings.Join(got, "") != strings.Join(want, "") {
				t.Errorf("up to %d: read %q, want %q", to, got, want)
			}
		}
		var got []string
		check(t, a.ReadRange(t.Context(), Partition{topic, 0}, 1, 3, func(r Record) error {
			got = append(got, string(r.Value))
			return nil
		}))
		if strings.Join(got, "") != "bc" {
			t.Errorf("from 1 to 2: read %q", got)
		}
	})
}

func TestARangeIsReadWholeWithHeadersAndEndsAtAnError(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		a := newAdmin(t, cfg)
		topic := newTopic(t, cfg, 1)
		fill(t, cfg, topic, 10, 20_000)
		next := int64(0)
		check(t, a.ReadRange(t.Context(), Partition{topic, 0}, 0, 20_000, func(r Record) error {
			if r.Offset != next || r.Header("ce_type") != "test" || len(r.Key) == 0 || !r.Time.Equal(testTime.Add(time.Duration(next)*time.Millisecond)) {
				t.Fatalf("at %d: %+v", next, r)
			}
			next++
			return nil
		}))
		if next != 20_000 {
			t.Errorf("read %d records", next)
		}
		enough := errors.New("enough")
		err := a.ReadRange(t.Context(), Partition{topic, 0}, 0, 20_000, func(r Record) error {
			if r.Offset == 5 {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			t.Errorf("got %v", err)
		}
	})
}

func TestARangeStartsWhereThePartitionDoesOnceRecordsAreDeleted(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		a := newAdmin(t, cfg)
		topic := newTopic(t, cfg, 1)
		fill(t, cfg, topic, 1, 10)
		check(t, a.DeleteRecords(t.Context(), Partition{topic, 0}, 7))
		var got []string
		check(t, a.ReadRange(t.Context(), Partition{topic, 0}, 2, 9, func(r Record) error {
			got = append(got, string(r.Value))
			return nil
		}))
		if strings.Join(got, "") != "78" {
			t.Errorf("read %q", got)
		}
		l := newLedger(t) // and so does a consumer whose offset is gone
		l.next[Partition{topic, 0}] = 3
		stop := runMember(t, groupConfig(t, cfg, topic), &owner{ledger: l, name: "only"}, ConsumeGroup)
		eventually(t, "what is left is delivered", func() bool { return l.delivered() == 3 })
		stop()
	})
}
