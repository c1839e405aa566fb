package payments

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	api "github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/money"
	"github.com/orderlane/orderlane/pkg/service"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testSecret = "a secret of the sandbox"

// desk is the service with its gateway and its webhooks, driven step by step: commands are decided
// by its engine, tasks are done when the test says so, and what is reported is sent as a command.
type desk struct {
	*servicetest.Writer
	t       *testing.T
	gateway *gateway
	hooks   *webhooks
	api     *servicetest.API
	back    *callbacks
	done    int           // tasks
	told    int           // published events
	reports []string      // ids of the commands that webhooks sent
	behind  time.Duration // how long commands wait before they are taken up
}

func newDesk(t *testing.T, more ...func(providers)) *desk {
	d := &desk{t: t, api: servicetest.NewAPI(t)}
	known := providers{}
	d.Writer = servicetest.NewWriter(t, func(clock func() time.Time) service.Write {
		d.back = newCallbacks(testSecret, clock)
		known[sandboxName] = &sandbox{secret: testSecret, clock: clock, callbacks: d.back}
		for _, add := range more {
			add(known)
		}
		d.hooks = &webhooks{providers: known, clock: clock, publish: d.reported}
		return write(known, 15*time.Minute, func() time.Time { return clock().Add(d.behind) })
	})
	d.back.accept = d.hooks.accept
	d.hooks.register(d.api)
	d.gateway = &gateway{providers: known, timeout: time.Second}
	return d
}

// reported takes what a webhook publishes.
func (d *desk) reported(_ context.Context, records []kafka.Record) error {
	for _, r := range records {
		e, err := bus.EnvelopeOf(&r)
		if err != nil || e.Subject != string(r.Key) || r.Topic != "payments.commands.v1" {
			return fmt.Errorf("%+v: %w", e, err)
		}
		var c api.ReportPayment
		if err := bus.Decode(r.Value, &c); err != nil {
			return err
		}
		d.reports = append(d.reports, e.ID)
		d.Send(string(r.Key), &c)
	}
	return nil
}

// send sends a command for the order, which must be decided.
func (d *desk) send(c bus.Typed) *desk {
	d.t.Helper()
	if o := d.Send("payment-o-1", c); o.Status != "" && o.Status != es.StatusSucceeded {
		d.t.Fatalf("%+v: %+v %v", c, o, o.Problem)
	}
	return d
}

func (d *desk) request(method string) *desk {
	d.t.Helper()
	return d.send(&api.RequestPayment{
		OrderID: "o-1", CustomerID: "c-42", Method: method, Amount: money.Of(3998, "EUR"),
		Lines:    []api.Line{{Line: 1, Quantity: 2, Total: 2598, Tax: 433}, {Line: 2, Quantity: 3, Total: 1000, Tax: 160}},
		Delivery: 400, DeliveryTax: 67,
	})
}

func (d *desk) capture(reference string, lines ...api.Units) *desk {
	d.t.Helper()
	return d.send(&api.CapturePayment{OrderID: "o-1", Reference: reference, Lines: lines})
}

// work does the tasks that are there, and those that they lead to.
func (d *desk) work() *desk {
	d.t.Helper()
	for tasks := d.Asked(); d.done < len(tasks); tasks = d.Asked() {
		task := tasks[d.done].Body.(*api.CallProvider)
		d.done++
		d.send(d.try(task))
	}
	return d
}

// try makes attempts at a task as the gateway's consumer does.
func (d *desk) try(task *api.CallProvider) bus.Typed {
	d.t.Helper()
	var err error
	for attempt := 1; attempt <= gatewayAttempts; attempt++ {
		ctx := kafka.NewDeliveryContext(d.t.Context(), kafka.Delivery{Attempt: attempt})
		var r bus.Typed
		if r, err = d.gateway.do(ctx, task); err == nil {
			return r
		}
	}
	return d.gateway.giveUp(d.t.Context(), task, err)
}

// callBack lets the sandbox send what it has to tell.
func (d *desk) callBack() *desk {
	d.t.Helper()
	for len(d.back.queue) > 0 {
		c := <-d.back.queue
		d.Now = c.due
		d.back.send(d.t.Context(), c.body)
	}
	return d
}

// then expects the events since it was called last: the beginning of each, or its name only.
func (d *desk) then(want ...string) *desk {
	d.t.Helper()
	all := d.Published()
	got := all[d.told:]
	d.told = len(all)
	ok := len(got) == len(want)
	for i := 0; ok && i < len(want); i++ {
		name, part, _ := strings.Cut(want[i], " ")
		ok = strings.HasPrefix(got[i], "payment_"+name+" ") && strings.Contains(got[i], part)
	}
	if !ok {
		d.t.Fatalf("told\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	return d
}

// hook calls the webhook as the sandbox.
func (d *desk) hook(body string, header ...string) answer {
	d.t.Helper()
	if len(header) == 0 {
		header = []string{"Sandbox-Signature", Sign(testSecret, []byte(body), d.Now)}
	}
	return d.call("sandbox", body, header...)
}

// answer is what a provider gets for its callback.
type answer struct {
	*httptest.ResponseRecorder
	body, code string
}

// call calls a webhook, with headers as names and values.
func (d *desk) call(provider, body string, header ...string) answer {
	d.t.Helper()
	r := httptest.NewRequestWithContext(d.t.Context(), http.MethodPost, "/v1/payments/webhooks/"+provider, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a := answer{ResponseRecorder: httptest.NewRecorder()}
	d.api.ServeHTTP(a, r)
	var problem struct {
		Code string `json:"code"`
	}
	a.body = strings.TrimSpace(a.Body.String())
	if err := json.Unmarshal(a.Body.Bytes(), &problem); err != nil {
		d.t.Fatal(err)
	}
	a.code = problem.Code
	return a
}
