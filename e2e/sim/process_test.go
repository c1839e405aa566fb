package sim

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/process"
	"github.com/orderlane/orderlane/services/ordering"
)

// deadline bounds the life of a process after the last fault: no stream waits for longer.
const deadline = time.Hour

// processWorld is a world of two services with a process between them.
type processWorld struct {
	*world
	shop, deal *serviceWorld
	placed     int // sales

	forwarder *memkafka.Consumer
	marked    map[kafka.Partition]int64 // what is committed of the forwarder's group

	tasks *memkafka.Subscriber
	again []*message.Message // nacked
	group *bus.TaskGroup
	asked map[string]map[string]bool // idempotency keys that the bank saw, by sale
}

func newProcessWorld(rt *rapid.T) *processWorld {
	w := &processWorld{
		world: &world{rt: rt, ctx: context.Background(), clients: newClients()}, marked: make(map[kafka.Partition]int64),
		asked: make(map[string]map[string]bool),
	}
	topics := []kafka.TopicSpec{bus.Outcomes(partitions, 1), bus.Tasks("deal", partitions, 1)}
	for _, name := range []string{"shop", "deal"} {
		topics = append(topics, bus.ServiceTopics(name, false, partitions, 1)...)
	}
	w.broker = memkafka.New(time.Now, topics...)
	w.addService(func() (part, *ordering.PriceList) { return part{shopWrite()}, nil })
	w.addService(func() (part, *ordering.PriceList) { return part{dealWrite()}, nil })
	w.shop, w.deal = w.services[0], w.services[1]
	w.tasks = w.broker.Subscriber(0)
	w.group = bus.NewTaskGroup(bus.TaskOptions{Service: "deal", Producer: w.broker.Producer(), Clock: time.Now, Attempts: 4},
		bus.HandleTask(w.charge, func(context.Context, *charge, error) bus.Typed { return declined{} }))
	w.startForwarder()
	return w
}

// charge is the bank, which fails before and after it has charged.
func (w *processWorld) charge(ctx context.Context, c *charge) (bus.Typed, error) {
	fate := w.draw("bank", 6)
	if fate > 1 { // it is asked
		if w.asked[c.Sale] == nil {
			w.asked[c.Sale] = make(map[string]bool)
		}
		w.asked[c.Sale][bus.EnvelopeFrom(ctx).ID] = true
	}
	switch fate {
	case 0, 2:
		return nil, errors.New("the bank does not answer")
	case 1:
		panic("the bank's library has a bug")
	}
	return charged{}, nil
}

func (w *processWorld) startForwarder() {
	f := process.NewForwarder(process.ForwarderOptions{
		Process: "deal", Producer: w.broker.Producer(), Clock: time.Now,
		Rules: []process.Rule{process.Forward(func(e *saleFact) string { return deals.Stream(e.Sale) })},
		Committed: func(_ context.Context, parts []kafka.Partition) (map[kafka.Partition]int64, error) {
			next := make(map[kafka.Partition]int64, len(parts))
			for _, p := range parts {
				next[p] = w.marked[p]
			}
			return next, nil
		},
	})
	w.forwarder = w.broker.Consumer(f)
	w.must(w.forwarder.Assign(w.ctx, w.broker.Partitions(f.Topics()...)...))
}

func (w *processWorld) place() {
	id := fmt.Sprint(w.placed)
	e := bus.Envelope{ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(id)).String(), Type: placeSale{}.MessageType(), Subject: sales.Stream(id), Time: time.Now()}
	if w.broker.Producer().Publish(w.ctx, []kafka.Record{e.Record(bus.CommandsTopic("shop"), []byte(e.Subject), []byte("{}"))}) == nil {
		w.placed++
	} // else it is sent again with the same id, as a client would
}

func (w *processWorld) forward() {
	n, err := w.forwarder.StepAny(1 + w.draw("records", 5))
	if n > 0 || err != nil {
		w.worked++
	}
	for _, p := range w.broker.Partitions(bus.EventsTopic("shop")) {
		w.marked[p] = w.forwarder.Marked(p)
	}
}

