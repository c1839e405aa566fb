package commandapi

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/service"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	staff = httpapi.Caller{ID: "s-1", Role: httpapi.RoleStaff}
	ada   = httpapi.Caller{ID: "c-ada", Role: httpapi.RoleCustomer}
	bob   = httpapi.Caller{ID: "c-bob", Role: httpapi.RoleCustomer}
)

const (
	tea      = `{"name":"Assam tea","price":{"amount":1299,"currency":"EUR"}}`
	oneOrder = `{"currency":"EUR","lines":[{"sku":"TEA-001","quantity":1}],"ship_to":{"name":"Ada","street":"12 St James Square","city":"London","country":"GB"}}`
	twoOrder = `{"currency":"EUR","lines":[{"sku":"TEA-001","quantity":2}],"ship_to":{"name":"Ada","street":"12 St James Square","city":"London","country":"GB"}}`
)

// writers are the services that commands go to.
var writers = []string{"catalog", "ordering", "inventory", "payments", "shipping", "notifications"}

// world is the command API before a broker in memory.
type world struct {
	*Commands
	api    *servicetest.API
	broker *memkafka.Broker
	t      testing.TB
	seen   map[string]int // commands, by topic, that were looked at
}

func newWorld(t testing.TB) *world {
	w := &world{api: servicetest.NewAPI(t), t: t, seen: map[string]int{}}
	topics := []kafka.TopicSpec{bus.Outcomes(2, 1)}
	for _, s := range writers {
		topics = append(topics, bus.ServiceTopics(s, false, 1, 1)...)
	}
	w.broker = memkafka.New(servicetest.Clock, topics...)
	var ids byte
	var mu sync.Mutex
	env := &daemon.Env{Clock: servicetest.Clock, Log: slog.New(slog.DiscardHandler), NewID: func() uuid.UUID {
		mu.Lock()
		defer mu.Unlock()
		ids++
		return uuid.UUID{6: 0x70, 8: 0x80, 15: ids}
	}}
	w.Commands = &Commands{platform: &service.Platform{Env: env}, replies: newReplies(1), outlet: newOutlet(3, env.Log)}
	w.use(open)
	w.register(w.api.API)
	return w
}

// sent are the commands that were published since it was asked last.
func (w *world) sent() (envelopes []bus.Envelope) {
	w.t.Helper()
	for _, s := range writers {
		topic := bus.CommandsTopic(s)
		records := w.broker.Records(kafka.Partition{Topic: topic}, int64(w.seen[topic]), -1)
		w.seen[topic] += len(records)
		for i := range records {
			e, err := bus.EnvelopeOf(&records[i])
			if err != nil || string(records[i].Key) != e.Subject {
				w.t.Fatalf("%v, key %s", err, records[i].Key)
			}
			envelopes = append(envelopes, e)
		}
	}
	return envelopes
}

