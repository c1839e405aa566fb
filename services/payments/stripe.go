package payments

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v84"

	api "github.com/orderlane/orderlane/api/payments"
)

// stripeName is the provider's name. Its methods are stripe, which the customer completes in
// their browser with the client secret, and stripe_<payment method>, which is confirmed at once with
// a payment method that Stripe knows, such as stripe_pm_card_visa.
const stripeName = "stripe"

// What a payment intent or a refund says of itself in its metadata: how it is found again.
const (
	stripeKey     = "orderlane_key"     // of the operation that made it
	stripeCapture = "orderlane_capture" // of the latest capture
	stripeMethod  = "orderlane_method"
)

// Times of Stripe's.
const (
	// stripeKeysKept is how long a repeated request is sure to be answered as it was at first. From
	// then on it could be carried out once more, so it is not repeated.
	stripeKeysKept = 23 * time.Hour
	// stripeSearchLag is how long it may take until a search finds what was made.
	stripeSearchLag = 2 * time.Minute
)

// stripeConnections are kept open when nothing is asked.
const stripeConnections = 128

// maxRefundsRead bounds how many refunds of a payment are looked through.
const maxRefundsRead = maxMovements

// stripeProvider takes cards through Stripe: payment intents that are captured by hand, in parts
// where the card allows it.
type stripeProvider struct {
	client *stripe.Client
	http   *http.Client
	secret string // that signs callbacks
	clock  func() time.Time
}

// newStripe returns the provider. It does not try again by itself: the gateway does, and asks
// what became of the first try before it does.
func newStripe(key, webhookSecret, url string, clock func() time.Time) *stripeProvider {
	// A transport of its own, since a connection is worth keeping for each lane of the gateway.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = stripeConnections
	own := &http.Client{Transport: transport}
	config := &stripe.BackendConfig{
		HTTPClient: own, MaxNetworkRetries: stripe.Int64(0), EnableTelemetry: stripe.Bool(false),
		LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	}
	if url != "" {
		config.URL = stripe.String(strings.TrimSuffix(url, "/"))
	}
	backends := stripe.NewBackendsWithConfig(config)
	return &stripeProvider{client: stripe.NewClient(key, stripe.WithBackends(backends)), http: own, secret: webhookSecret, clock: clock}
}

// Takes implements Provider.
func (s *stripeProvider) Takes(method string) bool {
	return method == stripeName || len(method) > len(stripeName)+1 && strings.HasPrefix(method, stripeName+"_")
}

// Signature implements Provider.
func (s *stripeProvider) Signature() (header, secret string) { return "Stripe-Signature", s.secret }

// Do implements Provider.
func (s *stripeProvider) Do(ctx context.Context, task *api.CallProvider) (Answer, error) {
	switch task.Operation {
	case api.OperationAuthorize:
		return s.authorize(ctx, task)
	case api.OperationCapture:
		return s.capture(ctx, task)
	case api.OperationVoid:
		return s.void(ctx, task)
	case api.OperationRefund:
		return s.refund(ctx, task)
	}
	return Answer{}, fmt.Errorf("payments: there is no operation %q", task.Operation)
}

