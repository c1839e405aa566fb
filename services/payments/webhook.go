package payments

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	api "github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// webhooks takes the callbacks of providers and passes them on as reports.
type webhooks struct {
	providers providers
	clock     func() time.Time
	publish   func(context.Context, []kafka.Record) error
}

// webhookRetry is when a provider whose callback could not be passed on should send it again.
const webhookRetry = 5 * time.Second

// received answers a provider: its callback is taken over, or is of no interest.
type received struct {
	Body struct {
		Received bool `json:"received"`
	}
}

func (w *webhooks) register(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "payment-webhook", Method: http.MethodPost, Path: "/v1/payments/webhooks/{provider}",
		Summary: "A payment provider's callback", Tags: []string{"payments"}, Security: httpapi.Public,
		Description: "Signed by the provider, and not older than five minutes. A repeat changes nothing. It is answered when the broker has it for good.",
	}, func(ctx context.Context, in *struct {
		Provider string `path:"provider" enum:"sandbox,stripe"`
		Stripe   string `header:"Stripe-Signature" doc:"t=seconds,v1=signature"`
		Sandbox  string `header:"Sandbox-Signature" doc:"The same scheme: HMAC-SHA256 of seconds, a dot and the body, in hex"`
		RawBody  []byte `contentType:"application/json"`
	},
	) (*received, error) {
		headers := map[string]string{"Stripe-Signature": in.Stripe, "Sandbox-Signature": in.Sandbox}
		if err := w.accept(ctx, in.Provider, func(name string) string { return headers[name] }, httpapi.RawBody(ctx)); err != nil {
			return nil, err
		}
		out := &received{}
		out.Body.Received = true
		return out, nil
	})
}

// accept checks a callback and publishes what it reports. After an error nothing has happened,
// or the same callback can be sent again.
func (w *webhooks) accept(ctx context.Context, provider string, header func(string) string, body []byte) error {
	p := w.providers[provider]
	if p == nil {
		return fault.NotFound("payment_provider", provider)
	}
	name, secret := p.Signature()
	if err := checkSignature(header(name), secret, body, w.clock()); err != nil {
		return err
	}
	c, err := p.Read(ctx, body)
	if err != nil {
		return err
	}
	if c.Key == "" {
		return nil
	}
	order, op, _, _, err := parseKey(c.Key)
	if err != nil {
		return fault.Invalid("webhook_unknown_payment", "the callback is about %q, which is no payment of ours", c.Key)
	}
	r := report(order, c.Key, provider, api.Operation(op), &c.Answer)
	data, err := bus.Encode(r)
	if err != nil {
		return err
	}
	// The provider repeats a callback with the id that it had: the engine's inbox knows it then.
	command, stream, none := bus.DeriveID("webhook", provider, c.ID, c.Key).String(), Payments.Stream(order), bus.NoReply
	e := bus.Envelope{
		ID: command, Type: r.MessageType(), Source: bus.Source(api.Service), Subject: stream, Time: w.clock(),
		Traceparent: httpapi.Traceparent(ctx), Correlation: command, Caller: bus.Caller{ID: provider, Role: bus.RoleService}, ReplyTo: &none,
	}
	if err := w.publish(ctx, []kafka.Record{e.Record(bus.CommandsTopic(api.Service), []byte(stream), data)}); err != nil {
		return httpapi.RetryAfter(fault.Unavailable("broker_unavailable", "the broker does not answer; send the callback again"), webhookRetry)
	}
	return nil
}
