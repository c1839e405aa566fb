package payments

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/stripe/stripe-go/v84"

	api "github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
)

// Find implements Provider. What is not found can be asked for again while Stripe knows the
// idempotency key; after that nobody can say any more, and it is not.
func (s *stripeProvider) Find(ctx context.Context, task *api.CallProvider) (a Answer, found bool, err error) {
	switch task.Operation {
	case api.OperationAuthorize:
		a, found, err = s.findAuthorization(ctx, task)
	case api.OperationCapture:
		a, found, err = s.findCapture(ctx, task)
	case api.OperationVoid:
		return Answer{}, false, nil // to void what is void changes nothing
	case api.OperationRefund:
		a, found, err = s.findRefund(ctx, task)
	}
	if err == nil && !found && s.clock().Sub(task.First) > stripeKeysKept {
		err = fmt.Errorf("payments: Stripe does not find %s, and it is too late to ask for it again", task.Key)
	}
	return a, found, err
}

func (s *stripeProvider) get(ctx context.Context, ref string) (*stripe.PaymentIntent, error) {
	return s.client.V1PaymentIntents.Retrieve(ctx, ref, &stripe.PaymentIntentRetrieveParams{Expand: []*string{stripe.String("latest_charge")}})
}

// search finds the payment intent that was made with a key; nil if it finds none.
func (s *stripeProvider) search(ctx context.Context, key string) (*stripe.PaymentIntent, error) {
	if strings.ContainsAny(key, `"\`) {
		return nil, fmt.Errorf("payments: %q can't be searched for", key)
	}
	p := &stripe.PaymentIntentSearchParams{Expand: []*string{stripe.String("data.latest_charge")}}
	p.Query = fmt.Sprintf(`metadata["%s"]:"%s"`, stripeKey, key)
	for pi, err := range s.client.V1PaymentIntents.Search(ctx, p) {
		if err != nil {
			return nil, silent(err)
		}
		if pi.Metadata[stripeKey] == key {
			return pi, nil
		}
		break // a search for a whole value finds it first, or not at all
	}
	return nil, nil
}

func (s *stripeProvider) findAuthorization(ctx context.Context, task *api.CallProvider) (Answer, bool, error) {
	pi, err := s.locate(ctx, task)
	if err != nil || pi == nil {
		return Answer{}, false, err
	}
	return authorization(pi), true, nil
}

// locate finds the payment that a task is about; nil if it finds none.
func (s *stripeProvider) locate(ctx context.Context, task *api.CallProvider) (*stripe.PaymentIntent, error) {
	if task.PaymentRef == "" {
		return s.search(ctx, task.PaymentKey)
	}
	pi, err := s.get(ctx, task.PaymentRef)
	if err != nil {
		return nil, silent(err)
	}
	return pi, nil
}

func (s *stripeProvider) findCapture(ctx context.Context, task *api.CallProvider) (Answer, bool, error) {
	pi, err := s.locate(ctx, task)
	if err != nil || pi == nil || pi.Metadata[stripeCapture] != task.Key {
		return Answer{}, false, err
	}
	return captured(pi), true, nil
}

func (s *stripeProvider) findRefund(ctx context.Context, task *api.CallProvider) (Answer, bool, error) {
	p := &stripe.RefundListParams{PaymentIntent: &task.PaymentRef}
	p.Limit = stripe.Int64(100)
	read := 0
	for r, err := range s.client.V1Refunds.List(ctx, p) {
		switch {
		case err != nil:
			return Answer{}, false, silent(err)
		case r.Metadata[stripeKey] == task.Key:
			return refunded(string(r.Status), string(r.FailureReason)), true, nil
		}
		if read++; read == maxRefundsRead {
			return Answer{}, false, fmt.Errorf("payments: %s has more than %d refunds", task.PaymentRef, read)
		}
	}
	return Answer{}, false, nil
}

// stripeEvent is what is read of a callback.
type stripeEvent struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Data struct {
		Object struct {
			ID            string            `json:"id"`
			PaymentIntent string            `json:"payment_intent"`
			Status        string            `json:"status"`
			FailureReason string            `json:"failure_reason"`
			Metadata      map[string]string `json:"metadata"`
		} `json:"object"`
	} `json:"data"`
}

// Read implements Provider. Callbacks come in any order, and say how things stood when they were
// made: what they are about is asked for as it is now.
func (s *stripeProvider) Read(ctx context.Context, body []byte) (*Callback, error) {
	var e stripeEvent
	if err := json.Unmarshal(body, &e); err != nil || e.ID == "" || e.Type == "" {
		return nil, fault.Invalid("webhook_unreadable", "the callback can't be read; it is an event of Stripe's")
	}
	object := &e.Data.Object
	switch e.Type {
	case "payment_intent.amount_capturable_updated", "payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.canceled":
		return s.readPayment(ctx, e.ID, object.ID)
	case "charge.captured":
		return s.readPayment(ctx, e.ID, object.PaymentIntent)
	case "refund.updated", "refund.failed", "charge.refund.updated":
		return &Callback{ID: e.ID, Key: object.Metadata[stripeKey], Answer: refunded(object.Status, object.FailureReason)}, nil
	}
	return &Callback{ID: e.ID}, nil
}

func (s *stripeProvider) readPayment(ctx context.Context, event, ref string) (*Callback, error) {
	pi, err := s.get(ctx, ref)
	if _, refused := refusal(err); refused {
		return &Callback{ID: event}, nil // it is another account's
	}
	if err != nil {
		return nil, httpapi.RetryAfter(fault.Unavailable("payment_provider_unavailable", "Stripe does not answer; send the callback again"), webhookRetry)
	}
	if key := pi.Metadata[stripeCapture]; key != "" && pi.AmountReceived > 0 {
		return &Callback{ID: event, Key: key, Answer: captured(pi)}, nil
	}
	return &Callback{ID: event, Key: pi.Metadata[stripeKey], Answer: authorization(pi)}, nil
}