// reply publishes an outcome as the command's service does, and hands over what the API reads
// in its partition.
func (w *world) reply(e bus.Envelope, o es.Outcome, private bool) {
	w.t.Helper()
	o.Command, o.Type, o.Stream, o.Time = uuid.MustParse(e.ID), e.Type, e.Subject, servicetest.Noon
	before := len(w.broker.Records(kafka.Partition{Topic: bus.OutcomesTopic, ID: 1}, 0, -1))
	err := bus.PublishAnswers(w.broker.Producer(), "ordering")(context.Background(), []es.Answer{{
		Command: &es.Command{Type: e.Type, Stream: e.Subject, Meta: es.Metadata{Command: o.Command, Digest: e.Digest}, Reply: e.ReplyTo},
		Outcome: o, Private: private,
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range w.broker.Records(kafka.Partition{Topic: bus.OutcomesTopic, ID: 1}, int64(before), -1) {
		w.replies.take(r)
	}
}

func TestTheSameCallerOperationAndKeyAreTheSameCommand(t *testing.T) {
	w := newWorld(t)
	ids := func(as httpapi.Caller, method, path, body, key string) string {
		t.Helper()
		var header []string
		if key != "" {
			header = []string{"Idempotency-Key", key}
		}
		a := w.api.Do(as, method, path, body, header...)
		var accepted Accepted
		a.Into(&accepted)
		if a.Status != 202 || a.Header.Get("Location") != "/v1/commands/"+accepted.CommandID || accepted.Links.Command != a.Header.Get("Location") {
			t.Fatalf("%d %s %v", a.Status, a.Body, a.Header)
		}
		if e := w.sent(); len(e) != 1 || e[0].ID != accepted.CommandID || e[0].Subject != accepted.Resource.Type+"-"+accepted.Resource.ID {
			t.Fatalf("%s was answered, and %+v sent", a.Body, e)
		}
		return accepted.CommandID + " " + accepted.Resource.ID
	}
	first := ids(ada, "POST", "/v1/orders", oneOrder, "k1")
	for what, again := range map[string]string{
		"the same request": ids(ada, "POST", "/v1/orders", oneOrder, "k1"),
		"another body":     ids(ada, "POST", "/v1/orders", twoOrder, "k1"), // its service refuses it
	} {
		if again != first {
			t.Errorf("%s leads to %s, not %s", what, again, first)
		}
	}
	seen := map[string]string{first: "the first"}
	for what, other := range map[string]string{
		"another key":       ids(ada, "POST", "/v1/orders", oneOrder, "k2"),
		"another caller":    ids(bob, "POST", "/v1/orders", oneOrder, "k1"),
		"no key":            ids(ada, "POST", "/v1/orders", oneOrder, ""),
		"no key again":      ids(ada, "POST", "/v1/orders", oneOrder, ""),
		"a product":         ids(staff, "PUT", "/v1/products/TEA-001", tea, "k1"),
		"another product":   ids(staff, "PUT", "/v1/products/TEA-002", tea, "k1"),
		"another operation": ids(staff, "POST", "/v1/products/TEA-001/withdraw", "{}", "k1"),
	} {
		if same := seen[other]; same != "" {
			t.Errorf("%s leads to the same as %s: %s", what, same, other)
		}
		seen[other] = what
	}
}

func TestAnOrderIsForWhomTheCallerMayOrder(t *testing.T) {
	for _, c := range []struct {
		caller httpapi.Caller
		named  string
		want   string
		code   string
	}{
		{ada, "", "c-ada", ""},
		{ada, "c-ada", "c-ada", ""},
		{ada, "c-bob", "", "foreign_customer"},
		{staff, "c-bob", "c-bob", ""},
		{staff, "", "", "validation_failed"},
		{httpapi.Caller{ID: "fulfilment", Role: httpapi.RoleService}, "c-bob", "c-bob", ""},
	} {
		got, err := customerOf(c.caller, c.named)
		f, _ := fault.Of(err)
		if got != c.want || (f == nil) != (c.code == "") || f != nil && f.Code != c.code {
			t.Errorf("%v for %q: %q, %v", c.caller, c.named, got, err)
		}
	}
}

func TestACustomerWhoseSubjectIsNoCustomerIDIsToldSo(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		subject string
		status  int
		code    string
	}{
		{strings.Repeat("c", 64), 202, ""},
		{"auth0|5f7c8ec7c33c6c004bbafe82", 202, ""},
		{strings.Repeat("c", 65), 403, "subject_unusable"},
		{strings.Repeat("c", 255), 403, "subject_unusable"},
		{"ad\u00e4", 403, "subject_unusable"},
		{strings.Repeat("\u00e4", 64), 403, "subject_unusable"},
		{"a b", 401, "invalid_token"},
		{"a\x00b", 401, "invalid_token"},
	} {
		for _, named := range []string{"", `"customer_id":"c-ada",`} {
			status, code := c.status, c.code
			if named != "" && status == 202 {
				status, code = 403, "foreign_customer"
			}
			a := w.api.Do(httpapi.Caller{ID: c.subject, Role: httpapi.RoleCustomer}, "POST", "/v1/orders", "{"+named+oneOrder[1:])
			if a.Status != status || a.Code() != code || len(w.sent()) != 0 != (status == 202) {
				t.Errorf("%q: %d %s", c.subject, a.Status, a.Body)
			}
		}
	}
	if a := w.api.Do(httpapi.Caller{ID: strings.Repeat("s", 255), Role: httpapi.RoleStaff}, "PUT", "/v1/products/TEA-001", tea); a.Status != 202 {
		t.Errorf("staff: %d %s", a.Status, a.Body)
	}
}

func TestAProductIsWithdrawnWithoutABody(t *testing.T) {
	w := newWorld(t)
	for _, body := range []string{"", "{}"} {
		if a := w.api.Do(staff, "POST", "/v1/products/TEA-001/withdraw", body, "Idempotency-Key", "k"); a.Status != 202 {
			t.Errorf("%q: %d %s", body, a.Status, a.Body)
		}
	}
	if sent := w.sent(); len(sent) != 2 || sent[0].Digest == "" || sent[0].Digest != sent[1].Digest {
		t.Errorf("sent are %+v", sent)
	}
	if a := w.api.Do(staff, "POST", "/v1/products/TEA-001/withdraw", `{"reason":"sold out"}`); a.Status != 422 || a.Code() != "validation_failed" {
		t.Errorf("an unknown field: %d %s", a.Status, a.Body)
	}
}

func TestACommandSaysAllThatItsServiceNeedsToKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.api.Do(staff, "PUT", "/v1/products/TEA-001", tea, "Prefer", "wait=1", "If-Match", `"product-TEA-001@3"`,
			"Consistency-Token", "product-CUP@2, product-MUG@1", "Idempotency-Key", "k")
		e := w.sent()[0]
		if a.Status != 202 || a.Header.Get("Preference-Applied") != "wait=1" {
			t.Errorf("%d %v", a.Status, a.Header)
		}
		if e.Type != catalog.TypeDefineProduct || e.Subject != "product-TEA-001" || e.Caller != (bus.Caller{ID: "s-1", Role: "staff"}) ||
			e.IfVersion == nil || *e.IfVersion != 3 || e.After != "product-CUP@2,product-MUG@1" || e.ReplyTo == nil || *e.ReplyTo != 1 ||
			len(e.Digest) != 32 || e.Correlation != e.ID || e.Traceparent == "" || !e.Time.Equal(servicetest.Noon) {
			t.Errorf("sent is %+v", e)
		}
		w.api.Do(staff, "POST", "/v1/products/TEA-001/withdraw", "{}")
		if e := w.sent()[0]; e.IfVersion != nil || e.After != "" || e.ReplyTo != nil || e.Digest != "" {
			t.Errorf("sent is %+v", e)
		}
		w.api.Do(staff, "POST", "/v1/products/TEA-001/withdraw", "{}", "If-Match", "*")
		if e := w.sent()[0]; e.IfVersion == nil || *e.IfVersion != es.AnyVersion {
			t.Errorf("sent is %+v", e)
		}
		for status, header := range map[int]string{412: `"product-CUP@3"`, 400: "3"} {
			if a := w.api.Do(staff, "POST", "/v1/products/TEA-001/withdraw", "{}", "If-Match", header); a.Status != status || len(w.sent()) != 0 {
				t.Errorf("%s: %d", header, a.Status)
			}
		}
		if a := w.api.Do(ada, "PUT", "/v1/products/TEA-001", tea); a.Status != 403 || len(w.sent()) != 0 {
			t.Errorf("a customer defines a product: %d", a.Status)
		}
	})
}

