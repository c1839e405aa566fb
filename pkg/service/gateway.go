package service

import (
	"context"
	"time"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Gateway is what a service asks the outside world with: it consumes <service>.tasks.v1, which the
// service's own events fill (bus.Ask with Task), and reports back with commands. The zero value of
// each number means its default.
type Gateway struct {
	Service  string
	Handlers []bus.TaskHandler

	Lanes    int           // tasks with handlers at once, each for another key: kafka.DefaultLanes
	Attempts int           // at one task before it is given up: bus.DefaultTaskAttempts
	Timeout  time.Duration // of one attempt: bus.DefaultTaskTimeout

	// RetryMin and RetryMax bound the pause before the next attempt, which doubles each time:
	// kafka.DefaultRetryMin and kafka.DefaultRetryMax.
	RetryMin, RetryMax time.Duration
}

// AddGateway adds a gateway to the process.
func (p *Platform) AddGateway(g Gateway) {
	name := bus.GatewayGroup(g.Service)
	var consumer *bus.Consumer
	p.Sup.Add(daemon.StageConsumers, daemon.Component{
		Name: name,
		Start: func(context.Context) (err error) {
			consumer, err = p.gateway(name, g)
			return err
		},
		Run: func(ctx context.Context) error { return consumer.Run(ctx) },
	})
}

func (p *Platform) gateway(name string, g Gateway) (*bus.Consumer, error) {
	s := p.Settings
	subscriber, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Config: p.Kafka, Group: name, Mode: kafka.ByKey, Window: s.Kafka.Window, Lanes: g.Lanes,
		RetryMin: g.RetryMin, RetryMax: g.RetryMax, Drain: s.DrainDeadline, Logger: p.Logger(name),
	})
	if err != nil {
		return nil, err
	}
	p.Metrics.Subscriber(name, subscriber.Stats)
	group := bus.NewTaskGroup(bus.TaskOptions{
		Service: g.Service, Producer: p.Producer, Clock: p.Clock, Attempts: g.Attempts, Timeout: g.Timeout,
		Observer: p.Metrics.Gateway(g.Service), Log: p.Logger(name),
	}, g.Handlers...)
	return bus.NewConsumer(group, subscriber, s.DrainDeadline, p.Logger(name))
}
