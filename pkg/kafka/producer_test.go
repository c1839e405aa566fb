package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/orderlane/orderlane/e2e/realparts"
)

// producers are the three kinds, by name.
var producers = map[string]func(*testing.T, Config) (Producer, error){
	"idempotent": func(_ *testing.T, cfg Config) (Producer, error) { return NewProducer(cfg) },
	"ordered":    func(_ *testing.T, cfg Config) (Producer, error) { return NewOrderedProducer(cfg) },
	"transactional": func(t *testing.T, cfg Config) (Producer, error) {
		return NewTransactionalProducer(cfg, realparts.Unique(t, "txn"))
	},
}

func producerOf(t *testing.T, cfg Config, kind string) Producer {
	t.Helper()
	p, err := producers[kind](t, cfg)
	check(t, err)
	t.Cleanup(func() { check(t, p.Close()) })
	return p
}

func eachProducer(t *testing.T, test func(t *testing.T, kind string)) {
	for kind := range producers {
		t.Run(kind, func(t *testing.T) { test(t, kind) })
	}
}

// values are what is in a partition, as numbers, without records that end a test.
func values(t *testing.T, cfg Config, topic string, partition int32) []int {
	t.Helper()
	var got []int
	for _, m := range read(t, cfg, topic, partition) {
		i, err := strconv.Atoi(string(m.Value))
		if err != nil {
			continue
		}
		got = append(got, i)
	}
	return got
}

// once fails unless the values 0..count-1 of the topic are there once, in order per partition.
func once(t *testing.T, cfg Config, topic string, partitions int32, count int) {
	t.Helper()
	n := 0
	for p := range partitions {
		last := -1
		for _, v := range values(t, cfg, topic, p) {
			if v <= last {
				t.Fatalf("partition %d: %d after %d", p, v, last)
			}
			last = v
			n++
		}
	}
	if n != count {
		t.Errorf("%d records on the topic, %d were published", n, count)
	}
}

func TestEveryProducerWritesWholeBatchesOnceAndInOrder(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		eachProducer(t, func(t *testing.T, kind string) {
			topic := newTopic(t, cfg, 3)
			p := producerOf(t, cfg, kind)
			for from := 0; from < 3000; from += 500 {
				check(t, p.Publish(t.Context(), numbered(topic, 40, from, from+500)))
			}
			check(t, p.Publish(t.Context(), nil))
			once(t, cfg, topic, 3, 3000)
			m := read(t, cfg, topic, 0)[0]
			i, _ := strconv.Atoi(string(m.Value))
			if want := testTime.Add(time.Duration(i) * time.Millisecond); !m.Timestamp.Equal(want) {
				t.Errorf("record %d is of %v, not %v", i, m.Timestamp, want)
			}
			if len(m.Headers) != 3 || string(m.Headers[0].Key) != "ce_id" || string(m.Headers[0].Value) != fmt.Sprintf("id-%d", i) {
				t.Errorf("headers of record %d: %v", i, m.Headers)
			}
		})
	})
}

func TestEveryProducerPutsARecordWhereItSaysOrWhereItsKeyBelongs(t *testing.T) {
	_, cfg := fakeBroker(t)
	topic := newTopic(t, cfg, 5)
	hash := sarama.NewHashPartitioner(topic)
	eachProducer(t, func(t *testing.T, kind string) {
		p := producerOf(t, cfg, kind)
		var keys [][]byte
		for i := range 20 {
			key := []byte(realparts.Unique(t, "key"))
			keys = append(keys, key)
			check(t, p.Publish(t.Context(), []Record{
				{Topic: topic, Partition: AnyPartition, Key: key, Value: []byte("by key"), Time: testTime},
				{Topic: topic, Partition: int32(i % 5), Key: key, Value: nil, Time: testTime},
			}))
		}
		var all [5][]*sarama.ConsumerMessage
		for i := range all {
			all[i] = read(t, cfg, topic, int32(i))
		}
		for i, key := range keys {
			byKey, err := hash.Partition(&sarama.ProducerMessage{Key: sarama.ByteEncoder(key)}, 5)
			check(t, err)
			if !has(all[byKey], key, "by key") || !has(all[i%5], key, "") {
				t.Fatalf("key %s is not on partition %d, or its tombstone not on %d", key, byKey, i%5)
			}
		}
	})
}

func has(all []*sarama.ConsumerMessage, key []byte, value string) bool {
	for _, m := range all {
		if string(m.Key) == string(key) && string(m.Value) == value && (value == "") == (m.Value == nil) {
			return true
		}
	}
	return false
}

