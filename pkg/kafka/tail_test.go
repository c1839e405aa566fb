package kafka

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/orderlane/orderlane/e2e/realparts"
)

// tailing collects what TailPartition reads.
type tailing struct {
	standing chan int64
	mu       sync.Mutex
	got      []string
}

func tailOf(t *testing.T, cfg Config, p Partition) (*tailing, func()) {
	t.Helper()
	r := &tailing{standing: make(chan int64, 10)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- TailPartition(ctx, cfg, p, func(o int64) { r.standing <- o }, func(rec Record) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.got = append(r.got, string(rec.Value))
		})
	}()
	stop := sync.OnceFunc(func() {
		cancel()
		check(t, <-done)
	})
	t.Cleanup(stop)
	return r, stop
}

func (r *tailing) read() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.got, " ")
}

func TestATailGetsEverythingAfterItStands(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		topic := newTopic(t, cfg, 2)
		p, err := NewProducer(cfg)
		check(t, err)
		defer func() { check(t, p.Close()) }()
		publish := func(partition int32, v string) {
			check(t, p.Publish(t.Context(), []Record{{Topic: topic, Partition: partition, Value: []byte(v), Time: testTime}}))
		}
		publish(1, "before")
		r, stop := tailOf(t, cfg, Partition{topic, 1})
		if at := <-r.standing; at != 1 {
			t.Errorf("it stands at %d", at)
		}
		publish(1, "one")
		publish(0, "elsewhere")
		publish(1, "two")
		eventually(t, "both records are read", func() bool { return r.read() == "one two" })
		stop()
	})
}

func TestATailDoesNotSeeAbortedRecords(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		topic := newTopic(t, cfg, 1)
		r, stop := tailOf(t, cfg, Partition{topic, 0})
		<-r.standing
		want := strings.Join(mixed(t, cfg, topic), " ")
		eventually(t, "the committed records are read", func() bool { return r.read() == want })
		stop()
	})
}

func TestATailKeepsItsPlaceWhenTheBrokerRestarts(t *testing.T) {
	dir := t.TempDir()
	start := func(port int) (*kfake.Cluster, Config) { return fakeBroker(t, kfake.DataDir(dir), kfake.Ports(port)) }
	c, cfg := start(0)
	var port int
	_, err := fmt.Sscanf(cfg.Brokers[0], "127.0.0.1:%d", &port)
	check(t, err)
	topic := realparts.Unique(t, "tail")
	makeTopic(t, cfg, topic, 1)
	fill(t, cfg, topic, 1, 3)
	r, stop := tailOf(t, cfg, Partition{topic, 0})
	<-r.standing
	p, err := NewProducer(cfg)
	check(t, err)
	check(t, p.Publish(t.Context(), numbered(topic, 1, 10, 11)))
	eventually(t, "the first record is read", func() bool { return r.read() == "10" })
	check(t, p.Close())
	c.Close()

	_, cfg = start(port)
	p, err = NewProducer(cfg)
	check(t, err)
	check(t, p.Publish(t.Context(), numbered(topic, 1, 11, 13)))
	check(t, p.Close())
	eventually(t, "the records after the restart are read", func() bool { return r.read() == "10 11 12" })
	stop()
	if len(r.standing) != 0 {
		t.Error("it stood up again")
	}
}