func (s *stripeProvider) authorize(ctx context.Context, task *api.CallProvider) (Answer, error) {
	amount, ok := stripeAmount(task.Amount, task.Currency)
	if !ok {
		return Answer{Result: api.ResultDeclined, Code: "amount_not_supported"}, nil
	}
	p := &stripe.PaymentIntentCreateParams{
		Amount: &amount, Currency: stripe.String(strings.ToLower(task.Currency)), CaptureMethod: stripe.String("manual"),
		PaymentMethodTypes: []*string{stripe.String("card")},
		PaymentMethodOptions: &stripe.PaymentIntentCreatePaymentMethodOptionsParams{
			Card: &stripe.PaymentIntentCreatePaymentMethodOptionsCardParams{RequestMulticapture: stripe.String("if_available")},
		},
		Metadata: map[string]string{stripeKey: task.Key, stripeMethod: task.Method},
		Expand:   []*string{stripe.String("latest_charge")},
	}
	if method, ok := strings.CutPrefix(task.Method, stripeName+"_"); ok {
		p.PaymentMethod, p.Confirm = &method, stripe.Bool(true)
	}
	p.SetIdempotencyKey(task.Key)
	pi, err := s.client.V1PaymentIntents.Create(ctx, p)
	if code, refused := refusal(err); refused {
		return Answer{Result: api.ResultDeclined, Code: code}, nil
	}
	if err == nil && pi.LastResponse != nil && pi.LastResponse.Header.Get("Idempotent-Replayed") == "true" {
		pi, err = s.get(ctx, pi.ID) // as it is now, and not as it was when it was made
	}
	if err != nil {
		return Answer{}, silent(err)
	}
	a := authorization(pi)
	if a.Result == api.ResultDone && task.ReplacesRef != "" {
		// What this one replaces runs out by itself, if it can't be given up now.
		_, _ = s.client.V1PaymentIntents.Cancel(ctx, task.ReplacesRef, &stripe.PaymentIntentCancelParams{})
	}
	return a, nil
}

func (s *stripeProvider) capture(ctx context.Context, task *api.CallProvider) (Answer, error) {
	amount, ok := stripeAmount(task.Amount, task.Currency)
	if !ok {
		return Answer{Result: api.ResultDeclined, Ref: task.PaymentRef, Code: "amount_not_supported"}, nil
	}
	p := &stripe.PaymentIntentCaptureParams{AmountToCapture: &amount, Metadata: map[string]string{stripeCapture: task.Key}}
	if !task.Final { // what is not said is final; where a card allows one capture, it may not be said
		p.FinalCapture = stripe.Bool(false)
	}
	p.SetIdempotencyKey(task.Key)
	pi, err := s.client.V1PaymentIntents.Capture(ctx, task.PaymentRef, p)
	if code, refused := refusal(err); refused {
		// It may be refused since it was done before.
		if a, found, err := s.findCapture(ctx, task); err != nil || found {
			return a, err
		}
		return Answer{Result: api.ResultDeclined, Ref: task.PaymentRef, Code: code}, nil
	}
	if err != nil {
		return Answer{}, silent(err)
	}
	return captured(pi), nil
}

func captured(pi *stripe.PaymentIntent) Answer {
	a := Answer{Result: api.ResultDone, Ref: pi.ID}
	if pi.Status == stripe.PaymentIntentStatusProcessing {
		a.Result = api.ResultPending
	}
	return a
}

// void gives up a payment, whose name is not known if nobody has answered yet. Where nothing is
// found a moment after it was asked for, that says nothing.
func (s *stripeProvider) void(ctx context.Context, task *api.CallProvider) (Answer, error) {
	ref := task.PaymentRef
	if ref == "" {
		pi, err := s.search(ctx, task.PaymentKey)
		switch {
		case err != nil:
			return Answer{}, err
		case pi == nil && s.clock().Sub(task.First) < stripeSearchLag:
			return Answer{}, fmt.Errorf("payments: Stripe does not find %s yet: %w", task.PaymentKey, ErrSilent)
		case pi == nil:
			return Answer{Result: api.ResultDone}, nil
		}
		ref = pi.ID
	}
	p := &stripe.PaymentIntentCancelParams{}
	p.SetIdempotencyKey(task.Key)
	pi, err := s.client.V1PaymentIntents.Cancel(ctx, ref, p)
	if code, refused := refusal(err); refused {
		if pi, err = s.get(ctx, ref); err == nil && !over(pi) {
			return Answer{Result: api.ResultDeclined, Ref: ref, Code: code}, nil
		}
	}
	if err != nil {
		return Answer{}, silent(err)
	}
	return Answer{Result: api.ResultDone, Ref: pi.ID}, nil
}

// over reports whether nothing can be captured from a payment any more.
func over(pi *stripe.PaymentIntent) bool {
	return pi.Status == stripe.PaymentIntentStatusCanceled || pi.Status == stripe.PaymentIntentStatusSucceeded
}

