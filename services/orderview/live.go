package orderview

import (
	"context"
	"errors"
	"time"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/live"
	"github.com/orderlane/orderlane/pkg/service"
)

// liveTopics are those whose events change what is shown of an order. Stock is counted by
// inventory for all orders together; what of it is an order's comes back as events of fulfilment.
var liveTopics = []string{
	bus.EventsTopic(ordering.Service), bus.EventsTopic(payments.Service), bus.EventsTopic(shipping.Service), bus.EventsTopic(fulfilment.Service),
}

// Changed is what a live stream tells of an event. It says that something has changed and what to
// read it with; who did it and what is personal it does not say.
type Changed struct {
	OrderID          string          `json:"order_id"`
	Type             string          `json:"type" example:"orderlane.ordering.order_confirmed.v1"`
	Stream           string          `json:"stream" doc:"Of the order, its payment, a shipment, a return, or its fulfilment" example:"order-5f0c3a52-9d0e-5a11-8000-00000000000a"`
	Version          int64           `json:"version" doc:"In its stream; not all versions are told to customers"`
	Time             time.Time       `json:"time"`
	Status           ordering.Status `json:"status,omitzero" required:"false" doc:"The order's status from then on; of the order's own events"`
	PaymentStatus    payments.Status `json:"payment_status,omitzero" required:"false" doc:"The payment's status from then on; of the payment's events"`
	ConsistencyToken string          `json:"consistency_token" doc:"Send it when you read what has changed: the answer is then at least as new"`
}

// Begun is what a live stream begins with. It stands where the order view stood at that moment, so who
// reads now what the stream is about, and then follows it, misses nothing.
type Begun struct {
	Reason           string          `json:"reason,omitzero" required:"false" enum:"too_old,taken_back" doc:"Of a reset: why what you know may have holes"`
	OrderID          string          `json:"order_id,omitzero" required:"false"`
	Status           ordering.Status `json:"status,omitzero" required:"false"`
	PaymentStatus    payments.Status `json:"payment_status,omitzero" required:"false"`
	ConsistencyToken string          `json:"consistency_token,omitzero" required:"false"`
}

// The events of live streams are named after the kinds of what has changed, so that clients need not
// know all types of events, and after what they begin with.
const (
	nameReady     = "ready"
	nameReset     = "reset"
	reasonTooOld  = "too_old"       // too much has happened meanwhile, or it is gone
	reasonTaken   = "taken_back"    // a log was restored, and some of what was told has never happened
	viewBehindFor = 5 * time.Second // when to come back to a view that has too much to catch up on
)

// opening bounds how long the hub may take to open a stream: to stand, and to catch up.
const opening = live.Standing + live.ReplayTime

// liveNames are the kinds of streams whose events are told.
var liveNames = map[string]bool{
	orderCategory: true, payments.Category: true, shipping.CategoryShipment: true, shipping.CategoryReturn: true, fulfilment.Category: true,
}

// tellLive says what clients are told of a record. Customers are told of their order's own events, and
// beside them of those that its timeline tells them.
func tellLive(r *kafka.Record) (live.Event, bool) {
	e, err := bus.EnvelopeOf(r)
	if err != nil {
		return live.Event{}, false // the view breaks the key, and says so
	}
	if e.Type == bus.TypeEpochBegan {
		return live.Event{TakenBack: true, Time: e.Time}, true
	}
	of := bus.ResourceOf(e.Subject)
	if !liveNames[of.Type] {
		return live.Event{}, false
	}
	var body struct {
		OrderID string `json:"order_id"`
		Status  string `json:"status"`
	}
	if err := bus.Decode(r.Value, &body); err != nil || body.OrderID == "" {
		return live.Event{}, false
	}
	c := Changed{
		OrderID: body.OrderID, Type: e.Type, Stream: e.Subject, Version: e.StreamVersion, Time: e.Time,
		ConsistencyToken: bus.Token(e.Subject, e.StreamVersion),
	}
	switch of.Type {
	case orderCategory:
		c.Status = ordering.Status(body.Status)
	case payments.Category:
		c.PaymentStatus = payments.Status(body.Status)
	}
	data, err := bus.Encode(&c)
	if err != nil {
		return live.Event{}, false
	}
	return live.Event{
		Name: of.Type, Key: body.OrderID, Data: data, Time: e.Time,
		Restricted: of.Type != orderCategory && tellings[e.Type].to != everyone,
	}, true
}

// scopeOf is what the stream of one order depends on: its own partitions of the topics whose
// streams are named after the order. Shipments and returns have ids of their own, and may be anywhere.
func scopeOf(order string, staff bool) live.Scope {
	return live.Scope{Key: order, Restricted: staff, Records: map[string]string{
		bus.EventsTopic(ordering.Service):   orderCategory + "-" + order,
		bus.EventsTopic(payments.Service):   payments.Category + "-" + order,
		bus.EventsTopic(fulfilment.Service): fulfilment.Category + "-" + order,
	}}
}