// later is an answer that is still to come.
func (w *world) later(as httpapi.Caller, method, path, body string, header ...string) func() *servicetest.Answer {
	answer := make(chan *servicetest.Answer, 1)
	go func() { answer <- w.api.Do(as, method, path, body, header...) }()
	synctest.Wait()
	return func() *servicetest.Answer { return <-answer }
}

func TestWhoWaitsGetsTheOutcome(t *testing.T) {
	for what, c := range map[string]struct {
		outcome es.Outcome
		status  int
		code    string
		body    string
	}{
		"succeeded": {es.Outcome{Status: es.StatusSucceeded, Version: 4}, 200, "", `"status":"succeeded"`},
		"refused":   {es.Outcome{Status: es.StatusRefused, Fault: fault.Conflict("price_changed", "it did")}, 409, "price_changed", ""},
		"parked":    {es.Outcome{Status: es.StatusParked, Fault: &fault.Fault{Code: "parked", Detail: "a secret"}}, 202, "", `"status":"parked"`},
		"failed":    {es.Outcome{Status: es.StatusFailed, Fault: &fault.Fault{Code: "parked", Detail: "a bug"}}, 500, "command_failed", ""},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				answer := w.later(ada, "POST", "/v1/orders", oneOrder, "Prefer", "wait=5")
				w.reply(w.sent()[0], c.outcome, false)
				a := answer()
				if a.Status != c.status || a.Code() != c.code || !strings.Contains(a.Body, c.body) || strings.Contains(a.Body, "secret") {
					t.Errorf("%d %s", a.Status, a.Body)
				}
				if token := a.Header.Get("Consistency-Token"); (token != "") != (c.status == 200) || token != "" && !strings.HasSuffix(token, "@4") {
					t.Errorf("the token is %q", token)
				}
				if len(w.replies.waiting) != 0 {
					t.Errorf("it remembers %v", w.replies.waiting)
				}
			})
		})
	}
}