func (s *stripeProvider) refund(ctx context.Context, task *api.CallProvider) (Answer, error) {
	amount, ok := stripeAmount(task.Amount, task.Currency)
	if !ok {
		return Answer{Result: api.ResultDeclined, Ref: task.PaymentRef, Code: "amount_not_supported"}, nil
	}
	p := &stripe.RefundCreateParams{
		PaymentIntent: &task.PaymentRef, Amount: &amount, Metadata: map[string]string{stripeKey: task.Key},
	}
	p.SetIdempotencyKey(task.Key)
	r, err := s.client.V1Refunds.Create(ctx, p)
	if code, refused := refusal(err); refused {
		return Answer{Result: api.ResultDeclined, Ref: task.PaymentRef, Code: code}, nil
	}
	if err != nil {
		return Answer{}, silent(err)
	}
	return refunded(string(r.Status), string(r.FailureReason)), nil
}

func refunded(status, reason string) Answer {
	switch stripe.RefundStatus(status) {
	case stripe.RefundStatusSucceeded:
		return Answer{Result: api.ResultDone}
	case stripe.RefundStatusFailed, stripe.RefundStatusCanceled:
		if reason == "" {
			reason = "refund_" + status
		}
		return Answer{Result: api.ResultDeclined, Code: reason}
	}
	return Answer{Result: api.ResultPending}
}

// authorization is what a payment intent says of the authorisation that it was made for.
func authorization(pi *stripe.PaymentIntent) Answer {
	a := Answer{Result: api.ResultPending, Ref: pi.ID}
	switch pi.Status {
	case stripe.PaymentIntentStatusRequiresCapture, stripe.PaymentIntentStatusSucceeded:
		a.Result, a.Amount, a.OneCapture = api.ResultDone, fromStripe(pi.AmountCapturable+pi.AmountReceived, string(pi.Currency)), true
		if c := pi.LatestCharge; c != nil && c.PaymentMethodDetails != nil && c.PaymentMethodDetails.Card != nil {
			card := c.PaymentMethodDetails.Card
			a.OneCapture = card.Multicapture == nil || card.Multicapture.Status != stripe.ChargePaymentMethodDetailsCardMulticaptureStatusAvailable
			if card.CaptureBefore > 0 {
				a.ExpiresAt = time.Unix(card.CaptureBefore, 0).UTC()
			}
		}
	case stripe.PaymentIntentStatusCanceled:
		a.Result, a.Code = api.ResultDeclined, "canceled"
	case stripe.PaymentIntentStatusRequiresPaymentMethod:
		// Whoever completes it in a browser may try another card.
		if pi.Metadata[stripeMethod] != stripeName && pi.LastPaymentError != nil {
			a.Result, a.Code = api.ResultDeclined, codeOf(pi.LastPaymentError)
			break
		}
		fallthrough
	case stripe.PaymentIntentStatusRequiresAction, stripe.PaymentIntentStatusRequiresConfirmation:
		a.Result, a.ClientSecret = api.ResultActionRequired, pi.ClientSecret
	}
	return a
}

// refusal is why Stripe has refused a request: then it was not carried out. Any other error
// leaves that open.
func refusal(err error) (code string, refused bool) {
	var e *stripe.Error
	if !errors.As(err, &e) || e.Type != stripe.ErrorTypeCard && e.Type != stripe.ErrorTypeInvalidRequest {
		return "", false
	}
	switch e.HTTPStatusCode {
	case http.StatusBadRequest, http.StatusPaymentRequired, http.StatusNotFound:
		return codeOf(e), true
	}
	return "", false
}

func codeOf(e *stripe.Error) string {
	switch {
	case e.DeclineCode != "":
		return string(e.DeclineCode)
	case e.Code != "":
		return string(e.Code)
	}
	return string(e.Type)
}

// silent is an error as it may be logged: Stripe's own holds whole payments, with their secrets.
func silent(err error) error {
	var e *stripe.Error
	if errors.As(err, &e) {
		return fmt.Errorf("payments: Stripe answered %d %s %s to request %s", e.HTTPStatusCode, e.Type, e.Code, e.RequestID)
	}
	return fmt.Errorf("payments: call Stripe: %w", err)
}
