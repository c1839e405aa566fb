package kafka

import (
	"context"
	"testing"
)

func TestPartitionsMoveBetweenMembersWithNothingLostOrRepeated(t *testing.T) {
	eachBroker(t, func(t *testing.T, cfg Config) {
		const keys, part = 40, 1000
		topic := newTopic(t, cfg, 4)
		gc := groupConfig(t, cfg, topic)
		gc.MaxBatch = 20
		p, err := NewOrderedProducer(cfg)
		check(t, err)
		defer func() { check(t, p.Close()) }()
		publish := func(from int) { check(t, p.Publish(context.Background(), numbered(topic, keys, from, from+part))) }

		l := newLedger(t)
		a, b := &owner{ledger: l, name: "a"}, &owner{ledger: l, name: "b"}
		publish(0)
		stopA := runMember(t, gc, a, ConsumeGroup)
		eventually(t, "the first part is delivered", func() bool { return l.delivered() == part })

		publish(part) // while b joins
		stopB := runMember(t, gc, b, ConsumeGroup)
		publish(2 * part)
		eventually(t, "both have partitions", func() bool { return l.owned(a) == 2 && l.owned(b) == 2 })
		publish(3 * part)
		eventually(t, "the next parts are delivered", func() bool { return l.delivered() == 4*part })

		publish(4 * part) // while a leaves
		stopA()
		publish(5 * part)
		eventually(t, "b has all", func() bool { return l.owned(b) == 4 })
		eventually(t, "all is delivered", func() bool { return l.delivered() == 6*part })
		stopB()
		if a.generations.Load() < 2 || b.generations.Load() < 2 {
			t.Errorf("%d and %d generations", a.generations.Load(), b.generations.Load())
		}
		for v, n := range l.values {
			if n != 1 {
				t.Errorf("%d was counted %d times", v, n)
			}
		}
	})
}

func TestAMemberWithoutPartitionsIsNotBothered(t *testing.T) {
	_, cfg := fakeBroker(t)
	topic := newTopic(t, cfg, 1)
	gc := groupConfig(t, cfg, topic)
	l := newLedger(t)
	a, b := &owner{ledger: l, name: "a"}, &owner{ledger: l, name: "b"}
	stopA := runMember(t, gc, a, ConsumeGroup)
	eventually(t, "a has the partition", func() bool { return l.owned(a) == 1 })
	stopB := runMember(t, gc, b, ConsumeGroup)
	eventually(t, "a generation of both", func() bool { return a.generations.Load()+b.generations.Load() >= 2 && l.owned(a)+l.owned(b) == 1 })
	fill(t, cfg, topic, 1, 10)
	eventually(t, "all is delivered", func() bool { return l.delivered() == 10 })
	stopA()
	stopB()
}
