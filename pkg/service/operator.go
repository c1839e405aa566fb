package service

import (
	"context"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
)

// Bounds of the operator routes.
const (
	maxListed   = 1000
	adminWait   = 30 * time.Second // how long a repair or a discard may take
	payloadText = 4096             // bytes of a payload that are shown
)

// operator serves /admin/: parked commands, views and epochs of logs. It is safe for concurrent use.
type operator struct {
	platform *Platform

	mu          sync.Mutex
	logs        map[string]parkedLog
	projections map[string]*projection.Builds
	metrics     func() *buildMetrics
}

type parkedLog struct {
	log         es.Log
	engine      *es.Engine
	publication *bus.Publication
	published   []string // its topics
}

// ParkedCommand is a parked command as operators see it.
type ParkedCommand struct {
	Service  string            `json:"service"`
	ID       string            `json:"id"`
	Type     string            `json:"type"`
	Key      string            `json:"key"`
	Reason   string            `json:"reason"`
	Attempts int               `json:"attempts"`
	Time     time.Time         `json:"time"`
	Topic    string            `json:"topic"`
	Headers  map[string]string `json:"headers,omitzero"`
	Payload  string            `json:"payload,omitzero"`
}

// Broker says where the broker of a process is, so that who audits one with an embedded broker
// finds it.
type Broker struct {
	Brokers []string `json:"brokers"`
}

func newOperator(p *Platform) *operator {
	o := &operator{platform: p, logs: make(map[string]parkedLog), projections: make(map[string]*projection.Builds)}
	o.metrics = sync.OnceValue(func() *buildMetrics { return newBuildMetrics(p.Metrics.Registry) })
	p.Env.Admin.HandleFunc("GET /admin/deadletters", answer(o.listParked))
	p.Env.Admin.HandleFunc("GET /admin/deadletters/{id}", answer(o.showParked))
	p.Env.Admin.HandleFunc("POST /admin/deadletters/{id}/retry", answer(o.retryParked))
	p.Env.Admin.HandleFunc("POST /admin/deadletters/{id}/discard", answer(o.discardParked))
	o.handleProjections()
	p.Env.Admin.HandleFunc("GET /admin/epochs", answer(o.listEpochs))
	p.Env.Admin.HandleFunc("POST /admin/epochs/{service}/begin", answer(o.beginEpoch))
	p.Env.Admin.HandleFunc("GET /admin/broker", answer(func(*http.Request) (any, error) { return Broker{p.Kafka.Brokers}, nil }))
	return o
}

func (o *operator) addLog(service string, l parkedLog) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.logs[service] = l
}

// services returns the services with a log here, by name.
func (o *operator) services() (names []string, logs map[string]parkedLog) {
	o.mu.Lock()
	defer o.mu.Unlock()
	logs = make(map[string]parkedLog, len(o.logs))
	for name, l := range o.logs {
		names, logs[name] = append(names, name), l
	}
	sort.Strings(names)
	return names, logs
}

// answer makes a handler of a function: JSON out, faults by their table.
func answer(do func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), adminWait)
		defer cancel()
		v, err := do(r.WithContext(ctx))
		status := http.StatusOK
		if err != nil {
			f, ok := fault.Of(err)
			if !ok {
				f = &fault.Fault{Code: "internal", Detail: err.Error()}
			}
			status, v = f.Kind.HTTPStatus(), f
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		// Messages that can't be handled may hold any bytes.
		_ = json.MarshalWrite(w, v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true)) // or the client is gone
	}
}

func (o *operator) listParked(r *http.Request) (any, error) {
	limit := maxListed
	if s := r.FormValue("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxListed {
			return nil, fault.Invalid("bad_limit", "limit is 1 to %d", maxListed)
		}
		limit = n
	}
	out := []ParkedCommand{}
	names, logs := o.services()
	for _, name := range names {
		if only := r.FormValue("service"); only != "" && only != name {
			continue
		}
		parked, err := logs[name].log.ParkedCommands(r.Context(), uuid.Nil, limit-len(out))
		if err != nil {
			return nil, fmt.Errorf("list the parked commands of %s: %w", name, err)
		}
		for _, p := range parked {
			c := parkedCommand(name, p)
			c.Headers, c.Payload = nil, ""
			out = append(out, c)
		}
		if len(out) >= limit {
			break
		}
	}
	return out, nil
}

func parkedCommand(service string, p es.Parked) ParkedCommand {
	payload := p.Payload
	if len(payload) > payloadText {
		payload = payload[:payloadText]
	}
	return ParkedCommand{
		Service: service, ID: p.Command.String(), Type: p.Type, Key: p.Key, Reason: p.Reason, Attempts: p.Attempts,
		Time: p.Time, Topic: p.Topic, Headers: p.Headers, Payload: string(payload),
	}
}

// find returns the parked command that the request names.
func (o *operator) find(r *http.Request) (service string, l parkedLog, p es.Parked, err error) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		return "", l, p, fault.Invalid("bad_command_id", "%q is no command id", r.PathValue("id"))
	}
	names, logs := o.services()
	for _, name := range names {
		p, ok, err := logs[name].log.ParkedCommand(r.Context(), id)
		if err != nil {
			return "", l, p, fmt.Errorf("look for the command in %s: %w", name, err)
		}
		if ok {
			return name, logs[name], p, nil
		}
	}
	return "", l, p, fault.NotFound("parked_command", id.String())
}

func (o *operator) showParked(r *http.Request) (any, error) {
	service, _, p, err := o.find(r)
	if err != nil {
		return nil, err
	}
	return parkedCommand(service, p), nil
}

func (o *operator) retryParked(r *http.Request) (any, error) {
	service, _, p, err := o.find(r)
	if err != nil {
		return nil, err
	}
	record := bus.Resend(p)
	if err := o.platform.Producer.Publish(r.Context(), []kafka.Record{record}); err != nil {
		return nil, fmt.Errorf("send the parked command %s again: %w", p.Command, err)
	}
	return parkedCommand(service, p), nil
}

func (o *operator) discardParked(r *http.Request) (any, error) {
	service, l, p, err := o.find(r)
	if err != nil {
		return nil, err
	}
	if bus.IsWake(service, p) {
		return nil, fault.Conflict("wake_not_discarded",
			"%s waits to be woken and can't go on without: repair what the wake was parked for, and retry it; it also comes again by itself", p.Key)
	}
	// The message lasts until the outcome is published, even if this process ends now; the
	// engine here need not wait for it.
	if err := o.platform.Producer.Publish(r.Context(), []kafka.Record{bus.Discard(p)}); err != nil {
		return nil, fmt.Errorf("send the order to discard %s: %w", p.Command, err)
	}
	if _, err := l.engine.Discard(r.Context(), p, p.Key, o.platform.Clock()); err != nil {
		return nil, err
	}
	return parkedCommand(service, p), nil
}
