package payments

import (
	"context"
	"fmt"
	"time"

	api "github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/service"
)

// Add adds the payments service to a process: it consumes payments.commands.v1, publishes
// payments.events.v1 and payments.personal.v1, calls providers for the tasks on
// payments.tasks.v1, and takes their callbacks at /v1/payments/webhooks.
func Add(p *service.Platform) {
	s := p.Settings
	known := providers{}
	hooks := &webhooks{
		providers: known, clock: p.Clock,
		publish: func(ctx context.Context, r []kafka.Record) error { return p.Producer.Publish(ctx, r) },
	}
	hooks.register(p.API)
	if secret := s.SandboxSecret(); secret != "" {
		back := newCallbacks(secret, p.Clock)
		back.accept = hooks.accept
		known[sandboxName] = &sandbox{secret: secret, clock: p.Clock, callbacks: back}
		p.Sup.Add(daemon.StageConsumers, daemon.Component{Name: "payments sandbox", Run: back.run})
	}
	if s.Payments.StripeKey != "" {
		known[stripeName] = newStripe(s.Payments.StripeKey, s.Payments.StripeWebhookSecret, s.Payments.StripeURL, p.Clock)
	}
	p.AddWrite(write(known, s.Payments.CompleteWithin, p.Clock))
	g := &gateway{providers: known, timeout: s.Payments.Timeout}
	p.AddGateway(service.Gateway{
		Service: api.Service, Handlers: []bus.TaskHandler{g.handler()},
		Attempts: gatewayAttempts, Timeout: g.patience(), RetryMin: gatewayRetryMin, RetryMax: gatewayRetryMax,
	})
}

// Write is what the service decides and publishes, with the sandbox as its only provider and
// payments that may take so long, for whoever drives its parts.
func Write(completeWithin time.Duration, clock func() time.Time) service.Write {
	return write(providers{sandboxName: &sandbox{clock: clock}}, completeWithin, clock)
}

func write(known providers, completeWithin time.Duration, clock func() time.Time) service.Write {
	return service.Write{
		Name: api.Service, Personal: true, Public: public, Asks: asks,
		Handlers: func(engine *es.Engine) []bus.Handler {
			w := &writer{engine: engine, providers: known, completeWithin: completeWithin, clock: clock}
			return w.handlers()
		},
	}
}

// writer turns the service's commands into decisions.
type writer struct {
	engine         *es.Engine
	providers      providers
	completeWithin time.Duration
	clock          func() time.Time
}

// maxReference bounds references: they are a part of idempotency keys, which providers bound.
const maxReference = 150

func (w *writer) handlers() []bus.Handler {
	return []bus.Handler{
		bus.Handle(func(ctx context.Context, c *api.RequestPayment) error {
			lines := make([]Line, len(c.Lines))
			for i, l := range c.Lines {
				lines[i] = Line{Line: l.Line, Quantity: l.Quantity, Total: l.Total, Tax: l.Tax}
			}
			return bus.Submit(ctx, w.engine, Payments, c.OrderID, Command(Request{
				Customer: c.CustomerID, Provider: w.providers.of(c.Method), Method: c.Method, Amount: c.Amount, Lines: lines,
				Delivery: Worth{Total: c.Delivery, Tax: c.DeliveryTax}, CompleteWithin: w.completeWithin, At: w.from(ctx),
			}), true)
		}),
		bus.Handle(func(ctx context.Context, c *api.CapturePayment) error {
			return w.submit(ctx, c.OrderID, c.Reference, Capture{
				Reference: c.Reference, Units: unitsFrom(c.Lines), At: w.from(ctx),
			})
		}),
		bus.Handle(func(ctx context.Context, c *api.VoidPayment) error {
			return w.submit(ctx, c.OrderID, c.Reference, Void{
				Reference: c.Reference, Units: unitsFrom(c.Lines), Reason: c.Reason, At: bus.EnvelopeFrom(ctx).Time,
			})
		}),
		bus.Handle(func(ctx context.Context, c *api.RefundPayment) error {
			e := bus.EnvelopeFrom(ctx)
			return w.submit(ctx, c.OrderID, c.Reference, Refund{
				Order: c.OrderID, Reference: c.Reference, Amount: c.Amount, Units: unitsFrom(c.Lines), Delivery: c.Delivery, Reason: c.Reason,
				Staff: !e.Internal(), At: e.Time,
			})
		}),
		bus.Handle(w.report),
		bus.HandleWakes(api.Service, bus.Waker(w.engine, Payments, func(_ string, due time.Time) Command {
			// A clock that lags behind the one that has set the deadline must not undo it.
			if now := w.clock(); now.After(due) {
				due = now
			}
			return Wake{At: due}
		})),
	}
}

// from is when the time begins that a customer and a provider have for what a command asks: when it is
// taken up, if it has waited for us.
func (w *writer) from(ctx context.Context) time.Time {
	sent := bus.EnvelopeFrom(ctx).Time
	if now := w.clock(); now.After(sent) {
		return now
	}
	return sent
}

// report takes what a provider has answered. A report of something that is not ours is a fault
// of whoever sent it, and is parked.
func (w *writer) report(ctx context.Context, c *api.ReportPayment) error {
	order, op, n, reference, err := parseKey(c.Key)
	if err != nil {
		return err
	}
	if order != c.OrderID || op != Operation(c.Operation) {
		return fmt.Errorf("payments: a report on %s of order %q has the key %q", c.Operation, c.OrderID, c.Key)
	}
	return bus.Submit(ctx, w.engine, Payments, c.OrderID, Command(Report{
		Operation: op, N: n, Reference: reference, Result: Result(c.Result), Ref: c.ProviderRef, Amount: c.Amount, Code: c.Code,
		Secret: c.ClientSecret, ExpiresAt: c.ExpiresAt, OneCapture: c.OneCapture, At: bus.EnvelopeFrom(ctx).Time,
	}), false)
}

func (w *writer) submit(ctx context.Context, order, reference string, c Command) error {
	if reference == "" || len(reference) > maxReference {
		return fmt.Errorf("payments: a reference has 1 to %d bytes, and this one %d", maxReference, len(reference))
	}
	return bus.Submit(ctx, w.engine, Payments, order, c, false)
}

func unitsFrom(lines []api.Units) []Units {
	units := make([]Units, len(lines))
	for i, l := range lines {
		units[i] = Units(l)
	}
	return units
}
