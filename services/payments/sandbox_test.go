package payments

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	api "github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/money"
)

var all = []api.Units{{Line: 1, Quantity: 2}, {Line: 2, Quantity: 3}}

// TestEverySandboxMethodEndsAsItSays goes the whole way with each of them, as far as it goes.
func TestEverySandboxMethodEndsAsItSays(t *testing.T) {
	for method, way := range map[string]func(*desk){
		"sandbox_approve": func(d *desk) {
			d.work().then("requested", `authorized "expires_at":"2026-11-30T12:00:00Z"`)
			d.capture("s1", all...).work().then("capture_requested", `captured "amount":{"amount":3998`)
			d.send(&api.RefundPayment{OrderID: "o-1", Reference: "r1", Lines: all[:1]}).work().then("refund_requested", `refunded "amount":{"amount":2598`)
		},
		"sandbox_decline": func(d *desk) {
			d.work().then("requested", `declined "code":"card_declined"`)
		},
		"sandbox_webhook": func(d *desk) {
			d.work().then("requested").callBack().then("authorized").callBack().then()
			d.capture("s1", all...).work().then("capture_requested", "captured")
		},
		"sandbox_lost": func(d *desk) {
			d.work().then("requested", "authorized")
			d.capture("s1", all[0]).work().then("capture_requested", "captured")
			d.send(&api.VoidPayment{OrderID: "o-1", Reference: "v"}).work().then("void_requested", "voided")
		},
		"sandbox_twice": func(d *desk) {
			d.work().then("requested", "authorized").callBack().then()
			d.capture("s1", all...).work().then("capture_requested", "captured").callBack().then()
		},
		"sandbox_slow": func(d *desk) {
			started := time.Now()
			d.work().then("requested", "authorized")
			if took := time.Since(started); took < 200*time.Millisecond {
				d.t.Errorf("it took %s", took)
			}
		},
		"sandbox_3ds": func(d *desk) {
			d.work().then("requested", "action_required")
			if a := d.hook(`{"id":"1","order_id":"o-1","result":"done"}`); a.Code != 200 || a.body != `{"received":true}` {
				d.t.Errorf("%d %s", a.Code, a.body)
			}
			d.then("authorized")
		},
		"sandbox_silent": func(d *desk) {
			d.work().then("requested")
			d.Now = d.Now.Add(15 * time.Minute)
			d.Wake()
			d.then(`declined "code":"provider_silent"`, "void_requested").work().then("voided")
		},
		"sandbox_short": func(d *desk) {
			d.work().then("requested", `authorized "expires_at":"2026-11-23T12:00:10Z"`)
			d.Now = d.Now.Add(9 * time.Second)
			d.Wake()
			d.work().then(`requested "again":true`, `authorized "expires_at":"2026-11-23T12:00:19Z"`)
		},
		"sandbox_one_capture": func(d *desk) {
			d.work().then("requested", "authorized").capture("s1", all[0]).work()
			d.then("capture_requested", `captured "amount":{"amount":3998`)
			d.capture("s2", all[1]).then("capture_requested", `captured "amount":{"amount":0`)
		},
		"sandbox_capture_fails": func(d *desk) {
			d.work().then("requested", "authorized").capture("s1", all...).work()
			d.then("capture_requested", `capture_failed "code":"insufficient_funds"`)
		},
		"sandbox_refund_fails": func(d *desk) {
			d.work().capture("s1", all...).work().then("requested", "authorized", "capture_requested", "captured")
			d.send(&api.RefundPayment{OrderID: "o-1", Reference: "r1", Lines: all}).work()
			d.then("refund_requested", `refund_failed "code":"account_closed"`)
		},
		"sandbox_unheard_of": func(d *desk) { d.work().then("requested", `declined "code":"unknown_payment_method"`) },
		"stripe":             func(d *desk) { d.work().then("requested", `declined "code":"unknown_payment_method"`) },
		"cash":               func(d *desk) { d.work().then("requested", `declined "code":"unknown_payment_method"`) },
	} {
		t.Run(method, func(t *testing.T) { way(newDesk(t).request(method)) })
	}
}

