package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"go.uber.org/goleak"

	"github.com/orderlane/orderlane/pkg/kafka"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

var oneTopic = []kafka.TopicSpec{{Name: "things", Partitions: 2}}

func start(t *testing.T, o Options) *Broker {
	t.Helper()
	o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	b, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// client speaks to a broker until the test ends, or until stop is called.
func client(t *testing.T, addr string) (c *kafkago.Client, stop func()) {
	tr := &kafkago.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &kafkago.Client{Addr: kafkago.TCP(addr), Timeout: 5 * time.Second, Transport: tr}, tr.CloseIdleConnections
}

func produce(t *testing.T, c *kafkago.Client, topic string, partition int, values ...string) {
	t.Helper()
	var recs []kafkago.Record
	for _, v := range values {
		recs = append(recs, kafkago.Record{Key: kafkago.NewBytes([]byte("k")), Value: kafkago.NewBytes([]byte(v))})
	}
	resp, err := c.Produce(t.Context(), &kafkago.ProduceRequest{
		Topic: topic, Partition: partition, RequiredAcks: kafkago.RequireAll, Records: kafkago.NewRecordReader(recs...),
	})
	if err = errors.Join(err, errorOf(resp)); err != nil {
		t.Fatal(err)
	}
}

func errorOf(r *kafkago.ProduceResponse) error {
	if r == nil {
		return nil
	}
	return r.Error
}

func offsets(t *testing.T, c *kafkago.Client, topic string, partition int) (first, next int64) {
	t.Helper()
	resp, err := c.ListOffsets(t.Context(), &kafkago.ListOffsetsRequest{Topics: map[string][]kafkago.OffsetRequest{
		topic: {kafkago.FirstOffsetOf(partition), kafkago.LastOffsetOf(partition)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	p := resp.Topics[topic][0]
	if p.Error != nil {
		t.Fatal(p.Error)
	}
	return p.FirstOffset, p.LastOffset
}

// values reads a partition from an offset to its end.
func values(t *testing.T, c *kafkago.Client, topic string, partition int, from int64) []string {
	t.Helper()
	_, next := offsets(t, c, topic, partition)
	var out []string
	for from < next {
		resp, err := c.Fetch(t.Context(), &kafkago.FetchRequest{Topic: topic, Partition: partition, Offset: from, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: time.Second})
		if err != nil || resp.Error != nil {
			t.Fatal(err, resp)
		}
		for {
			r, err := resp.Records.ReadRecord()
			if err != nil {
				break
			}
			if r.Offset < from {
				continue
			}
			v, _ := kafkago.ReadAll(r.Value)
			out = append(out, string(v))
			from = r.Offset + 1
		}
	}
	return out
}

func TestAnEmptyDirectoryIsServedAtOnce(t *testing.T) {
	var topics []kafka.TopicSpec
	for i := range 16 {
		topics = append(topics, kafka.TopicSpec{Name: fmt.Sprintf("topic-%d", i), Partitions: 8, Config: map[string]string{"retention.ms": "1000"}})
	}
	began := time.Now()
	b := start(t, Options{Dir: t.TempDir(), Topics: topics})
	took := time.Since(began)
	t.Logf("started in %v", took)
	if took > 10*time.Second { // some 30 ms alone; a busy machine takes longer, and who waits for the first maintenance a minute
		t.Errorf("it took %v", took)
	}
	c, _ := client(t, b.Addr())
	produce(t, c, "topic-3", 7, "a")
}

func TestRecordsAndTopicsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Options{Dir: dir, Topics: oneTopic})
	c, stop := client(t, b.Addr())
	produce(t, c, "things", 1, "a", "b", "c")
	stop()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	b = start(t, Options{Dir: dir, Topics: append(oneTopic, kafka.TopicSpec{Name: "more", Partitions: 1})})
	c, _ = client(t, b.Addr())
	if got := values(t, c, "things", 1, 0); strings.Join(got, "") != "abc" {
		t.Errorf("read %q", got)
	}
	produce(t, c, "more", 0, "new topics are created on an existing directory")
}

func TestAFixedAddressIsServedAgainAfterARestart(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Options{Dir: dir, Topics: oneTopic})
	addr := b.Addr()
	c, stop := client(t, addr)
	produce(t, c, "things", 0, "a")
	stop()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = start(t, Options{Dir: dir, Addr: addr, Topics: oneTopic})
	if b.Addr() != addr {
		t.Fatalf("serves %s, not %s", b.Addr(), addr)
	}
	c, _ = client(t, addr)
	produce(t, c, "things", 0, "b")
}

func TestASecondOpenerIsRefusedInOneLineThatNamesTheDirectory(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Options{Dir: dir})
	_, err := Start(t.Context(), Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("got %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, Options{Dir: dir})
}

func TestAnAddressInUseIsRefusedAndTheDirectoryGivenBack(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	_, err = Start(t.Context(), Options{Dir: dir, Addr: l.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Fatalf("got %v", err)
	}
	start(t, Options{Dir: dir})
}

func TestAnotherNumberOfPartitionsIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := start(t, Options{Dir: dir, Topics: oneTopic}).Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Dir: dir, Topics: []kafka.TopicSpec{{Name: "things", Partitions: 3}}})
	if err == nil || !strings.Contains(err.Error(), "things") {
		t.Fatalf("got %v", err)
	}
}

func TestATornEntryOfAStateLogIsCutOff(t *testing.T) {
	dir := t.TempDir()
	if err := start(t, Options{Dir: dir, Topics: oneTopic}).Close(); err != nil {
		t.Fatal(err)
	}
	groups := filepath.Join(dir, "groups.log")
	commit := func(addr string, offset int64) {
		c, stop := client(t, addr)
		defer stop()
		r, err := c.OffsetCommit(t.Context(), &kafkago.OffsetCommitRequest{GroupID: "g", GenerationID: -1, Topics: map[string][]kafkago.OffsetCommit{
			"things": {{Partition: 0, Offset: offset}},
		}})
		if err != nil || r.Topics["things"][0].Error != nil {
			t.Fatal(err, r)
		}
	}
	committed := func(addr string) int64 {
		c, stop := client(t, addr)
		defer stop()
		r, err := c.OffsetFetch(t.Context(), &kafkago.OffsetFetchRequest{GroupID: "g", Topics: map[string][]int{"things": {0}}})
		if err != nil {
			t.Fatal(err)
		}
		return r.Topics["things"][0].CommittedOffset
	}
	b := start(t, Options{Dir: dir})
	commit(b.Addr(), 5)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(groups, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("\x80\x00\x00\x00torn"); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()

	b = start(t, Options{Dir: dir})
	if got := committed(b.Addr()); got != 5 {
		t.Fatalf("offset %d before the torn entry", got)
	}
	commit(b.Addr(), 9)
	snapshot := copyDir(t, dir) // what kill -9 would leave
	b = start(t, Options{Dir: snapshot})
	if got := committed(b.Addr()); got != 9 {
		t.Errorf("offset %d after the torn entry", got)
	}
}

// copyDir copies a directory of a running broker, as kill -9 would leave it.
func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestWhatWasAcknowledgedSurvivesACrash(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Options{Dir: dir, Topics: oneTopic})
	c, _ := client(t, b.Addr())
	for i := range 50 {
		produce(t, c, "things", i%2, fmt.Sprint(i))
	}
	crashed := copyDir(t, dir)
	b = start(t, Options{Dir: crashed, Topics: oneTopic})
	c, _ = client(t, b.Addr())
	if got := len(values(t, c, "things", 0, 0)) + len(values(t, c, "things", 1, 0)); got != 50 {
		t.Errorf("%d of 50 records are left", got)
	}
}

func TestRetentionInTimeIsTurnedIntoRetentionInBytes(t *testing.T) {
	for _, c := range []struct {
		what    string
		in, out map[string]string
	}{
		{what: "nothing stated", in: nil, out: map[string]string{}},
		{what: "kept for ever", in: map[string]string{"retention.ms": "-1"}, out: map[string]string{}},
		{what: "by time", in: map[string]string{"retention.ms": "1000"}, out: map[string]string{"retention.bytes": "100000000"}},
		{what: "by size", in: map[string]string{"retention.bytes": "50000000", "retention.ms": "1"}, out: map[string]string{"retention.bytes": "50000000"}},
		{what: "dangerously small", in: map[string]string{"retention.bytes": "1"}, out: map[string]string{"retention.bytes": "8388608"}},
		{what: "unknown to the broker", in: map[string]string{"remote.storage.enable": "true"}, out: map[string]string{}},
	} {
		got := topicConfig(c.in, 100_000_000)
		if fmt.Sprint(got) != fmt.Sprint(c.out) {
			t.Errorf("%s: %v, want %v", c.what, got, c.out)
		}
	}
}

func TestDeletingAllRecordsDoesNotRestartThePartitionsOffsets(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Options{Dir: dir, Topics: oneTopic})
	c, _ := client(t, b.Addr())
	produce(t, c, "things", 0, "a", "b")
	produce(t, c, "things", 0, "c")
	deleteRecords(t, b.Addr(), "things", 0, -1)
	if first, next := offsets(t, c, "things", 0); first != 2 || next != 3 {
		t.Fatalf("holds %d to %d", first, next)
	}
	b = start(t, Options{Dir: copyDir(t, dir), Topics: oneTopic})
	c, _ = client(t, b.Addr())
	if _, next := offsets(t, c, "things", 0); next != 3 {
		t.Errorf("the next offset is %d", next)
	}
}

func TestATopicCreatedByAClientIsHeldToTheSameRules(t *testing.T) {
	b := start(t, Options{Dir: t.TempDir()})
	c, _ := client(t, b.Addr())
	r, err := c.CreateTopics(t.Context(), &kafkago.CreateTopicsRequest{Topics: []kafkago.TopicConfig{{
		Topic: "theirs", NumPartitions: 1, ReplicationFactor: 1,
		ConfigEntries: []kafkago.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: "1"}},
	}}})
	if err != nil || r.Errors["theirs"] != nil {
		t.Fatal(err, r)
	}
	produce(t, c, "theirs", 0, "a")
	b.cluster.ApplyRetention()
	if got := values(t, c, "theirs", 0, 0); len(got) != 1 {
		t.Errorf("read %q", got)
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, Options{Dir: t.TempDir(), Topics: oneTopic}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
