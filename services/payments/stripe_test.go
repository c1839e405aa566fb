package payments

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v84"

	api "github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/money"
)

// stripeDesk is a desk whose only provider beside the sandbox is a stand-in for Stripe.
func stripeDesk(t *testing.T) (*desk, *fakeStripe) {
	var d *desk
	f := newFakeStripe(t, func() time.Time { return d.Now })
	d = newDesk(t, func(known providers) { known[stripeName] = f.provider(t) })
	return d, f
}

// tell delivers all that Stripe has to tell, from an event on.
func (d *desk) tell(f *fakeStripe, from int) {
	d.t.Helper()
	for _, event := range f.events[from:] {
		d.tellOne(f, event)
	}
}

func (d *desk) tellOne(f *fakeStripe, event map[string]any) {
	d.t.Helper()
	body, signature := f.callback(d.t, event)
	if a := d.call("stripe", body, "Stripe-Signature", signature); a.Code != 200 {
		d.t.Fatalf("%s: %d %s", body, a.Code, a.body)
	}
}

func TestACardIsCapturedInPartsAndRefunded(t *testing.T) {
	d, f := stripeDesk(t)
	d.request("stripe_pm_card_visa").work().then("requested", `authorized "expires_at":"2026-11-30T12:00:00Z"`)
	d.capture("s1", all[0]).work().then("capture_requested", `captured "amount":{"amount":2998`)
	d.capture("s2", all[1]).work().then("capture_requested", `captured "status":"captured"`)
	d.send(&api.RefundPayment{OrderID: "o-1", Reference: "r1", Lines: all}).work().then("refund_requested", "refunded")
	d.tell(f, 0)
	d.tell(f, 0)
	d.then()
	p := f.payments["pi_1"]
	if p.Received != 3998 || p.Status != "succeeded" || f.refunded("pi_1") != 3598 || f.charges != 1 {
		t.Errorf("%+v, refunded %d, charged %d times", p, f.refunded("pi_1"), f.charges)
	}
}

func TestACardThatAllowsOneCaptureIsCapturedOnce(t *testing.T) {
	d, f := stripeDesk(t)
	d.request("stripe_pm_card_one").work().then("requested", "authorized")
	d.capture("s1", all[0]).work().then("capture_requested", `captured "amount":{"amount":3998`)
	d.send(&api.VoidPayment{OrderID: "o-1", Reference: "v", Lines: all[1:]}).work().then("voided", "refund_requested", `refunded "amount":{"amount":1000`)
	if p := f.payments["pi_1"]; p.Received != 3998 || f.refunded("pi_1") != 1000 {
		t.Errorf("%+v, refunded %d", p, f.refunded("pi_1"))
	}
}

func TestACardIsDeclinedForTheBanksReason(t *testing.T) {
	d, f := stripeDesk(t)
	d.request("stripe_pm_card_declined").work().then("requested", `declined "code":"insufficient_funds"`)
	d.tell(f, 0)
	d.then()
	d, _ = stripeDesk(t)
	d.request("stripe_pm_none").work().then("requested", `declined "code":"resource_missing"`)
}

func TestACustomerCompletesAPaymentWithItsSecret(t *testing.T) {
	for _, method := range []string{"stripe", "stripe_pm_card_3ds"} {
		d, f := stripeDesk(t)
		d.request(method).work().then("requested", "action_required")
		if d.Published(); strings.Contains(strings.Join(d.Published(), ""), "secret_of_the_customer") {
			t.Error("the secret is in an event")
		}
		told := len(f.events)
		f.confirm(f.payments["pi_1"], "pm_card_visa")
		d.tell(f, told)
		d.then(`authorized "expires_at":"2026-11-30T12:00:00Z"`)
		d.capture("s1", all[0]).work().then("capture_requested", `captured "amount":{"amount":2998`)
	}
}