func TestTheSandboxAnswersTheSameAfterARestart(t *testing.T) {
	clock := func() time.Time { return noon }
	one, other := &sandbox{clock: clock, callbacks: newCallbacks("", clock)}, &sandbox{clock: clock, callbacks: newCallbacks("", clock)}
	for method := range sandboxMethods {
		for _, op := range []api.Operation{api.OperationAuthorize, api.OperationCapture, api.OperationVoid, api.OperationRefund} {
			task := &api.CallProvider{Method: method, Operation: op, Key: "o-1/" + string(op) + "/2/r", PaymentKey: "o-1/authorize/1/", First: noon}
			a, err := one.Do(t.Context(), task)
			b, again := other.Do(t.Context(), task)
			if a != b || !errors.Is(again, err) {
				t.Errorf("%s %s: %+v, %v and then %+v, %v", method, op, a, err, b, again)
			}
			found, known, lost := other.Find(t.Context(), task)
			if err == nil && a.Result != api.ResultPending && (found != a || !known || lost != nil) {
				t.Errorf("%s %s: %+v, and it finds %+v, %v, %v", method, op, a, found, known, lost)
			}
		}
	}
}

func TestTheSandboxCallsBackAMomentLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCallbacks("secret", time.Now)
		var called []time.Duration
		started, refusals := time.Now(), 1
		c.accept = func(_ context.Context, provider string, header func(string) string, body []byte) error {
			if err := checkSignature(header("Sandbox-Signature"), "secret", body, time.Now()); provider != "sandbox" || err != nil {
				t.Errorf("%s: %v", provider, err)
			}
			called = append(called, time.Since(started))
			if refusals--; refusals >= 0 {
				return fault.Unavailable("broker_unavailable", "")
			}
			return nil
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.run(ctx) }()
		c.add("o-1/authorize/1/", Answer{Result: api.ResultDone})
		c.add("o-2/authorize/1/", Answer{Result: api.ResultDone})
		if err := pause(ctx, time.Minute); err != nil {
			t.Error(err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		want := []time.Duration{300 * time.Millisecond, 1300 * time.Millisecond, 1300 * time.Millisecond}
		if !slices.Equal(called, want) {
			t.Errorf("it called after %v, want %v", called, want)
		}
	})
}

func TestARefundByStaffThatBreaksARuleIsRefused(t *testing.T) {
	d := newDesk(t).request("sandbox_approve").work().capture("s1", all...).work()
	amount := money.Of(3999, "EUR")
	before := len(d.Published())
	o := d.Send("payment-o-1", &api.RefundPayment{OrderID: "o-1", Reference: "r1", Amount: &amount})
	if o.Status != es.StatusRefused || o.Problem.Code != "refund_above_captured" || len(d.Published()) != before {
		t.Errorf("%+v", o)
	}
}

func TestWhatIsNoReportOfOursIsParked(t *testing.T) {
	w := &writer{}
	for _, c := range []api.ReportPayment{
		{OrderID: "o-1", Operation: api.OperationCapture, Key: "gibberish"},
		{OrderID: "o-1", Operation: api.OperationCapture, Key: "o-2/capture/1/s"},
		{OrderID: "o-1", Operation: api.OperationCapture, Key: "o-1/void/1/s"},
	} {
		if err := w.report(t.Context(), &c); err == nil || !strings.Contains(err.Error(), c.Key) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, reference := range []string{"", strings.Repeat("x", 151)} {
		if err := w.submit(t.Context(), "o-1", reference, Capture{}); err == nil || !strings.Contains(err.Error(), "1 to 150 bytes") {
			t.Errorf("%q: %v", reference, err)
		}
	}
}

func TestACommandThatHasWaitedForUsLosesNoTimeByThat(t *testing.T) {
	d := newDesk(t)
	d.behind = time.Hour
	d.request("sandbox_approve")
	d.Now, d.behind = d.Now.Add(d.behind), 0
	if due := d.Wake(); due > 0 {
		t.Errorf("%d timers are due as soon as the command is taken up", due)
	}
	d.then("requested").work().then("authorized")
	d.behind = time.Hour
	d.capture("s1", api.Units{Line: 1, Quantity: 2})
	tasks := d.Asked()
	if first := tasks[len(tasks)-1].Body.(*api.CallProvider).First; !first.Equal(d.Now.Add(time.Hour)) {
		t.Errorf("the capture was asked for first at %s, %s before it was", first, d.Now.Add(time.Hour).Sub(first))
	}
}
