package memkafka_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/turn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

var p0, p1 = kafka.Partition{Topic: "things", ID: 0}, kafka.Partition{Topic: "things", ID: 1}

func broker() *memkafka.Broker {
	return memkafka.New(func() time.Time { return noon }, kafka.TopicSpec{Name: "things", Partitions: 2})
}

func rec(partition int32, key, value string) kafka.Record {
	return kafka.Record{Topic: "things", Partition: partition, Key: []byte(key), Value: []byte(value), Headers: []kafka.Header{{Key: "ce_id", Value: []byte("id-" + value)}}}
}

func values(recs []kafka.Record) string {
	var out []string
	for _, r := range recs {
		out = append(out, string(r.Value))
	}
	return strings.Join(out, " ")
}

func publish(t *testing.T, p kafka.Producer, recs ...kafka.Record) {
	t.Helper()
	if err := p.Publish(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
}

func TestAKeyGoesToThePartitionThatSaramaChooses(t *testing.T) {
	theirs := sarama.NewHashPartitioner("any")
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "key")
		n := rapid.Int32Range(1, 64).Draw(t, "partitions")
		want, err := theirs.Partition(&sarama.ProducerMessage{Key: sarama.ByteEncoder(key)}, n)
		if err != nil {
			t.Fatal(err)
		}
		if got := kafka.PartitionOf(key, n); got != want {
			t.Errorf("%d, Sarama chooses %d", got, want)
		}
	})
}

func TestRecordsKeepTheirOrderAndGetOffsets(t *testing.T) {
	b := broker()
	p := b.Producer()
	publish(t, p, rec(0, "k", "a"), rec(1, "k", "x"), rec(0, "k", "b"))
	publish(t, p, rec(kafka.AnyPartition, "k", "c"))
	home := kafka.PartitionOf([]byte("k"), 2)
	if got := b.Records(kafka.Partition{Topic: "things", ID: home}, 0, -1); string(got[len(got)-1].Value) != "c" {
		t.Errorf("partition %d holds %s", home, values(got))
	}
	got := b.Records(p0, 1, 1)
	if values(got) != "b" || got[0].Offset != 1 || !got[0].Time.Equal(noon) {
		t.Errorf("got %+v", got)
	}
	if err := b.DeleteRecords(t.Context(), p0, 1); err != nil {
		t.Fatal(err)
	}
	if held, _ := b.Offsets(t.Context(), "things"); held[0].First != 1 || held[0].Last < 2 {
		t.Errorf("it holds %v", held)
	}
	if err := p.Publish(t.Context(), []kafka.Record{{Topic: "nowhere", Partition: -1}}); err == nil {
		t.Error("an unknown topic is no error")
	}
}

func TestWhatIsStoredDoesNotChangeWithTheCallersBuffer(t *testing.T) {
	b := broker()
	r := rec(0, "k", "a")
	publish(t, b.Producer(), r)
	r.Value[0] = 'z'
	if got := values(b.Records(p0, 0, -1)); got != "a" {
		t.Errorf("got %q", got)
	}
}

func TestFaultsLoseRecordsOrAnswers(t *testing.T) {
	b := broker()
	boom := errors.New("boom")
	for _, c := range []struct {
		what    string
		p       kafka.Producer
		written int
		want    string
	}{
		{"nothing was written", b.Producer(), 0, ""},
		{"a part was written", b.Producer(), 1, "1"},
		{"the answer was lost", b.Producer(), -1, "1 2"},
		{"a part of a transaction", b.Transactional("t"), 1, ""},
		{"the answer of a transaction was lost", b.Transactional("u"), -1, "1 2"},
	} {
		held, _ := b.Offsets(t.Context(), "things")
		b.FailNext(boom, c.written)
		if err := c.p.Publish(t.Context(), []kafka.Record{rec(0, "k", "1"), rec(0, "k", "2")}); !errors.Is(err, boom) {
			t.Errorf("%s: got %v", c.what, err)
		}
		if got := values(b.Records(p0, held[0].Last, -1)); got != c.want {
			t.Errorf("%s: %q was written, want %q", c.what, got, c.want)
		}
	}
	publish(t, b.Producer(), rec(1, "k", "fine again"))
}

func TestANewTransactionalProducerFencesTheOldOne(t *testing.T) {
	b := broker()
	old, other := b.Transactional("relay"), b.Transactional("another")
	publish(t, old, rec(0, "k", "a"))
	publish(t, b.Transactional("relay"), rec(0, "k", "b"))
	if err := old.Publish(t.Context(), []kafka.Record{rec(0, "k", "c")}); !errors.Is(err, kafka.ErrFenced) {
		t.Errorf("got %v", err)
	}
	publish(t, other, rec(0, "k", "d"))
}

// handler keeps checkpoints and can fail.
type handler struct {
	next    map[kafka.Partition]int64
	got     []string
	fail    error
	g       kafka.Generation
	revoked int
	ctx     context.Context
}

func (h *handler) Assigned(ctx context.Context, g kafka.Generation, _ []kafka.Partition) (map[kafka.Partition]int64, error) {
	h.g, h.ctx = g, ctx
	return h.next, nil
}

func (h *handler) Deliver(_ context.Context, recs []kafka.Record) error {
	if h.fail != nil {
		return h.fail
	}
	h.got = append(h.got, values(recs))
	p := kafka.Partition{Topic: recs[0].Topic, ID: recs[0].Partition}
	h.next[p] = recs[len(recs)-1].Offset + 1
	h.g.Mark(p, h.next[p])
	return nil
}