func TestWhoHasWaitedLongEnoughIsToldWhereToLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		started := time.Now()
		a := w.api.Do(ada, "POST", "/v1/orders", oneOrder, "Prefer", "wait=7")
		if a.Status != 202 || time.Since(started) != 7*time.Second || !strings.Contains(a.Body, `"status":"accepted"`) {
			t.Errorf("%d after %s: %s", a.Status, time.Since(started), a.Body)
		}
		w.reply(w.sent()[0], es.Outcome{Status: es.StatusSucceeded}, false) // to nobody
		if len(w.replies.waiting) != 0 {
			t.Errorf("it remembers %v", w.replies.waiting)
		}
	})
}

func TestAKeyThatIsReusedWhileTheFirstRequestWaitsGivesEachItsOwnAnswer(t *testing.T) {
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			header := []string{"Idempotency-Key", "k", "Prefer", "wait=5"}
			first := w.later(ada, "POST", "/v1/orders", oneOrder, header...)
			retry := w.later(ada, "POST", "/v1/orders", oneOrder, header...)
			other := w.later(ada, "POST", "/v1/orders", twoOrder, header...)
			sent := w.sent()
			if sent[0].ID != sent[2].ID || sent[0].Digest != sent[1].Digest || sent[0].Digest == sent[2].Digest {
				t.Fatalf("sent are %+v", sent)
			}
			for _, n := range order {
				if n == 0 {
					w.reply(sent[0], es.Outcome{Status: es.StatusSucceeded, Version: 1}, false)
				} else {
					w.reply(sent[2], es.Outcome{Status: es.StatusRefused, Fault: fault.Invalid("idempotency_key_reused", "another body")}, true)
				}
			}
			if a, b, c := first(), retry(), other(); a.Status != 200 || b.Status != 200 || c.Status != 422 || c.Code() != "idempotency_key_reused" {
				t.Errorf("%d, %d, %d %s", a.Status, b.Status, c.Status, c.Body)
			}
		})
	}
}

// TestRepliesFindThoseWhoWait is for the race detector: many wait, some give up, and outcomes
// come in any order, also for nobody.
func TestRepliesFindThoseWhoWait(t *testing.T) {
	const commands, callers = 50, 4
	r := newReplies(0)
	var waiting, all sync.WaitGroup
	for n := range commands * callers {
		waiting.Add(1)
		all.Go(func() {
			id := fmt.Sprint("command ", n%commands)
			answer, forget := r.expect(id, "d")
			waiting.Done()
			defer forget()
			if n/commands == 0 {
				return // its client is gone
			}
			if o := <-answer; o.CommandID != id {
				t.Errorf("%s is answered with %s", id, o.CommandID)
			}
		})
	}
	waiting.Wait()
	for from := range 2 {
		all.Go(func() {
			for n := from; n < commands; n += 2 {
				record := kafka.Record{Key: fmt.Append(nil, "command ", n), Value: fmt.Appendf(nil, `{"command_id":"command %d"}`, n)}
				r.take(record) // without a digest: of another request
				record.Headers = []kafka.Header{{Key: bus.HeaderDigest, Value: []byte("d")}}
				r.take(record)
				r.take(record) // a repeat
			}
		})
	}
	all.Wait()
	if len(r.waiting) != 0 {
		t.Errorf("it remembers %v", r.waiting)
	}
}

func TestAnAnswerThatCannotBeReadLeavesItsCallerToTheStatus(t *testing.T) {
	r := newReplies(0)
	answer, forget := r.expect("c", "")
	defer forget()
	r.take(kafka.Record{Key: []byte("c"), Value: []byte("{")})
	select {
	case o := <-answer:
		t.Errorf("got %+v", o)
	default:
	}
}