func TestEveryProducerServesConcurrentCallers(t *testing.T) {
	_, cfg := fakeBroker(t)
	eachProducer(t, func(t *testing.T, kind string) {
		topic := newTopic(t, cfg, 3)
		p := producerOf(t, cfg, kind)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 20 {
					if err := p.Publish(t.Context(), numbered(topic, 7, (w*20+i)*5, (w*20+i+1)*5)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		n := 0
		for i := range int32(3) {
			n += len(values(t, cfg, topic, i))
		}
		if n != 800 {
			t.Errorf("%d records of 800", n)
		}
	})
}

func TestEveryProducerRidesOutPassingErrorsWithoutRepeats(t *testing.T) {
	c, cfg := fakeBroker(t)
	eachProducer(t, func(t *testing.T, kind string) {
		topic := newTopic(t, cfg, 2)
		p := producerOf(t, cfg, kind)
		for i, e := range []*kerr.Error{
			kerr.NotLeaderForPartition,
			kerr.NotEnoughReplicas,
			kerr.RequestTimedOut, // written, and the answer is lost
			kerr.NotEnoughReplicasAfterAppend,
		} {
			f := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: e, Count: 2})
			check(t, p.Publish(t.Context(), numbered(topic, 10, i*100, i*100+100)))
			if f.Hits() < 2 {
				t.Errorf("%v hit %d times", e, f.Hits())
			}
		}
		once(t, cfg, topic, 2, 400)
	})
}

// bigRecords are records of which only a few fit into one request.
func bigRecords(topic string, count int) []Record {
	recs := numbered(topic, 1, 0, count)
	for i := range recs {
		recs[i].Partition = 0
		recs[i].Headers = []Header{{"padding", make([]byte, 300_000)}}
	}
	return recs
}

func TestAnOrderedProducerWritesNothingAfterARecordThatFailed(t *testing.T) {
	c, cfg := fakeBroker(t)
	topic := newTopic(t, cfg, 1)
	p := producerOf(t, cfg, "ordered")
	// The second request of this batch is refused for good; the third must not be sent.
	requests := make(map[kmsg.Request]int)
	f := c.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.InvalidRecord,
		When: func(r kmsg.Request) bool { // asked several times per request
			if requests[r] == 0 {
				requests[r] = len(requests) + 1
			}
			return requests[r] == 2
		},
	})
	err := p.Publish(t.Context(), bigRecords(topic, 9))
	if err == nil || f.Hits() != 1 {
		t.Fatalf("error %v, %d hits", err, f.Hits())
	}
	got := values(t, cfg, topic, 0)
	if len(got) == 0 || len(got) >= 6 || got[len(got)-1] != len(got)-1 {
		t.Errorf("on the topic after the failure: %v", got)
	}
	check(t, p.Publish(t.Context(), bigRecords(topic, 9))) // the relay sends all of it again
	first := -1
	for _, v := range values(t, cfg, topic, 0) {
		if v > first+1 {
			t.Fatalf("%d for the first time after %d", v, first)
		}
		first = max(first, v)
	}
	if first != 8 {
		t.Errorf("the last one is %d", first)
	}
}

func TestAnOrderedProducerGivesUpWhenItsContextEnds(t *testing.T) {
	c, cfg := fakeBroker(t)
	topic := newTopic(t, cfg, 1)
	p := producerOf(t, cfg, "ordered")
	f := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.NotEnoughReplicas, Count: -1})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { failed <- p.Publish(ctx, numbered(topic, 1, 0, 1)) }()
	eventually(t, "several attempts", func() bool { return f.Hits() > 2 })
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	f.Remove()
	check(t, p.Publish(t.Context(), numbered(topic, 1, 0, 1)))
	once(t, cfg, topic, 1, 1)
}

func TestAfterABatchThatMayBeWrittenTheNextIsNotTakenForItsRepeat(t *testing.T) {
	c, cfg := fakeBroker(t)
	eachProducer(t, func(t *testing.T, kind string) {
		topic := newTopic(t, cfg, 1)
		p := producerOf(t, cfg, kind)
		check(t, p.Publish(t.Context(), numbered(topic, 1, 0, 10)))
		f := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.NotEnoughReplicasAfterAppend, Count: -1})
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() { failed <- p.Publish(ctx, numbered(topic, 1, 10, 20)) }()
		eventually(t, "an attempt", func() bool { return f.Hits() > 0 })
		cancel()
		if err := <-failed; err == nil {
			t.Error("no error")
		}
		f.Remove()
		check(t, p.Publish(t.Context(), numbered(topic, 1, 20, 30)))
		got := values(t, cfg, topic, 0)
		if len(got) < 20 || got[len(got)-10] != 20 || got[len(got)-1] != 29 {
			t.Errorf("on the topic: %v", got)
		}
		if kind == "transactional" && len(got) != 20 {
			t.Errorf("of the aborted transaction: %v", got)
		}
	})
}

