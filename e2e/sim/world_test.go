package sim

import (
	"context"
	"os"
	"slices"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/api"
	catalogapi "github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/memlog"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/process"
	"github.com/orderlane/orderlane/pkg/relay"
	"github.com/orderlane/orderlane/pkg/service"
	"github.com/orderlane/orderlane/services/ordering"
	"github.com/orderlane/orderlane/services/orderview"
	"github.com/orderlane/orderlane/services/storefront"
)

const partitions = 2

// world is the platform, and what its clients know.
type world struct {
	rt        *rapid.T
	ctx       context.Context
	dir       string
	broker    *memkafka.Broker
	sender    *bus.Sender
	services  []*serviceWorld
	instances []*instance // of all services
	views     []*viewWorld
	worked    int // that something was done

	clients
}

func newWorld(rt *rapid.T, dir string) *world {
	w := &world{rt: rt, ctx: context.Background(), dir: dir, clients: newClients()}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		rt.Fatal(err)
	}
	topics := []kafka.TopicSpec{bus.Outcomes(partitions, 1)}
	for _, s := range api.Services {
		topics = append(topics, bus.ServiceTopics(s.Name, len(s.Personal) > 0, partitions, 1)...)
	}
	w.broker = memkafka.New(time.Now, topics...)
	sender, err := bus.NewSender(w.broker.Publisher())
	w.must(err)
	w.sender = sender
	w.addServices()
	for _, sku := range skus { // something to order
		w.define(sku)
	}
	w.views = []*viewWorld{w.newView("orderview", orderview.NewView), w.newView("storefront", storefront.NewView)}
	return w
}

func (w *world) must(err error) {
	if err != nil {
		w.rt.Fatal(err)
	}
}

// draw is a number below n, of the seed.
func (w *world) draw(what string, n int) int { return rapid.IntRange(0, n-1).Draw(w.rt, what) }

func (w *world) instance() *instance { return w.instances[w.draw("instance", len(w.instances))] }
func (w *world) view() *viewWorld    { return w.views[w.draw("view", len(w.views))] }

// pass lets time pass in the bubble: the only clock there is.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// close ends all goroutines and removes what the life has written.
func (w *world) close() {
	for _, i := range w.instances {
		w.must(i.sub.Close())
	}
	for _, v := range w.views {
		w.must(v.store.Close())
	}
	synctest.Wait()
	w.must(os.RemoveAll(w.dir))
}

// part is a write service; a type of its own keeps its name short here.
type part struct{ service.Write }

// serviceWorld is what lasts of a service: its database.
type serviceWorld struct {
	name  string
	store *memlog.Store
	log   es.Log // for the checks
	fault int    // 1: the next append fails; 2: it is written, and the answer is lost
	count int    // instances
}

// addService adds one or two instances of a service. Two of them get all of its commands
// each, as if the partitions went back and forth between them all the time.
func (w *world) addService(make func() (part, *ordering.PriceList)) {
	p, _ := make()
	s := &serviceWorld{name: p.Name, store: memlog.NewStore(memlog.Options{Clock: time.Now, Epoch: "epoch of " + p.Name})}
	s.log, s.count = s.store.Open(), 1+w.draw("another instance", 2)
	w.services = append(w.services, s)
	for range s.count {
		i := &instance{w: w, service: s, make: make, sub: w.broker.Subscriber(0)}
		i.start()
		w.instances = append(w.instances, i)
	}
}

// instance is one process of a write service. Its subscriber lasts, since that stands for
// the offsets that are committed to the broker.
type instance struct {
	w       *world
	service *serviceWorld
	make    func() (part, *ordering.PriceList)
	sub     *memkafka.Subscriber
	lives   int

	life
	frozen []life // earlier lives that may wake up
}

// life is what ends with a process.
type life struct {
	alarm      *process.Alarm
	engine     *es.Engine
	group      *bus.CommandGroup
	relay      *relay.Relay
	prices     *memkafka.Consumer // nil: the service has no price list
	unanswered int                // batches
}

// maxUnanswered is how many batches an engine decides ahead of its answers; it waits then,
// and nobody else runs here.
const maxUnanswered = 3