// work has the gateway make an attempt at a task, or not settle it when it crashes.
func (w *processWorld) work() {
	if len(w.again) == 0 {
		for _, p := range w.broker.Partitions(bus.TasksTopic("deal")) {
			if m, ok := w.tasks.Next(p); ok {
				w.again = append(w.again, m)
			}
		}
	}
	if len(w.again) == 0 {
		return
	}
	w.worked++
	m := w.again[0]
	w.again = w.again[1:]
	if w.group.Handle(m) == nil {
		m.Ack()
	}
	w.again = append(w.again, w.tasks.Settle()...)
}

// crashPart kills a part of the process that is none of an instance.
func (w *processWorld) crashPart() {
	switch w.draw("part", 3) {
	case 0:
		w.forwarder.Revoke()
		for p := range w.marked { // not all that was marked had been committed
			w.marked[p] -= min(w.marked[p], int64(w.draw("lost marks", 3)))
		}
		w.startForwarder()
	case 1:
		w.tasks.Crash()
		w.again = nil
	case 2:
		w.instances[w.draw("process", len(w.instances))].crash(w.draw("frozen", 2) == 1)
	}
}

// processTurns are what may happen next, each as often as it is likely to.
var processTurns = []func(*processWorld){
	(*processWorld).place, func(w *processWorld) { takes(w.world) }, func(w *processWorld) { decides(w.world) },
	func(w *processWorld) { answers(w.world) }, func(w *processWorld) { relays(w.world) }, (*processWorld).forward,
	(*processWorld).work, func(w *processWorld) { takes(w.world) }, func(w *processWorld) { decides(w.world) },
	func(w *processWorld) { answers(w.world) }, func(w *processWorld) { relays(w.world) }, func(w *processWorld) { wakes(w.world) },
	func(w *processWorld) {
		w.pass([]time.Duration{time.Millisecond, time.Second, 7 * time.Second, secondThoughts}[w.draw("time", 4)])
	},
	(*processWorld).crashPart,
	func(w *processWorld) { w.broker.FailNext(errAway, w.draw("written", 5)-1) },
	func(w *processWorld) { w.instance().service.fault = 1 + w.draw("fault of the log", 2) },
}

// settle lets everything go on until all processes have ended.
func (w *processWorld) settle() {
	for started := time.Now(); !w.over(); {
		if time.Since(started) > deadline {
			w.report()
		}
		for _, i := range w.instances {
			for range 20 {
				i.take()
			}
			for range 5 {
				i.decide()
				i.answer()
			}
			i.relayStep()
			i.wake()
		}
		w.forward()
		w.work()
		w.pass(time.Second)
	}
}

func (w *processWorld) over() bool {
	for n := range w.placed {
		id := fmt.Sprint(n)
		if !ended(w.deal.history(w.world, deals.Stream(id)), w.shop.history(w.world, sales.Stream(id))) {
			return false
		}
	}
	return true
}

func (w *processWorld) report() {
	for n := range w.placed {
		id := fmt.Sprint(n)
		w.rt.Logf("%s: %v, %v", id, w.deal.history(w.world, deals.Stream(id)), w.shop.history(w.world, sales.Stream(id)))
	}
	w.rt.Fatal("processes did not end, or took a step twice")
}

// TestEveryProcessEndsWhateverHappensBetweenTwoSteps: every step of a process is taken once, its
// timers included, and the outside world sees one idempotency key for each.
func TestEveryProcessEndsWhateverHappensBetweenTwoSteps(t *testing.T) {
	endings := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		bubble(t, func() {
			w := newProcessWorld(rt)
			defer func() {
				for _, i := range w.instances {
					w.must(i.sub.Close())
				}
				w.must(w.tasks.Close())
				synctest.Wait()
			}()
			for range rapid.IntRange(20, 300).Draw(rt, "steps") {
				processTurns[w.draw("turn", len(processTurns))](w)
			}
			w.settle()
			for sale, keys := range w.asked {
				if len(keys) > 1 {
					rt.Fatalf("the bank saw sale %s under %d keys", sale, len(keys))
				}
			}
			for n := range w.placed {
				endings[fmt.Sprint(w.deal.history(w.world, deals.Stream(fmt.Sprint(n))))]++
			}
		})
	})
	t.Logf("endings: %v", endings)
	if len(endings) < 2 && !t.Failed() {
		t.Error("the simulation does not simulate much")
	}
}
