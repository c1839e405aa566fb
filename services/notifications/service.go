package notifications

import (
	"context"
	"fmt"
	"net"
	netmail "net/mail"
	"path/filepath"

	api "github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/process"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service"
)

// Add adds the notifications service to a process: what others tell of orders becomes commands
// on notifications.commands.v1, the mails that they lead to are told on
// notifications.events.v1, and the gateway sends them. What mails are written from is kept in a view.
func Add(p *service.Platform) {
	q := &queries{Reader: p.AddRead(api.Service, newView()), view: newView()}
	q.register(p.API)
	p.AddWrite(Write())
	p.AddForwarder(api.Service, Rules()...)

	g := &gateway{queries: q, viewWait: viewWait, mails: newMailMetrics(p.Metrics.Registry)}
	s := &p.Settings.Mail
	p.Sup.Add(daemon.StageResources, daemon.Component{
		Name: "mail",
		Start: func(context.Context) error {
			if err := g.open(p.Settings); err != nil {
				return daemon.Permanent(fmt.Errorf("mails can't be sent: %w", err))
			}
			return nil
		},
	})
	lanes := s.Connections
	if s.Host == "" {
		lanes = 0 // files need no bound of their own
	}
	p.AddGateway(service.Gateway{
		Service: api.Service, Handlers: []bus.TaskHandler{g.handler()}, Lanes: lanes,
		Attempts: attempts, Timeout: s.Timeout, RetryMin: retryMin, RetryMax: retryMax,
	})
}

// open puts the gateway together as the settings say.
func (g *gateway) open(settings *daemon.Settings) (err error) {
	s := &settings.Mail
	if g.from, err = netmail.ParseAddress(s.Sender()); err != nil {
		return err
	}
	if g.writer, err = newWriter(g.from.Name, s.TrackingURL); err != nil {
		return err
	}
	if s.Host == "" {
		g.transport, err = openOutbox(filepath.Join(settings.Data, "outbox"), s.OutboxFiles)
		return err
	}
	config, err := s.TLSConfig()
	g.transport = &mailServer{
		host: s.Host, port: s.Port, user: s.User, password: s.Password, security: s.TLS, tls: config,
		timeout: s.Timeout, dial: (&net.Dialer{}).DialContext,
	}
	return err
}

// View returns the view, for whoever drives its projection.
func View() projection.View { return newView() }

// Rules choose the events that customers are written to about.
func Rules() []process.Rule {
	stream := Mailboxes.Stream
	return []process.Rule{
		process.Forward(func(e *ordering.OrderConfirmed) string { return stream(e.OrderID) }),
		process.Forward(func(e *ordering.OrderRejected) string { return stream(e.OrderID) }),
		process.Forward(func(e *ordering.OrderCancelled) string { return stream(e.OrderID) }),
		process.Forward(func(e *shipping.ShipmentDispatched) string { return stream(e.OrderID) }),
		process.Forward(func(e *payments.PaymentRefunded) string {
			if e.Amount.Amount == 0 {
				return "" // nothing that anybody would look for on their account
			}
			return stream(e.OrderID)
		}),
	}
}

// Write is what the service decides and publishes, for whoever drives its parts.
func Write() service.Write {
	return service.Write{Name: api.Service, Public: public, Asks: asks, Handlers: handlers}
}

func handlers(engine *es.Engine) []bus.Handler {
	submit := func(ctx context.Context, order string, c Command) error {
		return bus.Submit(ctx, engine, Mailboxes, order, c, false)
	}
	// first is for events that as a rule are the first to be written about.
	request := func(ctx context.Context, order string, kind api.Kind, first bool) error {
		e := bus.EnvelopeFrom(ctx) // of the event, forwarded
		return bus.Submit(ctx, engine, Mailboxes, order, Command(Request{Kind: string(kind), About: e.Causation, At: e.Time}), first)
	}
	return []bus.Handler{
		bus.Handle(func(ctx context.Context, e *ordering.OrderConfirmed) error {
			return request(ctx, e.OrderID, api.KindOrderConfirmed, true)
		}),
		bus.Handle(func(ctx context.Context, e *ordering.OrderRejected) error {
			return request(ctx, e.OrderID, api.KindOrderRejected, true)
		}),
		bus.Handle(func(ctx context.Context, e *ordering.OrderCancelled) error {
			return request(ctx, e.OrderID, api.KindOrderCancelled, false)
		}),
		bus.Handle(func(ctx context.Context, e *shipping.ShipmentDispatched) error {
			return request(ctx, e.OrderID, api.KindShipmentDispatched, false)
		}),
		bus.Handle(func(ctx context.Context, e *payments.PaymentRefunded) error {
			return request(ctx, e.OrderID, api.KindPaymentRefunded, false)
		}),
		bus.Handle(func(ctx context.Context, c *api.ReportMail) error {
			return submit(ctx, c.OrderID, Report{Mail: c.Mail, Send: c.Send, Result: Result(c.Status), Reason: c.Reason})
		}),
		bus.Handle(func(ctx context.Context, c *api.ResendMail) error {
			return submit(ctx, c.OrderID, Resend{Mail: c.Mail, At: bus.EnvelopeFrom(ctx).Time})
		}),
	}
}
