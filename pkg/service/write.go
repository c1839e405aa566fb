package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/relay"
)

// Write is a service that decides commands: what it consumes and what it publishes.
type Write struct {
	Name     string
	Personal bool // its events have personal payloads
	// Public returns the public name and body of a stored event.
	Public func(*es.Record) (name string, body any, err error)
	// Asks returns what a stored event asks of services and of the service's gateway; optional.
	Asks func(*es.Record) ([]bus.Ask, error)
	// Handlers handle the service's command types; they end in the engine.
	Handlers func(*es.Engine) []bus.Handler
}

// published are the topics that the service's relay writes to, and nobody else.
func (w *Write) published() []string {
	topics := []string{bus.EventsTopic(w.Name)}
	if w.Personal {
		topics = append(topics, bus.PersonalTopic(w.Name))
	}
	return topics
}

// Upkeep of a log.
const (
	expireEvery = time.Minute
	expireLimit = 10_000 // outcomes deleted at once
)

// AddWrite adds a write service to the process.
func (p *Platform) AddWrite(w Write) {
	log := p.Logger(w.Name)
	// Commands are accepted while the database is away, so traffic need not stop for it.
	database := p.Health.Watch(w.Name + " log")
	p.addSchema(w.Name+" log", func(ctx context.Context) (string, error) { return p.migrateLog(ctx, w.Name) })
	p.Sup.Add(daemon.StageResources, daemon.Component{
		Name: w.Name + " log",
		Start: func(ctx context.Context) error {
			var store es.Log
			err := daemon.Retry(ctx, database, daemon.DefaultBackoff, func(ctx context.Context) (err error) {
				store, err = p.openLog(ctx, w.Name)
				return err
			})
			if err != nil {
				return err
			}
			p.Sup.Opened(w.Name+" log", func(context.Context) error { return store.Close() })
			return p.addWriteParts(w, store, database)
		},
	})
	log.Debug("added", "kind", "write")
}

func (p *Platform) addWriteParts(w Write, store es.Log, database *daemon.Part) error {
	feed := es.NewFeed(store)
	publication := &bus.Publication{Service: w.Name, Log: store, Public: w.Public, Asks: w.Asks, Clock: p.Clock}
	sender := relay.New(relay.Options{
		Name: "relay", Holder: p.leaseHolder(), Log: store, From: feed, Clock: p.Clock,
		Translate: publication.Translate, Producer: p.relayProducer(w.Name),
		Resume: func(ctx context.Context) (relay.Resumed, error) {
			return bus.ReadPublished(ctx, p.Admin, publication, w.published()...)
		},
		Observer: &relayObserver{RelayObserver: p.Metrics.Relay(w.Name, p.Health.Watch(w.Name+" relay")), service: w.Name, log: p.Logger(w.Name)},
	})
	alarm := p.newAlarm(w.Name, store)
	engine := es.NewEngine(es.Options{
		OnTimers: alarm.armed, Log: store, Clock: p.Clock, Publish: bus.PublishAnswers(p.Producer, w.Name),
		OnAppend: feed.Add, Cursors: sender.Cursors, Observer: p.Metrics.Engine(w.Name, database),
	})
	group := bus.NewCommandGroup(w.Name, engine, w.Handlers(engine)...)
	consumer, err := p.consumer(w.Name, group)
	if err != nil {
		return err
	}
	p.Sup.Add(daemon.StageRelays, daemon.Component{Name: w.Name + " relay", Run: sender.Run})
	p.Sup.Add(daemon.StageEngines, daemon.Component{
		Name: w.Name + " engine",
		Run:  func(ctx context.Context) error { return engine.Run(ctx, p.Settings.DrainDeadline) },
	})
	if group.Wakes() {
		p.addAlarm(w.Name, alarm)
	} else {
		alarm.unheard = p.Logger(w.Name)
	}
	p.Sup.Add(daemon.StageEngines, daemon.Component{
		Name: w.Name + " upkeep",
		Run:  func(ctx context.Context) error { return p.expire(ctx, w.Name, store) },
	})
	p.Sup.Add(daemon.StageConsumers, daemon.Component{Name: w.Name + " commands", Run: consumer.Run})
	p.operator.addLog(w.Name, parkedLog{store, engine, publication, w.published()})
	return nil
}

func (p *Platform) consumer(name string, group *bus.CommandGroup) (*bus.Consumer, error) {
	s := p.Settings
	subscriber, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Config: p.Kafka, Group: name, Mode: kafka.ByTurn, Window: s.Kafka.Window,
		Drain: s.DrainDeadline, Logger: p.Logger(name),
	})
	if err != nil {
		return nil, err
	}
	p.Metrics.Subscriber(name, subscriber.Stats)
	return bus.NewConsumer(group, subscriber, s.DrainDeadline, p.Logger(name))
}

// relayObserver says what to do about a log that was restored.
type relayObserver struct {
	*daemon.RelayObserver
	service string
	log     *slog.Logger
	told    bool
}

// Leading implements relay.Observer.
func (o *relayObserver) Leading(leads bool) {
	if leads {
		o.told = false
	}
	o.RelayObserver.Leading(leads)
}

// Failed implements relay.Observer.
func (o *relayObserver) Failed(err error) {
	if errors.Is(err, es.ErrRestored) {
		err = fmt.Errorf("%w; nothing is published until a new epoch begins, by: orderlane epochs begin %s", err, o.service)
		if !o.told {
			o.log.Error("events are not published", "reason", err)
		}
		o.told = true
	}
	o.RelayObserver.Failed(err)
}

// expire forgets outcomes that are older than they have to be kept.
func (p *Platform) expire(ctx context.Context, service string, store es.Log) error {
	ticker := time.NewTicker(expireEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		for n := expireLimit; n == expireLimit && ctx.Err() == nil; {
			var err error
			n, err = store.ExpireOutcomes(ctx, p.Clock().Add(-p.Settings.OutcomeRetention), expireLimit)
			if err != nil && ctx.Err() == nil {
				p.Logger(service).Warn("outcomes were not expired", "error", err)
			}
		}
	}
}