func TestATryThatFailsInTheBrowserIsNotTheLast(t *testing.T) {
	d, f := stripeDesk(t)
	d.request("stripe").work().then("requested", "action_required")
	f.confirm(f.payments["pi_1"], "pm_card_declined")
	d.tell(f, 0)
	d.then()
	f.confirm(f.payments["pi_1"], "pm_card_visa")
	d.tell(f, 0)
	d.then("authorized")
}

func TestALostAnswerIsNeverASecondCharge(t *testing.T) {
	for _, lag := range []bool{false, true} { // does a search find it at once?
		d, f := stripeDesk(t)
		f.lag, f.lose = lag, 1
		d.request("stripe_pm_card_visa").work().then("requested", "authorized")
		f.lose = 1
		d.capture("s1", all[0]).work().then("capture_requested", "captured")
		f.lose = 1
		d.send(&api.RefundPayment{OrderID: "o-1", Reference: "r1", Lines: all[:1]}).work().then("refund_requested", "refunded")
		f.lose = 1
		d.send(&api.VoidPayment{OrderID: "o-1", Reference: "v"}).work().then("void_requested", "voided")
		if p := f.payments["pi_1"]; f.charges != 1 || len(f.payments) != 1 || p.Received != 2998 || len(f.refunds) != 1 || p.Capturable != 0 {
			t.Errorf("charged %d times, %d payments, %+v, %d refunds", f.charges, len(f.payments), p, len(f.refunds))
		}
	}
}