func (i *instance) start() {
	w, s := i.w, i.service
	i.lives++
	write, prices := i.make()
	log := &shakyLog{s.store.Open(), s}
	feed := es.NewFeed(log)
	publication := &bus.Publication{Service: s.name, Log: log, Public: write.Public, Asks: write.Asks, Clock: time.Now}
	topics := []string{bus.EventsTopic(s.name)}
	if write.Personal {
		topics = append(topics, bus.PersonalTopic(s.name))
	}
	r := relay.New(relay.Options{
		Name: "relay", Holder: bus.DeriveID("holder", time.Now().String(), string(rune(len(w.instances))), string(rune(i.lives))).String(),
		Log: log, From: feed, Clock: time.Now, Translate: publication.Translate,
		Producer: func(context.Context) (kafka.Producer, error) { return w.broker.Transactional("relay-" + s.name), nil },
		Resume: func(ctx context.Context) (relay.Resumed, error) {
			return bus.ReadPublished(ctx, w.broker, publication, topics...)
		},
	})
	alarm := process.NewAlarm(process.AlarmOptions{Service: s.name, Log: log, Producer: w.broker.Producer(), Clock: time.Now})
	engine := es.NewEngine(es.Options{
		OnTimers: alarm.Armed, Log: log, Clock: time.Now, Publish: bus.PublishAnswers(w.broker.Producer(), s.name), OnAppend: feed.Add, Cursors: r.Cursors,
		CachedStreams: 4, RecentOutcomes: 4, // so small that streams and outcomes are read back
	})
	i.life = life{alarm: alarm, engine: engine, group: bus.NewCommandGroup(s.name, engine, write.Handlers(engine)...), relay: r}
	if prices != nil {
		i.prices = w.broker.Consumer(prices)
		w.must(i.prices.Assign(w.ctx, w.broker.Partitions(bus.EventsTopic(catalogapi.Service))...))
		i.readPrices(-1) // a service loads its price list before it takes commands
	}
}

// take hands a message to a handler, which then waits for the engine or for knowledge.
func (i *instance) take() {
	parts := i.w.broker.Partitions(bus.CommandsTopic(i.service.name))
	for n, from := 0, i.w.worked; n < len(parts); n++ {
		m, ok := i.sub.Next(parts[(from+n)%len(parts)])
		if !ok {
			continue
		}
		i.w.worked++
		group := i.group
		go func() {
			if group.Handle(m) == nil {
				m.Ack()
			}
		}()
		synctest.Wait()
		return
	}
}

func (i *instance) decide() {
	i.w.decide(&i.life)
	if len(i.frozen) > 0 && i.w.draw("a frozen engine wakes up", 4) == 0 {
		i.w.decide(&i.frozen[0])
	}
}

func (w *world) decide(p *life) {
	if p.unanswered == maxUnanswered {
		return
	}
	stepped, err := p.engine.Step(w.ctx)
	if err == nil && stepped.Commands > 0 {
		p.unanswered++
	}
	if err != nil || stepped.Commands > 0 || stepped.Again {
		w.worked++
	}
}

func (i *instance) answer() {
	more, err := i.engine.Answer(i.w.ctx)
	if more {
		i.w.worked++
	}
	if more && err == nil {
		i.unanswered--
	}
	synctest.Wait()
	i.sub.Settle()
}

func (i *instance) relayStep() {
	n, err := i.relay.Step(i.w.ctx)
	if n > 0 || err != nil {
		i.w.worked++
	}
	if len(i.frozen) > 0 && i.w.draw("a frozen relay wakes up", 4) == 0 {
		_, _ = i.frozen[0].relay.Step(i.w.ctx) // refused, or by chance the leader
	}
}

// wake wakes the streams whose deadlines have passed, in a service that has any.
func (i *instance) wake() {
	if !i.group.Wakes() {
		return
	}
	n, err := i.alarm.Step(i.w.ctx)
	if n > 0 || err != nil {
		i.w.worked++
	}
	if len(i.frozen) > 0 && i.w.draw("a frozen alarm wakes up", 4) == 0 {
		_, _ = i.frozen[0].alarm.Step(i.w.ctx)
	}
}

// readPrices passes what the catalog has published to the price list, up to limit records of
// a partition; all of them if negative.
func (i *instance) readPrices(limit int) {
	if i.prices == nil {
		return
	}
	for range partitions {
		n, err := i.prices.StepAny(limit)
		i.w.must(err)
		i.w.worked += n
	}
	synctest.Wait()
}

// crash starts the instance anew. A frozen process goes on some time later, where it was.
func (i *instance) crash(frozen bool) {
	i.sub.Crash()
	synctest.Wait() // its handlers end with their contexts
	i.frozen = nil
	if frozen {
		i.frozen = slices.Clone([]life{i.life})
	}
	i.start()
}

// shakyLog fails on request.
type shakyLog struct {
	es.Log
	service *serviceWorld
}

func (l *shakyLog) Append(ctx context.Context, b es.Batch) (es.Head, error) {
	fault := l.service.fault
	l.service.fault = 0
	if fault == 1 {
		return es.Head{}, errAway
	}
	head, err := l.Log.Append(ctx, b)
	if err == nil && fault == 2 {
		return es.Head{}, errAway
	}
	return head, err
}