func TestAnOrderedProducerStartsOverWhenTheBrokerHasForgottenIt(t *testing.T) {
	c, cfg := fakeBroker(t)
	topic := newTopic(t, cfg, 1)
	p := producerOf(t, cfg, "ordered")
	check(t, p.Publish(t.Context(), numbered(topic, 1, 0, 10)))
	for i, e := range []*kerr.Error{kerr.UnknownProducerID, kerr.OutOfOrderSequenceNumber} {
		c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: e})
		check(t, p.Publish(t.Context(), numbered(topic, 1, 10+i*10, 20+i*10)))
	}
	once(t, cfg, topic, 1, 30)
}

func TestATooLargeRecordIsRefusedBeforeAnythingIsSent(t *testing.T) {
	_, cfg := fakeBroker(t)
	eachProducer(t, func(t *testing.T, kind string) {
		topic := newTopic(t, cfg, 1)
		p := producerOf(t, cfg, kind)
		recs := numbered(topic, 1, 0, 1)
		recs[0].Value = make([]byte, MaxMessageBytes+1)
		if err := p.Publish(t.Context(), recs); !IsTooLarge(err) {
			t.Error(err)
		}
		check(t, p.Publish(t.Context(), numbered(topic, 1, 0, 1)))
		once(t, cfg, topic, 1, 1)
	})
}

func TestPublishersTellAMessageThatIsTooLargeFromABrokerThatIsAway(t *testing.T) {
	c, cfg := fakeBroker(t)
	topic := newTopic(t, cfg, 1)
	shared, err := NewPublisher(cfg)
	check(t, err)
	gathering, err := NewGatheringPublisher(cfg, time.Now)
	check(t, err)
	for name, p := range map[string]message.Publisher{"Watermill's": shared, "gathering": gathering} {
		if err := p.Publish(topic, message.NewMessage("1", make([]byte, MaxMessageBytes+1))); !IsTooLarge(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.MessageTooLarge}) // of all that went out together
	if err := gathering.Publish(topic, message.NewMessage("2", nil)); err == nil || IsTooLarge(err) {
		t.Errorf("what a broker refuses: %v", err)
	}
	check(t, errors.Join(shared.Close(), gathering.Close()))
}

func TestATransactionIsAbortedWhenAPartOfItFails(t *testing.T) {
	for name, e := range map[string]*kerr.Error{"refused": kerr.InvalidRecord, "no right": kerr.TopicAuthorizationFailed} {
		t.Run(name, func(t *testing.T) {
			c, cfg := fakeBroker(t)
			topic := newTopic(t, cfg, 2)
			p := producerOf(t, cfg, "transactional")
			check(t, p.Publish(t.Context(), numbered(topic, 10, 0, 50)))
			f := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Partitions: []int32{1}, Err: e})
			if err := p.Publish(t.Context(), numbered(topic, 10, 50, 100)); err == nil || errors.Is(err, ErrUnusable) {
				t.Fatalf("error %v", err)
			}
			if f.Hits() != 1 {
				t.Errorf("%d hits", f.Hits())
			}
			once(t, cfg, topic, 2, 50) // nothing of the second
			check(t, p.Publish(t.Context(), numbered(topic, 10, 50, 100)))
			once(t, cfg, topic, 2, 100)
		})
	}
}

func TestASecondTransactionalProducerFencesTheFirst(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		topic, id := newTopic(t, cfg, 2), realparts.Unique(t, "relay")
		old, err := NewTransactionalProducer(cfg, id)
		check(t, err)
		defer func() { check(t, old.Close()) }()
		check(t, old.Publish(t.Context(), numbered(topic, 10, 0, 10)))
		successor, err := NewTransactionalProducer(cfg, id)
		check(t, err)
		defer func() { check(t, successor.Close()) }()
		check(t, successor.Publish(t.Context(), numbered(topic, 10, 10, 20)))
		for range 3 {
			if err := old.Publish(t.Context(), numbered(topic, 10, 10, 20)); !errors.Is(err, ErrFenced) {
				t.Errorf("error of the old one: %v", err)
			}
		}
		check(t, successor.Publish(t.Context(), numbered(topic, 10, 20, 30)))
		once(t, cfg, topic, 2, 30)
	})
}

func TestPublishingGoesOnThroughABrokerRestart(t *testing.T) {
	broker := realparts.StartKafka(t)
	cfg := quick(broker.Brokers())
	eachProducer(t, func(t *testing.T, kind string) {
		const size = 20
		topic := newTopic(t, cfg, 4)
		p := producerOf(t, cfg, kind)
		var sent atomic.Int32
		stop, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					ended <- nil
					return
				default:
				}
				if err := p.Publish(context.Background(), numbered(topic, 16, i*size, (i+1)*size)); err != nil {
					ended <- fmt.Errorf("batch %d: %w", i, err)
					return
				}
				sent.Add(1)
			}
		}()
		eventually(t, "batches before", func() bool { return sent.Load() > 10 })
		broker.Kill()
		broker.Start()
		before := sent.Load()
		eventually(t, "batches after", func() bool { return sent.Load() > before+10 || len(ended) > 0 })
		close(stop)
		check(t, <-ended)
		once(t, cfg, topic, 4, int(sent.Load())*size)
	})
}

