package kafka

import (
	"context"
	"sync"
	"testing"
)

// marker is a handler that goes on where its group has come to, and marks up to a bound.
type marker struct {
	admin *Admin
	group string
	upTo  int64

	mu    sync.Mutex
	first map[Partition]int64 // offset that each partition was read from first
	g     Generation
	seen  int
}

func (m *marker) Assigned(ctx context.Context, g Generation, parts []Partition) (map[Partition]int64, error) {
	next, err := m.admin.Committed(ctx, m.group, parts)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.g, m.first, m.seen = g, make(map[Partition]int64), 0
	return next, err
}

func (m *marker) Deliver(_ context.Context, recs []Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := Partition{recs[0].Topic, recs[0].Partition}
	if _, ok := m.first[p]; !ok {
		m.first[p] = recs[0].Offset
	}
	for i := range recs {
		m.seen++
		if next := recs[i].Offset + 1; next <= m.upTo {
			m.g.Mark(p, next)
		}
	}
	return nil
}

func (*marker) Revoked([]Partition) {}

func TestAHandlerGoesOnWhereItsGroupHasCommitted(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		a := newAdmin(t, cfg)
		topic := newTopic(t, cfg, 1)
		fill(t, cfg, topic, 10, 100)
		gc := groupConfig(t, cfg, topic)
		part := Partition{topic, 0}
		if got, err := a.Committed(t.Context(), gc.Group, []Partition{part}); err != nil || len(got) != 0 {
			t.Fatalf("a group that never was has committed %v, %v", got, err)
		}
		m := &marker{admin: a, group: gc.Group, upTo: 60}
		for _, life := range []struct{ from, seen int64 }{{0, 100}, {60, 40}} {
			stop := runMember(t, gc, m, ConsumeGroup)
			eventually(t, "all is delivered", func() bool {
				m.mu.Lock()
				defer m.mu.Unlock()
				return int64(m.seen) == life.seen
			})
			stop()
			if m.first[part] != life.from {
				t.Errorf("it began at %d, want %d", m.first[part], life.from)
			}
			if got, err := a.Committed(t.Context(), gc.Group, []Partition{part, {topic, 7}}); err != nil || got[part] != 60 || len(got) != 1 {
				t.Errorf("committed is %v, %v", got, err)
			}
		}
	})
}
