package payments

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
)

const confirmed = `{"id":"1","order_id":"o-1","result":"done"}`

func TestACallbackWithAWrongSignatureChangesNothing(t *testing.T) {
	d := newDesk(t).request("sandbox_3ds").work()
	told := len(d.Published())
	right := Sign(testSecret, []byte(confirmed), d.Now)
	for name, header := range map[string]string{
		"none":               "",
		"gibberish":          "%%%",
		"no time":            strings.SplitN(right, ",", 2)[1],
		"another secret":     Sign("another secret of the sandbox", []byte(confirmed), d.Now),
		"another body":       Sign(testSecret, []byte(confirmed+" "), d.Now),
		"another time":       "t=1" + strings.TrimPrefix(right, "t="),
		"no hex":             right[:len(right)-1] + "x",
		"too many to try":    strings.Repeat("v1=00,", 20) + right,
		"another provider's": "",
	} {
		a := d.hook(confirmed, "Sandbox-Signature", header, "Stripe-Signature", right)
		if a.Code != 401 || a.code != "webhook_signature_invalid" {
			t.Errorf("%s: %d %s", name, a.Code, a.body)
		}
	}
	if len(d.Published()) != told || len(d.reports) > 0 {
		t.Errorf("it told %v", d.Published()[told:])
	}
}

func TestAnOldCallbackChangesNothing(t *testing.T) {
	d := newDesk(t).request("sandbox_3ds").work()
	for age, status := range map[time.Duration]int{
		-5*time.Minute - time.Second: 401, 5*time.Minute + time.Second: 401, 24 * time.Hour: 401,
		-5 * time.Minute: 200, 5 * time.Minute: 200, 0: 200,
	} {
		a := d.hook(confirmed, "Sandbox-Signature", Sign(testSecret, []byte(confirmed), d.Now.Add(-age)))
		if a.Code != status || status == 401 && a.code != "webhook_too_old" {
			t.Errorf("%s old: %d %s", age, a.Code, a.body)
		}
	}
}

func TestASignatureOfTwoSecretsIsTaken(t *testing.T) {
	d := newDesk(t)
	header := Sign("the secret of tomorrow", []byte(confirmed), d.Now) + "," + strings.SplitN(Sign(testSecret, []byte(confirmed), d.Now), ",", 2)[1]
	if a := d.hook(confirmed, "Sandbox-Signature", header); a.Code != 200 {
		t.Errorf("%d %s", a.Code, a.body)
	}
}

func TestARepeatedCallbackIsTheSameCommand(t *testing.T) {
	d := newDesk(t).request("sandbox_3ds").work().then("requested", "action_required")
	for range 2 {
		d.hook(confirmed)
	}
	d.hook(strings.Replace(confirmed, `"1"`, `"2"`, 1))
	d.then("authorized")
	if len(d.reports) != 3 || d.reports[0] != d.reports[1] || d.reports[1] == d.reports[2] {
		t.Errorf("the commands are %v", d.reports)
	}
}

func TestACallbackThatCannotBeReadIsRefused(t *testing.T) {
	d := newDesk(t)
	for body, code := range map[string]string{
		`{`: "webhook_unreadable", `{}`: "webhook_unreadable", `[]`: "webhook_unreadable",
		`{"id":"1","order_id":"o-1","result":"maybe"}`:           "webhook_unreadable",
		`{"id":"1","order_id":"o-1","result":"done","extra":1}`:  "webhook_unreadable",
		`{"id":"1","key":"o-1/authorize","result":"done"}`:       "webhook_unknown_payment",
		`{"id":"1","key":"o-1/authorize/none/","result":"done"}`: "webhook_unknown_payment",
	} {
		if a := d.hook(body); a.Code != 422 || a.code != code {
			t.Errorf("%s: %d %s", body, a.Code, a.body)
		}
	}
	if len(d.reports) > 0 {
		t.Errorf("it reported %v", d.reports)
	}
}

func TestACallbackIsAnsweredOnceTheBrokerHasIt(t *testing.T) {
	d := newDesk(t)
	d.hooks.publish = func(context.Context, []kafka.Record) error { return errors.New("no leader") }
	if a := d.hook(confirmed); a.Code != 503 || a.code != "broker_unavailable" || a.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", a.Code, a.body)
	}
}

func TestAProviderThatIsNotThereHasNoWebhook(t *testing.T) {
	d := newDesk(t)
	signed := Sign("", []byte(confirmed), d.Now)
	for provider, status := range map[string]int{"stripe": 404, "paypal": 422} {
		if a := d.call(provider, confirmed, "Stripe-Signature", signed); a.Code != status {
			t.Errorf("%s: %d %s", provider, a.Code, a.body)
		}
	}
}

func TestWithoutASecretNothingIsBelieved(t *testing.T) {
	if err := checkSignature(Sign("", []byte("x"), noon), "", []byte("x"), noon); err == nil {
		t.Error("a callback that is signed with nothing is believed")
	}
}