func (h *handler) Revoked([]kafka.Partition) { h.revoked++ }

func TestABatchHandlerIsDrivenStepByStep(t *testing.T) {
	b := broker()
	publish(t, b.Producer(), rec(0, "k", "a"), rec(0, "k", "b"), rec(0, "k", "c"), rec(1, "k", "x"))
	h := &handler{next: map[kafka.Partition]int64{p0: 1}}
	c := b.Consumer(h)
	step := func(p kafka.Partition, limit, want int) {
		t.Helper()
		if n, err := c.Step(p, limit); n != want || (err != nil) != (h.fail != nil) {
			t.Errorf("stepped %d, %v; want %d", n, err, want)
		}
	}
	if _, err := c.Step(p0, 1); err == nil {
		t.Error("nothing is assigned, and it stepped")
	}
	if err := c.Assign(t.Context(), p0, p1); err != nil {
		t.Fatal(err)
	}
	step(p0, 1, 1)
	h.fail = errors.New("later")
	step(p0, 10, 0)
	h.fail = nil
	step(p0, 10, 1)
	step(p0, 10, 0)
	if n, err := c.StepAny(10); n != 1 || err != nil {
		t.Errorf("stepped %d, %v", n, err)
	}
	if got := fmt.Sprint(h.got); got != "[b c x]" {
		t.Errorf("delivered %s", got)
	}
	c.Revoke()
	if h.ctx.Err() == nil || h.revoked != 1 || c.Marked(p0) != 3 {
		t.Errorf("context %v, revoked %d, marked %d", h.ctx.Err(), h.revoked, c.Marked(p0))
	}
	h.g.Mark(p0, 99) // of a generation that has ended
	if c.Marked(p0) != 3 {
		t.Error("an old generation has marked")
	}
}

func TestMessagesAreHandedOutWithTurnsAndCommittedWithoutGaps(t *testing.T) {
	b := broker()
	publish(t, b.Producer(), rec(0, "k", "a"), rec(0, "k", "b"), rec(0, "other", "c"), rec(0, "k", "d"))
	s := b.Subscriber(3)
	defer s.Close()
	var msgs []*message.Message
	for m, ok := s.Next(p0); ok; m, ok = s.Next(p0) {
		msgs = append(msgs, m)
	}
	if len(msgs) != 3 {
		t.Fatalf("%d messages fit the window of 3", len(msgs))
	}
	if d, ok := kafka.DeliveryFrom(msgs[1].Context()); !ok || d.Offset != 1 || string(d.Key) != "k" || msgs[1].UUID != "id-b" {
		t.Errorf("delivery %+v of %s", d, msgs[1].UUID)
	}
	var order []string
	for _, i := range []int{2, 1, 0} {
		turn.FromContext(msgs[i].Context()).Take(func() { order = append(order, string(msgs[i].Payload)) })
	}
	if got := fmt.Sprint(order); got != "[c a b]" {
		t.Errorf("turns went %s", got)
	}
	msgs[1].Ack()
	msgs[2].Ack()
	s.Settle()
	if s.Committed(p0) != 0 || s.InFlight(p0) != 3 {
		t.Errorf("committed %d with the first not done", s.Committed(p0))
	}
	msgs[0].Nack()
	again := s.Settle()
	if len(again) != 1 || string(again[0].Payload) != "a" {
		t.Fatalf("delivered again: %v", again)
	}
	again[0].Ack()
	s.Settle()
	if s.Committed(p0) != 3 || s.InFlight(p0) != 0 {
		t.Errorf("committed %d, in flight %d", s.Committed(p0), s.InFlight(p0))
	}
}

func TestACrashGoesOnFromTheCommittedOffset(t *testing.T) {
	b := broker()
	publish(t, b.Producer(), rec(0, "k", "a"), rec(0, "k", "b"))
	s := b.Subscriber(0)
	defer s.Close()
	first, _ := s.Next(p0)
	first.Ack()
	s.Settle()
	lost, _ := s.Next(p0)
	s.Crash()
	if lost.Context().Err() == nil {
		t.Error("the context of a lost message lives on")
	}
	if m, ok := s.Next(p0); !ok || string(m.Payload) != "b" {
		t.Errorf("goes on with %v", m)
	}
}

func TestAWatermillRouterCanConsume(t *testing.T) {
	b := broker()
	s := b.Subscriber(0)
	router, err := message.NewRouter(message.RouterConfig{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	handled := make(chan string, 10)
	router.AddConsumerHandler("h", "things", s, func(m *message.Message) error {
		handled <- string(m.Payload)
		return nil
	})
	done := make(chan error, 1)
	go func() { done <- router.Run(context.Background()) }()
	<-router.Running()
	m := message.NewMessage("1", []byte("hello"))
	m.Metadata[kafka.MetadataKey], m.Metadata["ce_type"] = "k", "greeting"
	if err := b.Publisher().Publish("things", m); err != nil {
		t.Fatal(err)
	}
	home := kafka.Partition{Topic: "things", ID: kafka.PartitionOf([]byte("k"), 2)}
	if got := b.Records(home, 0, -1); len(got) != 1 || got[0].Header("ce_id") != "1" || got[0].Header("ce_type") != "greeting" || len(got[0].Headers) != 2 {
		t.Fatalf("published %+v", got)
	}
	if !s.Step(home) || s.Step(home) {
		t.Error("there is one message")
	}
	if got := <-handled; got != "hello" {
		t.Errorf("handled %q", got)
	}
	if err := router.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	s.Settle()
	if s.Committed(home) != 1 {
		t.Errorf("committed %d", s.Committed(home))
	}
}