// publishers are the two kinds, by name.
var publishers = map[string]func(Config) (message.Publisher, error){
	"single":    NewPublisher,
	"gathering": func(cfg Config) (message.Publisher, error) { return NewGatheringPublisher(cfg, time.Now) },
}

func eachPublisher(t *testing.T, cfg Config, test func(*testing.T, message.Publisher)) {
	for kind, maker := range publishers {
		t.Run(kind, func(t *testing.T) {
			p, err := maker(cfg)
			check(t, err)
			test(t, p)
		})
	}
}

func TestAPublisherSendsMetadataAsHeadersAndItsKeyAsKey(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		eachPublisher(t, cfg, func(t *testing.T, p message.Publisher) {
			began := time.Now().Add(-time.Millisecond) // Kafka keeps milliseconds
			topic := newTopic(t, cfg, 3)
			m := message.NewMessage("the-id", []byte("payload"))
			m.Metadata = message.Metadata{MetadataKey: "order-1", "ce_type": "a.type", "other": "x"}
			check(t, p.Publish(topic, m))
			check(t, p.Close())
			byKey, err := sarama.NewHashPartitioner(topic).Partition(&sarama.ProducerMessage{Key: sarama.StringEncoder("order-1")}, 3)
			check(t, err)
			all := read(t, cfg, topic, byKey)
			if len(all) != 1 || string(all[0].Key) != "order-1" || string(all[0].Value) != "payload" {
				t.Fatalf("on the topic: %v", all)
			}
			if at := all[0].Timestamp; at.Before(began) || at.After(time.Now()) {
				t.Errorf("produced at %v", at)
			}
			headers := make(map[string]string)
			for _, h := range all[0].Headers {
				headers[string(h.Key)] = string(h.Value)
			}
			if len(headers) != 3 || headers["ce_id"] != "the-id" || headers["ce_type"] != "a.type" || headers["other"] != "x" {
				t.Errorf("headers %v", headers)
			}
		})
	})
}

func TestAPublisherKeepsEveryCallersOrderAndEndsWithNothingLeft(t *testing.T) {
	_, cfg := fakeBroker(t)
	eachPublisher(t, cfg, func(t *testing.T, p message.Publisher) {
		topic := newTopic(t, cfg, 3)
		const callers, each = 16, 25
		var wg sync.WaitGroup
		for c := range callers {
			wg.Go(func() {
				for i := range each {
					m := message.NewMessage("id", []byte(strconv.Itoa(c*each+i)))
					m.Metadata = message.Metadata{MetadataKey: strconv.Itoa(c)}
					if err := p.Publish(topic, m); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		check(t, p.Close())
		if err := p.Publish(topic, message.NewMessage("late", nil)); err == nil {
			t.Error("a closed publisher publishes")
		}
		last := make(map[int]int)
		for id := range int32(3) {
			for _, v := range values(t, cfg, topic, id) {
				if v != last[v/each]+v/each*each {
					t.Fatalf("caller %d: %d comes where %d was due", v/each, v%each, last[v/each])
				}
				last[v/each]++
			}
		}
		for c := range callers {
			if last[c] != each {
				t.Errorf("caller %d: %d messages of %d", c, last[c], each)
			}
		}
	})
}

func TestCallsOfAGatheringPublisherShareRequests(t *testing.T) {
	c, cfg := fakeBroker(t)
	topic := newTopic(t, cfg, 8)
	p, err := NewGatheringPublisher(cfg, time.Now)
	check(t, err)
	var requests atomic.Int64
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		requests.Add(1)
		return nil, nil, false
	})
	const callers, each = 64, 8
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				if err := p.Publish(topic, message.NewMessage("id", nil)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	check(t, p.Close())
	if n := requests.Load(); n < each || n > callers*each/8 {
		t.Errorf("%d messages went out in %d requests", callers*each, n)
	}
}

func TestAGatheringPublisherSharesErrorsToo(t *testing.T) {
	c, cfg := fakeBroker(t)
	topic := newTopic(t, cfg, 2)
	p, err := NewGatheringPublisher(cfg, time.Now)
	check(t, err)
	defer func() { check(t, p.Close()) }()
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.InvalidRecord, Count: 1})
	if err := p.Publish(topic, message.NewMessage("id", nil)); err == nil {
		t.Error("the broker has refused, and the caller is not told")
	}
	check(t, p.Publish(topic, message.NewMessage("id", nil)))
}
