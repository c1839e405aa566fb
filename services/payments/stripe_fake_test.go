package payments

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/stripe/stripe-go/v84/webhook"
)

// fakeStripe is the part of Stripe that the provider uses, with its states, amounts and
// idempotency keys. Cards are told by the payment method: pm_card_visa allows several
// captures, pm_card_one does not, and others are declined or ask for 3-D Secure.
type fakeStripe struct {
	*httptest.Server
	clock func() time.Time

	mu       sync.Mutex
	payments map[string]*fakePayment
	refunds  []*fakeRefund
	answers  map[string]fakeAnswer // by idempotency key
	events   []map[string]any      // to be told by webhook
	charges  int                   // that money was held or taken for, ever
	lose     int                   // so many answers are lost, after the work was done
	lag      bool                  // searches find nothing yet
}

type fakePayment struct {
	ID, Status, Secret             string
	Currency                       string
	Amount, Received, Capturable   int64
	Multicapture, Failed, Finished bool
	Metadata                       map[string]string
}

type fakeRefund struct {
	ID, Payment, Status string
	Amount              int64
	Metadata            map[string]string
}

type fakeAnswer struct {
	status int
	body   any
	form   string
}

const stripeSecret = "whsec_of_the_fake"

func newFakeStripe(t *testing.T, clock func() time.Time) *fakeStripe {
	f := &fakeStripe{clock: clock, payments: map[string]*fakePayment{}, answers: map[string]fakeAnswer{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeStripe) provider(t *testing.T) *stripeProvider {
	p := newStripe("sk_test_1", stripeSecret, f.URL, f.clock)
	t.Cleanup(p.http.CloseIdleConnections)
	return p
}

// ServeHTTP answers as Stripe does: a key that it knows gets the answer of its first request.
func (f *fakeStripe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := r.ParseForm(); err != nil || r.Header.Get("Authorization") != "Bearer sk_test_1" {
		f.reply(w, fakeAnswer{status: 401, body: fakeError("invalid_request_error", "api_key_invalid", "")})
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	key := r.Header.Get("Idempotency-Key")
	known, repeated := f.answers[key]
	if repeated && known.form != r.PostForm.Encode() {
		f.reply(w, fakeAnswer{status: 400, body: fakeError("idempotency_error", "", "")})
		return
	}
	a := known
	if repeated {
		w.Header().Set("Idempotent-Replayed", "true")
	} else {
		a = f.handle(r.Method, path, r.Form)
	}
	if r.Method == http.MethodPost && key != "" {
		a.form = r.PostForm.Encode()
		f.answers[key] = a
	}
	if f.lose > 0 && r.Method == http.MethodPost {
		f.lose--
		panic(http.ErrAbortHandler) // the connection is cut
	}
	f.reply(w, a)
}

func (f *fakeStripe) reply(w http.ResponseWriter, a fakeAnswer) {
	data, err := json.Marshal(a.body, json.Deterministic(true))
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_, _ = w.Write(data)
}

func fakeError(kind, code, decline string) map[string]any {
	return map[string]any{"error": map[string]any{"type": kind, "code": code, "decline_code": decline, "message": "no"}}
}

func refuse(status int, kind, code, decline string) fakeAnswer {
	return fakeAnswer{status: status, body: fakeError(kind, code, decline)}
}

func (f *fakeStripe) handle(method, path string, form url.Values) fakeAnswer {
	parts := strings.Split(path, "/")
	switch {
	case method == "POST" && path == "payment_intents":
		return f.create(form)
	case method == "GET" && path == "payment_intents/search":
		return f.search(form.Get("query"))
	case method == "POST" && path == "refunds":
		return f.refund(form)
	case method == "GET" && path == "refunds":
		return f.list(form)
	}
	if parts[0] != "payment_intents" || len(parts) < 2 || f.payments[parts[1]] == nil {
		return refuse(404, "invalid_request_error", "resource_missing", "")
	}
	p := f.payments[parts[1]]
	switch {
	case method == "GET":
		return fakeAnswer{status: 200, body: f.tell(p, true)}
	case len(parts) == 3 && parts[2] == "capture":
		return f.capture(p, form)
	case len(parts) == 3 && parts[2] == "cancel":
		return f.cancel(p)
	}
	return refuse(404, "invalid_request_error", "", "")
}

func (f *fakeStripe) create(form url.Values) fakeAnswer {
	p := &fakePayment{ID: fmt.Sprintf("pi_%d", len(f.payments)+1), Status: "requires_payment_method", Metadata: metadata(form)}
	p.Amount, _ = strconv.ParseInt(form.Get("amount"), 10, 64)
	p.Secret = p.ID + "_secret_of_the_customer"
	p.Currency = form.Get("currency")
	if p.Amount < 1 || len(p.Currency) != 3 || form.Get("capture_method") != "manual" {
		return refuse(400, "invalid_request_error", "parameter_invalid", "")
	}
	f.payments[p.ID] = p
	if form.Get("confirm") == "true" {
		return f.confirm(p, form.Get("payment_method"))
	}
	return fakeAnswer{status: 200, body: f.tell(p, true)}
}

// confirm is what the customer, or whoever has the payment method, does.
func (f *fakeStripe) confirm(p *fakePayment, method string) fakeAnswer {
	switch method {
	case "pm_card_visa", "pm_card_one":
		p.Status, p.Capturable, p.Multicapture = "requires_capture", p.Amount, method == "pm_card_visa"
		f.charges++
		f.event("payment_intent.amount_capturable_updated", f.tell(p, false))
	case "pm_card_3ds":
		p.Status = "requires_action"
		f.event("payment_intent.requires_action", f.tell(p, false))
	case "pm_card_declined":
		p.Failed = true
		f.event("payment_intent.payment_failed", f.tell(p, false))
		return refuse(402, "card_error", "card_declined", "insufficient_funds")
	default:
		return refuse(400, "invalid_request_error", "resource_missing", "")
	}
	return fakeAnswer{status: 200, body: f.tell(p, true)}
}

func (f *fakeStripe) capture(p *fakePayment, form url.Values) fakeAnswer {
	amount, _ := strconv.ParseInt(form.Get("amount_to_capture"), 10, 64)
	final := form.Get("final_capture") != "false"
	switch {
	case p.Status != "requires_capture":
		return refuse(400, "invalid_request_error", "payment_intent_unexpected_state", "")
	case amount < 1 || amount > p.Capturable:
		return refuse(400, "invalid_request_error", "amount_too_large", "")
	case !final && !p.Multicapture:
		return refuse(400, "invalid_request_error", "parameter_invalid", "")
	}
	maps.Copy(p.Metadata, metadata(form))
	p.Received += amount
	p.Capturable -= amount
	f.event("charge.captured", map[string]any{"id": "ch", "object": "charge", "payment_intent": p.ID})
	if final || p.Capturable == 0 {
		p.Status, p.Capturable = "succeeded", 0
		f.event("payment_intent.succeeded", f.tell(p, false))
	}
	return fakeAnswer{status: 200, body: f.tell(p, false)}
}

func (f *fakeStripe) cancel(p *fakePayment) fakeAnswer {
	switch {
	case p.Status == "canceled" || p.Status == "succeeded":
		return refuse(400, "invalid_request_error", "payment_intent_unexpected_state", "")
	case p.Received > 0:
		p.Status = "succeeded"
	default:
		p.Status = "canceled"
		f.event("payment_intent.canceled", f.tell(p, false))
	}
	p.Capturable = 0
	return fakeAnswer{status: 200, body: f.tell(p, false)}
}

func (f *fakeStripe) refund(form url.Values) fakeAnswer {
	p := f.payments[form.Get("payment_intent")]
	amount, _ := strconv.ParseInt(form.Get("amount"), 10, 64)
	if p == nil || amount < 1 || amount > p.Received-f.refunded(p.ID) {
		return refuse(400, "invalid_request_error", "charge_already_refunded", "")
	}
	r := &fakeRefund{ID: fmt.Sprintf("re_%d", len(f.refunds)+1), Payment: p.ID, Status: "succeeded", Amount: amount, Metadata: metadata(form)}
	if amount == slowRefund {
		r.Status = "pending"
	}
	f.refunds = append(f.refunds, r)
	return fakeAnswer{status: 200, body: r.tell()}
}

// slowRefund is an amount whose refund takes days.
const slowRefund = 777

func (f *fakeStripe) refunded(payment string) (sum int64) {
	for _, r := range f.refunds {
		if r.Payment == payment && r.Status != "failed" {
			sum += r.Amount
		}
	}
	return sum
}

func (r *fakeRefund) tell() map[string]any {
	return map[string]any{"id": r.ID, "object": "refund", "amount": r.Amount, "status": r.Status, "payment_intent": r.Payment, "metadata": r.Metadata}
}

func (f *fakeStripe) list(form url.Values) fakeAnswer {
	data := []any{}
	for _, r := range slices.Backward(f.refunds) {
		if r.Payment == form.Get("payment_intent") {
			data = append(data, r.tell())
		}
	}
	return fakeAnswer{status: 200, body: map[string]any{"object": "list", "data": data, "has_more": false, "url": "/v1/refunds"}}
}

func (f *fakeStripe) search(query string) fakeAnswer {
	data := []any{}
	for _, p := range f.payments {
		if !f.lag && query == fmt.Sprintf(`metadata["orderlane_key"]:"%s"`, p.Metadata["orderlane_key"]) {
			data = append(data, f.tell(p, true))
		}
	}
	return fakeAnswer{status: 200, body: map[string]any{"object": "search_result", "data": data, "has_more": false, "url": "/v1/payment_intents/search"}}
}

// tell is a payment intent as Stripe shows it, its charge in full or as its name only.
func (f *fakeStripe) tell(p *fakePayment, expanded bool) map[string]any {
	o := map[string]any{
		"id": p.ID, "object": "payment_intent", "amount": p.Amount, "amount_capturable": p.Capturable, "amount_received": p.Received,
		"currency": p.Currency, "status": p.Status, "client_secret": p.Secret, "metadata": maps.Clone(p.Metadata),
	}
	if p.Failed {
		o["last_payment_error"] = map[string]any{"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}
	}
	if p.Capturable+p.Received > 0 {
		o["latest_charge"] = "ch_" + p.ID
		if expanded {
			status := "unavailable"
			if p.Multicapture {
				status = "available"
			}
			o["latest_charge"] = map[string]any{"id": "ch_" + p.ID, "object": "charge", "payment_method_details": map[string]any{
				"type": "card", "card": map[string]any{"multicapture": map[string]any{"status": status}, "capture_before": f.clock().Add(week).Unix()},
			}}
		}
	}
	return o
}

func (f *fakeStripe) event(kind string, object map[string]any) {
	f.events = append(f.events, map[string]any{
		"id": fmt.Sprintf("evt_%d", len(f.events)+1), "object": "event", "type": kind, "data": map[string]any{"object": object},
	})
}

// callback is an event's body and signature, made with Stripe's own library.
func (f *fakeStripe) callback(t *testing.T, event map[string]any) (body, signature string) {
	t.Helper()
	data, err := json.Marshal(event, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: data, Secret: stripeSecret, Timestamp: f.clock()})
	return string(data), signed.Header
}

func metadata(form url.Values) map[string]string {
	m := map[string]string{}
	for name, values := range form {
		if k, ok := strings.CutPrefix(name, "metadata["); ok {
			m[strings.TrimSuffix(k, "]")] = values[0]
		}
	}
	return m
}
