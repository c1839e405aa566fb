// Package service puts the standard parts together that every service is made of: a Write
// service is a log, an engine, a relay and a command consumer; a Read service is a store, a
// view and its projection. A Platform is the process they run in: where its broker and its
// databases are, its one public API, and its operator routes.
//
// It knows of no particular service; the main program names those.
package service

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"time"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/embedded"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/pglog"
	"github.com/orderlane/orderlane/pkg/es/sqlitelog"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/pgstore"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
)

// Platform is what a process offers to its services. Resources are there from
// daemon.StageResources on, after Start; operations are registered on API before.
type Platform struct {
	*daemon.Env
	Sup *daemon.Supervisor
	API *httpapi.API

	Kafka    kafka.Config // where the broker is, embedded or not
	Admin    *kafka.Admin
	Producer kafka.Producer // for outcomes and dead letters
	isLocal  bool           // the broker is embedded

	operator *operator
	schemas  []schema // of what was added
}

// New returns the platform of a process and adds what it needs to the supervisor. topics are
// those that must exist; api is where its services register.
func New(env *daemon.Env, sup *daemon.Supervisor, api *httpapi.API, topics []kafka.TopicSpec) *Platform {
	p := &Platform{Env: env, Sup: sup, API: api, isLocal: len(env.Settings.Kafka.Brokers) == 0}
	p.operator = newOperator(p)
	part := env.Health.Require("broker")
	sup.Add(daemon.StageResources, daemon.Component{
		Name:  "broker",
		Start: func(ctx context.Context) error { return p.connect(ctx, part, topics) },
		Run: func(ctx context.Context) error {
			daemon.Check(ctx, part, brokerCheck, p.Admin.Ping)
			return nil
		},
	})
	return p
}

const brokerCheck = 2 * time.Second // how soon /readyz says that the broker is away

// connect starts the embedded broker or waits for the cluster, sees to the topics, and opens
// what all services share.
func (p *Platform) connect(ctx context.Context, part *daemon.Part, topics []kafka.TopicSpec) error {
	s := p.Settings
	if p.isLocal {
		broker, err := embedded.Start(ctx, embedded.Options{
			Dir: filepath.Join(s.Data, "broker"), Addr: s.Embedded.Listen, Topics: topics, Log: p.Logger("broker"),
		})
		if err != nil {
			return err
		}
		p.Sup.Opened("embedded broker", func(context.Context) error { return broker.Close() })
		p.Kafka = kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "orderlane"}
	} else {
		config, err := s.KafkaConfig()
		if err != nil {
			return daemon.Permanent(err)
		}
		p.Kafka = config
	}
	admin, err := kafka.NewAdmin(p.Kafka)
	if err != nil {
		return err
	}
	p.Admin = admin
	p.Sup.Opened("broker admin", func(context.Context) error { return admin.Close() })
	return daemon.Retry(ctx, part, daemon.DefaultBackoff, func(ctx context.Context) error {
		if err := p.ensureTopics(ctx, topics); err != nil {
			return err
		}
		producer, err := kafka.NewProducer(p.Kafka)
		if err != nil {
			return err
		}
		p.Producer = producer
		p.Sup.Opened("producer", func(context.Context) error { return producer.Close() })
		return nil
	})
}

func (p *Platform) ensureTopics(ctx context.Context, topics []kafka.TopicSpec) error {
	if p.isLocal || !p.Settings.Kafka.CreateTopics {
		return p.Admin.Ping(ctx)
	}
	return p.Admin.EnsureTopics(ctx, topics)
}

// relayProducer makes the producer of a relay that has become the leader of its log.
func (p *Platform) relayProducer(service string) func(context.Context) (kafka.Producer, error) {
	return func(context.Context) (kafka.Producer, error) {
		if p.isLocal { // one process, one relay: nobody to fence
			return kafka.NewOrderedProducer(p.Kafka)
		}
		return kafka.NewTransactionalProducer(p.Kafka, "orderlane-relay-"+service)
	}
}

// NewSender returns a sender of commands, which is closed with the process.
func (p *Platform) NewSender() (*bus.Sender, error) {
	var publisher bus.Publisher
	var err error
	if p.isLocal { // one broker leads all partitions
		publisher, err = kafka.NewGatheringPublisher(p.Kafka, p.Clock)
	} else {
		publisher, err = kafka.NewPublisher(p.Kafka)
	}
	if err != nil {
		return nil, err
	}
	p.Sup.Opened("command publisher", func(context.Context) error { return publisher.Close() })
	return bus.NewSender(publisher)
}

// leaseHolder names this process in leases. A process that is known by the same name after a
// crash takes up its lease at once; another one's would have to expire first.
func (p *Platform) leaseHolder() string {
	switch {
	case p.isLocal: // the data directory's lock keeps others out
		return "embedded"
	case p.Settings.Instance != "":
		return p.Settings.Instance
	}
	return p.NewID().String()
}

// openLog opens the event log of a service, in PostgreSQL or in a file of its own.
func (p *Platform) openLog(ctx context.Context, service string) (es.Log, error) {
	if url := p.Settings.Postgres; url != "" {
		return pglog.Open(ctx, url, service, pglog.Options{})
	}
	return sqlitelog.Open(ctx, filepath.Join(p.Settings.Data, service+".log.db"), sqlitelog.Options{})
}

// openStore opens the read store of a service, in PostgreSQL or in a file of its own.
func (p *Platform) openStore(ctx context.Context, service string) (projection.Store, error) {
	if url := p.Settings.Postgres; url != "" {
		return pgstore.Open(ctx, url, service, pgstore.Options{})
	}
	return sqlitestore.Open(filepath.Join(p.Settings.Data, service+".view.db"), sqlitestore.Options{})
}

// NewAPI returns the public API of a process, with what its settings say of callers and bounds.
func NewAPI(env *daemon.Env, title, version, description string) (*httpapi.API, error) {
	s := env.Settings
	var verifier *httpapi.Verifier
	if s.Auth.On() {
		var err error
		verifier, err = httpapi.NewVerifier(context.Background(), httpapi.AuthConfig{
			Issuer: s.Auth.Issuer, Audience: s.Auth.Audience, RoleClaim: s.Auth.RoleClaim,
			JWKSURL: s.Auth.JWKSURL, JWKSFile: s.Auth.JWKSFile, HS256Secret: s.Auth.HS256Secret,
		}, env.Clock, env.Logger("http"))
		if err != nil {
			return nil, fmt.Errorf("authentication: %w", err)
		}
	}
	return httpapi.New(httpapi.Options{
		Title: title, Version: version, Description: description, Addr: s.Listen, Verifier: verifier,
		MaxBody: s.HTTP.BodyLimit, RateLimit: httpapi.RateLimit{Requests: s.HTTP.RateLimit},
		MaxStreams: s.HTTP.Streams, MaxStreamsPerCaller: s.HTTP.StreamsPerCaller,
		Log: env.Logger("http"), Observer: env.Metrics.HTTP(), Clock: env.Clock, Random: rand.Reader,
	})
}
