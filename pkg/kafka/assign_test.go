package kafka

import (
	"context"
	"strings"
	"sync"
	"testing"
)

// reader notes what it is delivered, from the start of each partition.
type reader struct {
	mu  sync.Mutex
	got []string
}

func (*reader) Assigned(context.Context, Generation, []Partition) (map[Partition]int64, error) {
	return nil, nil
}

func (r *reader) Deliver(_ context.Context, recs []Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range recs {
		r.got = append(r.got, string(recs[i].Value))
	}
	return nil
}

func (*reader) Revoked([]Partition) {}

func (r *reader) read() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.got, " ")
}

func TestAConsumerWithoutAGroupDoesNotSeeAbortedRecords(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		topic := newTopic(t, cfg, 1)
		want := mixed(t, cfg, topic)
		r := &reader{}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- ConsumeAll(ctx, GroupConfig{Config: cfg, Topics: []string{topic}}, r) }()
		eventually(t, "the committed records are read", func() bool { return r.read() == strings.Join(want, " ") })
		want = append(want, mixed(t, cfg, topic)...) // while it reads
		eventually(t, "those that come are read", func() bool { return r.read() == strings.Join(want, " ") })
		cancel()
		check(t, <-ended)
	})
}