func TestAnAnswerThatIsRepeatedIsOfNow(t *testing.T) {
	d, f := stripeDesk(t)
	p, task := f.provider(t), &api.CallProvider{
		Operation: api.OperationAuthorize, Key: "o-1/authorize/1/", Method: "stripe", Amount: 100, Currency: "EUR", First: d.Now,
	}
	if a, err := p.Do(t.Context(), task); err != nil || a.Result != api.ResultActionRequired {
		t.Fatalf("%+v, %v", a, err)
	}
	f.confirm(f.payments["pi_1"], "pm_card_visa")
	if a, err := p.Do(t.Context(), task); err != nil || a.Result != api.ResultDone || a.OneCapture {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestACaptureIsFoundByItsKey(t *testing.T) {
	d, f := stripeDesk(t)
	d.request("stripe_pm_card_visa").work().capture("s1", all[0]).work()
	p := f.provider(t)
	for key, want := range map[string]bool{"o-1/capture/2/s1": true, "o-1/capture/3/s2": false} {
		task := &api.CallProvider{Operation: api.OperationCapture, Key: key, PaymentKey: "o-1/authorize/1/", PaymentRef: "pi_1", First: d.Now}
		if _, found, err := p.Find(t.Context(), task); found != want || err != nil {
			t.Errorf("%s: %v, %v", key, found, err)
		}
	}
}

func TestAPaymentIsVoidedWhoseNameNobodyToldUs(t *testing.T) {
	d, f := stripeDesk(t)
	f.lag, f.lose = true, 100
	d.request("stripe_pm_card_visa").work().then("requested")
	f.lose = 0
	d.send(&api.VoidPayment{OrderID: "o-1", Reference: "v"}).work().then("void_requested") // the search does not find it yet
	f.lag = false
	d.Now = d.Now.Add(time.Minute)
	d.Wake()
	d.work().then("void_requested", `voided "reference":"v"`)
	if p := f.payments["pi_1"]; p.Status != "canceled" || len(f.payments) != 1 {
		t.Errorf("%+v", p)
	}
	d.tell(f, 0) // the approval that is late by now
	d.then()
}

func TestWhatWasNeverMadeIsVoidedOnceASearchWouldFindIt(t *testing.T) {
	d, f := stripeDesk(t)
	task := &api.CallProvider{Operation: api.OperationVoid, Key: "o-1/void/2/v", PaymentKey: "o-1/authorize/1/", First: d.Now}
	p := f.provider(t)
	if _, err := p.Do(t.Context(), task); !errors.Is(err, ErrSilent) {
		t.Errorf("at once: %v", err)
	}
	d.Now = d.Now.Add(stripeSearchLag)
	if a, err := p.Do(t.Context(), task); err != nil || a.Result != api.ResultDone {
		t.Errorf("later: %+v, %v", a, err)
	}
}

func TestARefundThatTakesDaysIsToldByWebhook(t *testing.T) {
	for status, want := range map[string]string{"succeeded": "refunded", "failed": `refund_failed "code":"refund_failed"`} {
		d, f := stripeDesk(t)
		d.request("stripe_pm_card_visa").work().capture("s1", all...).work().then("requested", "authorized", "capture_requested", "captured")
		amount := money.Of(slowRefund, "EUR")
		d.send(&api.RefundPayment{OrderID: "o-1", Reference: "r1", Amount: &amount}).work().then("refund_requested")
		f.refunds[0].Status = status
		f.event("refund.updated", f.refunds[0].tell())
		d.tell(f, len(f.events)-1)
		d.then(want)
	}
}

func TestCallbacksComeInAnyOrderAndTwice(t *testing.T) {
	for seed := range uint64(20) {
		d, f := stripeDesk(t)
		random := rand.New(rand.NewPCG(seed, 0))
		shuffled := func() {
			for _, i := range append(random.Perm(len(f.events)), random.Perm(len(f.events))...) {
				d.tellOne(f, f.events[i])
			}
		}
		f.lag, f.lose = true, 100 // Stripe does its work, and never answers
		d.request("stripe_pm_card_visa").work()
		shuffled()
		d.capture("s1", all[0]).work()
		shuffled()
		d.capture("s2", all[1]).work()
		shuffled()
		f.lose = 0
		d.then("requested", "authorized", "capture_requested", "captured", "capture_requested", `captured "status":"captured"`)
		if f.charges != 1 || f.payments["pi_1"].Received != 3998 {
			t.Fatalf("seed %d: charged %d times, %+v", seed, f.charges, f.payments["pi_1"])
		}
	}
}

func TestACallbackOfAnotherAccountOrKindIsOfNoInterest(t *testing.T) {
	d, f := stripeDesk(t)
	for _, event := range []map[string]any{
		{"id": "e1", "type": "customer.created", "data": map[string]any{"object": map[string]any{"id": "cus_1"}}},
		{"id": "e2", "type": "payment_intent.succeeded", "data": map[string]any{"object": map[string]any{"id": "pi_of_others"}}},
		{"id": "e3", "type": "refund.updated", "data": map[string]any{"object": map[string]any{"id": "re_1", "status": "succeeded"}}},
	} {
		d.tellOne(f, event)
	}
	if len(d.reports) > 0 {
		t.Errorf("it reported %v", d.reports)
	}
	body, signature := f.callback(t, map[string]any{"id": "e4"})
	if a := d.call("stripe", body, "Stripe-Signature", signature); a.Code != 422 || a.code != "webhook_unreadable" {
		t.Errorf("%d %s", a.Code, a.body)
	}
	body, signature = f.callback(t, map[string]any{"id": "e5", "type": "payment_intent.succeeded", "data": map[string]any{"object": map[string]any{"id": "pi_1"}}})
	f.Close()
	if a := d.call("stripe", body, "Stripe-Signature", signature); a.Code != 503 || a.code != "payment_provider_unavailable" {
		t.Errorf("%d %s", a.Code, a.body)
	}
}

func TestAnOperationIsNotAskedForAgainOnceItsKeyMayBeForgotten(t *testing.T) {
	d, f := stripeDesk(t)
	p := f.provider(t)
	for _, op := range []api.Operation{api.OperationAuthorize, api.OperationRefund} {
		task := &api.CallProvider{Operation: op, Key: "o-1/x/1/", PaymentKey: "o-1/authorize/1/", First: d.Now}
		if op == api.OperationRefund {
			task.PaymentRef = "pi_1"
		}
		if _, found, err := p.Find(t.Context(), task); found || err != nil {
			t.Errorf("%s: %v, %v", op, found, err)
		}
		task.First = d.Now.Add(-stripeKeysKept - time.Second)
		if _, found, err := p.Find(t.Context(), task); found || err == nil {
			t.Errorf("%s, a day later: %v, %v", op, found, err)
		}
	}
}

func TestTheReplacedAuthorisationIsGivenUp(t *testing.T) {
	d, f := stripeDesk(t)
	d.request("stripe_pm_card_visa").work().capture("s1", all[0]).work().then("requested", "authorized", "capture_requested", "captured")
	d.Now = d.Now.Add(week - time.Hour)
	d.Wake()
	d.work().then(`requested "again":true`, `authorized "amount":{"amount":1000`)
	d.capture("s2", all[1]).work().then("capture_requested", `captured "amount":{"amount":1000`)
	if f.payments["pi_1"].Capturable != 0 || f.payments["pi_1"].Received != 2998 || f.payments["pi_2"].Received != 1000 {
		t.Errorf("%+v, %+v", f.payments["pi_1"], f.payments["pi_2"])
	}
}

func TestAnErrorOfStripesTellsNoSecret(t *testing.T) {
	err := silent(&stripe.Error{HTTPStatusCode: 500, Type: "api_error", PaymentIntent: &stripe.PaymentIntent{ClientSecret: "pi_1_secret_x"}})
	if text := err.Error(); strings.Contains(text, "secret") || !strings.Contains(text, "500 api_error") {
		t.Error(text)
	}
}

func TestOnlyACustomersSecretIsPersonal(t *testing.T) {
	d, f := stripeDesk(t)
	d.request("stripe").work()
	asked := slices.DeleteFunc(d.Asked(), func(a bus.Ask) bool { return a.Body == nil })
	if len(asked) != 1 || f.payments["pi_1"].Secret == "" {
		t.Fatalf("%+v", asked)
	}
	e := ActionRequired{N: 1, Secret: f.payments["pi_1"].Secret}
	r, err := Payments.Codec.Encode(e)
	if err != nil || strings.Contains(string(r.Data), "secret") || string(r.Personal) != `{"client_secret":"pi_1_secret_of_the_customer"}` {
		t.Errorf("%s %s %v", r.Data, r.Personal, err)
	}
}

func TestStripeCountsSomeCurrenciesInItsOwnWay(t *testing.T) {
	_, f := stripeDesk(t)
	p := f.provider(t)
	task := func(op api.Operation, amount int64, currency string) *api.CallProvider {
		return &api.CallProvider{
			Operation: op, Key: fmt.Sprintf("o-1/%s/%d/%s", op, amount, currency), PaymentRef: "pi_1",
			Method: "stripe_pm_card_visa", Amount: amount, Currency: currency, Final: true, First: noon,
		}
	}
	if a, err := p.Do(t.Context(), task(api.OperationAuthorize, 1500, "ISK")); err != nil || a.Result != api.ResultDone || a.Amount != 1500 {
		t.Errorf("1500 of a currency without a minor unit: %+v, %v", a, err)
	}
	if got := f.payments["pi_1"].Amount; got != 150_000 {
		t.Errorf("Stripe is asked for %d hundredths", got)
	}
	for _, op := range []api.Operation{api.OperationCapture, api.OperationRefund} {
		if a, err := p.Do(t.Context(), task(op, 700, "ISK")); err != nil || a.Result != api.ResultDone {
			t.Errorf("%s of 700: %+v, %v", op, a, err)
		}
	}
	if pi := f.payments["pi_1"]; pi.Received != 70_000 || len(f.refunds) != 1 || f.refunds[0].Amount != 70_000 {
		t.Errorf("captured %d, refunded %+v", pi.Received, f.refunds)
	}
	if a, err := p.Do(t.Context(), task(api.OperationAuthorize, 1005, "KWD")); err != nil || a.Result != api.ResultDeclined || a.Code != "amount_not_supported" {
		t.Errorf("thousandths that can't be charged: %+v, %v", a, err)
	}
	if a, err := p.Do(t.Context(), task(api.OperationAuthorize, 1010, "KWD")); err != nil || a.Result != api.ResultDone || a.Amount != 1010 {
		t.Errorf("tens of thousandths: %+v, %v", a, err)
	}
}