// liveStreams answer those who follow orders.
type liveStreams struct {
	hub  *live.Hub
	view *service.Reader
}

// addLive adds the hub of a process.
func addLive(p *service.Platform, q *queries) *liveStreams {
	hub := live.New(live.Options{
		Topics: liveTopics, Source: topics{p}, Decode: tellLive, Log: p.Logger(Service), Metrics: live.NewMetrics(p.Metrics.Registry),
	})
	p.Sup.Add(daemon.StageViews, daemon.Component{Name: Service + " live", Run: hub.Run})
	return &liveStreams{hub, q.Reader}
}

// topics is a live.Source: the broker of the process, once it is connected.
type topics struct{ p *service.Platform }

func (t topics) Offsets(ctx context.Context, topic string) (map[int32]kafka.Range, error) {
	return t.p.Admin.Offsets(ctx, topic)
}

func (t topics) ReadRange(ctx context.Context, p kafka.Partition, from, to int64, fn func(kafka.Record) error) error {
	return t.p.Admin.ReadRange(ctx, p, from, to, fn)
}

func (t topics) Consume(ctx context.Context, names []string, h kafka.BatchHandler) error {
	return kafka.ConsumeAll(ctx, kafka.GroupConfig{Config: t.p.Kafka, Topics: names, Log: t.p.Logger(Service)}, h)
}

// begin opens a stream. show says where what it is about stands, or refuses who may not see it.
func (l *liveStreams) begin(ctx context.Context, scope live.Scope, lastID string, show func() (Begun, error)) (httpapi.StreamFunc, error) {
	if lastID == "" {
		return l.fresh(ctx, scope, "", show)
	}
	if _, err := show(); err != nil {
		return nil, err
	}
	within, cancel := httpapi.WaitContext(ctx, opening)
	defer cancel()
	s, err := l.hub.Resume(within, scope, lastID)
	switch {
	case errors.Is(err, live.ErrTooOld):
		return l.fresh(ctx, scope, reasonTooOld, show)
	case errors.Is(err, live.ErrTakenBack):
		return l.fresh(ctx, scope, reasonTaken, show)
	case errors.Is(err, live.ErrMalformedID):
		return nil, badEventID("malformed_last_event_id", "the Last-Event-ID header is no id of ours; send it as it was received, or leave it out")
	case errors.Is(err, live.ErrForeignID):
		return nil, badEventID("foreign_last_event_id", "the Last-Event-ID is of another stream, or from before this platform was set up anew; leave it out, and read anew what you show")
	case err != nil:
		return nil, unavailable(err)
	}
	return func(ctx context.Context, send func([]byte) error) error { return s.Run(ctx, nil, send) }, nil
}

// fresh opens a stream where the view stands. What the client reads from the view afterwards has all
// that was before, and the stream tells what comes. The reason, if there is one, is why the client has to.
func (l *liveStreams) fresh(ctx context.Context, scope live.Scope, reason string, show func() (Begun, error)) (httpapi.StreamFunc, error) {
	at, err := l.view.Answers.Reached(ctx, liveTopics...)
	if err != nil {
		return nil, err
	}
	begun, err := show() // after that, so that it is as new at least
	if err != nil {
		return nil, err
	}
	name := nameReady
	if begun.Reason = reason; reason != "" {
		name = nameReset
	}
	data, err := bus.Encode(&begun)
	if err != nil {
		return nil, err
	}
	within, cancel := httpapi.WaitContext(ctx, opening)
	defer cancel()
	s, err := l.hub.From(within, scope, at)
	if errors.Is(err, live.ErrTooOld) {
		return nil, httpapi.RetryAfter(fault.Unavailable("view_behind", "the order view has too much to catch up on to follow it; try again"), viewBehindFor)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	first := &live.Event{Name: name, Data: data}
	return func(ctx context.Context, send func([]byte) error) error { return s.Run(ctx, first, send) }, nil
}

func badEventID(code, detail string) error {
	return &httpapi.Problem{
		Status: 400, Code: code, Detail: detail, Errors: []httpapi.ProblemField{{Location: "header.Last-Event-ID", Message: detail}},
	}
}

// unavailable is for who comes while topics can't be followed, or the process is about to stop.
func unavailable(err error) error {
	if errors.Is(err, live.ErrNotStanding) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return httpapi.RetryAfter(fault.Unavailable("live_unavailable", "live streams cannot be served at present; try again"), viewBehindFor)
	}
	return err
}
