package notifications

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/wneessen/go-mail"

	api "github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/money"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

const orderID = "5f0c3a52-9d0e-5a11-8000-00000000000a"

// world is a gateway whose transport a test scripts, its view, and what has happened so far.
type world struct {
	*servicetest.View
	*gateway
	t        *testing.T
	sub      *memkafka.Subscriber
	group    *bus.TaskGroup
	position int64
	out      *scripted
}

// scripted is a transport that keeps what it gets.
type scripted struct {
	mu     sync.Mutex
	errs   []error // of the next calls
	during func()  // called in each call
	got    []string
}

func (s *scripted) send(_ context.Context, name string, m *mail.Msg) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, name+" "+m.GetMessageID()+" "+m.GetToString()[0]+" "+m.GetGenHeader(mail.HeaderSubject)[0])
	if s.during != nil {
		s.during()
	}
	if len(s.errs) == 0 {
		return nil
	}
	err := s.errs[0]
	s.errs = s.errs[1:]
	return err
}

func newWorld(t *testing.T) *world {
	w := &world{View: servicetest.NewView(t, newView()), t: t, out: &scripted{}}
	err := w.Broker.EnsureTopics(t.Context(), append(bus.ServiceTopics(api.Service, false, 2, 1)[:1], bus.Tasks(api.Service, 1, 1), bus.DeadLetters(api.Service, 1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	writer, err := newWriter(teaHouse.Name, "")
	if err != nil {
		t.Fatal(err)
	}
	w.gateway = &gateway{
		queries: &queries{w.Reader, newView()}, writer: writer, from: teaHouse, transport: w.out,
		viewWait: 20 * time.Millisecond, mails: newMailMetrics(prometheus.NewRegistry()),
	}
	w.group = bus.NewTaskGroup(bus.TaskOptions{
		Service: api.Service, Producer: w.Broker.Producer(), Clock: servicetest.Clock, Attempts: 3, Timeout: 5 * time.Second,
	}, w.handler())
	w.sub = w.Broker.Subscriber(0)
	t.Cleanup(func() {
		if err := w.sub.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// event is a record of a stream as its relay publishes it.
func (w *world) event(topic, stream string, version int64, eventType string, body any) kafka.Record {
	w.t.Helper()
	data, err := bus.Encode(body)
	if err != nil {
		w.t.Fatal(err)
	}
	w.position++
	e := bus.Envelope{
		ID: fmt.Sprintf("%s/%d", stream, version), Type: eventType, Subject: stream, Time: noon,
		StreamVersion: version, Position: w.position, Epoch: "e1",
	}
	return e.Record(topic, []byte(stream), data)
}

func (w *world) ordering(version int64, eventType string, body any) kafka.Record {
	return w.event(bus.EventsTopic(ordering.Service), "order-"+orderID, version, eventType, body)
}

func (w *world) placed() kafka.Record {
	return w.ordering(1, ordering.TypeOrderPlaced, ordering.OrderPlaced{
		OrderID: orderID, Version: 1, Number: "7CF0-NCCF", Currency: "EUR", PlacedAt: noon,
		Lines: []ordering.Line{
			{Line: 1, SKU: "TEA-001", Name: "Assam tea, 250 g", Quantity: 2, UnitPrice: 1299, Total: 2598},
			{Line: 2, SKU: "CUP-7", Name: "Cup", Quantity: 1, UnitPrice: 500, Total: 500},
		},
		Totals: ordering.Totals{Lines: 3098, Delivery: 400, Total: 3498},
	})
}

// personal is what is personal of the order; without a name it was erased.
func (w *world) personal(version int64, email, name string) kafka.Record {
	p := ada
	p.Email, p.ShipTo.Name = email, name
	r := w.event(bus.PersonalTopic(ordering.Service), "order-"+orderID, version, ordering.TypePersonal, p)
	if name == "" {
		r.Value = nil
	}
	return r
}

func (w *world) confirmed(version int64) kafka.Record {
	return w.ordering(version, ordering.TypeOrderConfirmed, ordering.OrderConfirmed{Change: ordering.Change{OrderID: orderID}})
}

func (w *world) dispatched() []kafka.Record {
	topic := bus.EventsTopic(shipping.Service)
	return []kafka.Record{
		w.event(topic, "shipment-9", 1, shipping.TypeShipmentCreated, shipping.ShipmentCreated{}),
		w.event(topic, "shipment-9", 2, shipping.TypeShipmentDispatched, shipping.ShipmentDispatched{
			OrderID: orderID, Items: []shipping.Item{{Line: 1, SKU: "TEA-001", Quantity: 2}}, Carrier: "DHL", Tracking: "00340434",
		}),
	}
}

func (w *world) refunded() []kafka.Record {
	topic := bus.EventsTopic(payments.Service)
	return []kafka.Record{
		w.event(topic, "payment-"+orderID, 1, payments.TypePaymentRequested, payments.PaymentRequested{}),
		w.event(topic, "payment-"+orderID, 2, payments.TypePaymentRefunded, payments.PaymentRefunded{Progress: payments.Progress{OrderID: orderID}, Amount: money.Of(500, "EUR")}),
		w.event(topic, "payment-"+orderID, 3, payments.TypePaymentRefunded, payments.PaymentRefunded{Progress: payments.Progress{OrderID: orderID}, Amount: money.Of(700, "EUR")}),
	}
}

// mailEvent is an event of the order's mails.
func (w *world) mailed(version int64, eventType string, mail, send int) kafka.Record {
	return w.event(bus.EventsTopic(api.Service), "mail-"+orderID, version, eventType, mailEvent{
		Change: api.Change{OrderID: orderID, Version: version, Mail: mail, Send: send, Kind: api.KindOrderConfirmed, About: "order-" + orderID + "/2", At: noon},
	})
}

var (
	tasksOf = kafka.Partition{Topic: bus.TasksTopic(api.Service)}
	toOrder = &api.SendMail{OrderID: orderID, Mail: 1, Send: 1, Kind: api.KindOrderConfirmed, About: "order-" + orderID + "/2"}
)

// ask publishes a task, as the relay does.
func (w *world) ask(task *api.SendMail) {
	w.t.Helper()
	data, err := bus.Encode(task)
	if err != nil {
		w.t.Fatal(err)
	}
	stream := "mail-" + task.OrderID
	e := bus.Envelope{
		ID: bus.DeriveID("ask", fmt.Sprint(task.Mail, task.Send)).String(), Type: task.MessageType(), Subject: stream, Time: noon, Causation: stream + "/1",
	}
	if err := w.Broker.Producer().Publish(w.t.Context(), []kafka.Record{e.Record(tasksOf.Topic, []byte(stream), data)}); err != nil {
		w.t.Fatal(err)
	}
}

// attempt makes one attempt at the next task, which is not settled before the test says so.
func (w *world) attempt() {
	w.t.Helper()
	m, ok := w.sub.Next(tasksOf)
	if !ok {
		w.t.Fatal("there is no task")
	}
	handle(w.group.Handle, m)
}

// handle does as a Watermill router does.
func handle[M interface {
	Ack() bool
	Nack() bool
}](handler func(M) error, m M) {
	if err := handler(m); err != nil {
		m.Nack()
		return
	}
	m.Ack()
}

// run makes attempts at all tasks until none is left.
func (w *world) run() {
	w.t.Helper()
	for {
		m, ok := w.sub.Next(tasksOf)
		if !ok {
			return
		}
		handle(w.group.Handle, m)
		for again := w.sub.Settle(); len(again) > 0; again = w.sub.Settle() {
			handle(w.group.Handle, again[0])
		}
	}
}

func (w *world) records(topic string) (all []kafka.Record) {
	for _, p := range w.Broker.Partitions(topic) {
		all = append(all, w.Broker.Records(p, 0, -1)...)
	}
	return all
}

// came fails the test unless these mails went out (their last words), and these reports were made.
func (w *world) came(mails, reports string) {
	w.t.Helper()
	var got []string
	for _, r := range w.records(bus.CommandsTopic(api.Service)) {
		var report api.ReportMail
		if err := bus.Decode(r.Value, &report); err != nil || r.Header(bus.HeaderType) != api.TypeReportMail || string(r.Key) != "mail-"+orderID {
			w.t.Errorf("no report: %+v, %v", r, err)
		}
		got = append(got, strings.TrimSpace(fmt.Sprintf("%d.%d %s %s", report.Mail, report.Send, report.Status, report.Reason)))
	}
	if s := strings.Join(got, ", "); s != reports {
		w.t.Errorf("reported %q, want %q", s, reports)
	}
	var sent []string
	for _, s := range w.out.got {
		_, after, _ := strings.Cut(s, "> ") // of the Message-ID
		_, after, _ = strings.Cut(after, "> ")
		sent = append(sent, after)
	}
	if s := strings.Join(sent, ", "); s != mails {
		w.t.Errorf("sent %q, want %q", s, mails)
	}
}

// counted is what the metric says.
func (w *world) counted(kind, result string) float64 {
	w.t.Helper()
	var m dto.Metric
	if err := w.mails.WithLabelValues(kind, result).Write(&m); err != nil {
		w.t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

func (w *world) dead() []kafka.Record { return w.records(bus.DeadLettersTopic(api.Service)) }

func TestEachEventIsWrittenAboutWithWhatItSays(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.placed(), w.personal(1, "ada@example.com", "Ada Lovelace"), w.confirmed(2),
		w.ordering(3, ordering.TypeOrderCancelled, ordering.OrderCancelled{Lines: []int{2}, Partial: true}),
		w.ordering(4, ordering.TypeOrderCancelled, ordering.OrderCancelled{Lines: []int{1}}),
		w.ordering(5, ordering.TypeOrderRejected, ordering.OrderRejected{Reason: ordering.ReasonOutOfStock}))
	w.Fold(append(w.dispatched(), w.refunded()...)...)
	for i, about := range []struct {
		kind  api.Kind
		event string
	}{
		{api.KindOrderConfirmed, "order-" + orderID + "/2"},
		{api.KindOrderCancelled, "order-" + orderID + "/3"},
		{api.KindOrderCancelled, "order-" + orderID + "/4"},
		{api.KindOrderRejected, "order-" + orderID + "/5"},
		{api.KindShipmentDispatched, "shipment-9/2"},
		{api.KindPaymentRefunded, "payment-" + orderID + "/2"},
		{api.KindPaymentRefunded, "payment-" + orderID + "/3"},
	} {
		w.ask(&api.SendMail{OrderID: orderID, Mail: i + 1, Send: 1, Kind: about.kind, About: about.event})
	}
	w.run()
	w.came("Your order 7CF0-NCCF is confirmed, A part of your order 7CF0-NCCF is cancelled, Your order 7CF0-NCCF is cancelled, "+
		"We could not accept your order 7CF0-NCCF, Your order 7CF0-NCCF is on its way, We have paid back 5.00 EUR for your order 7CF0-NCCF, "+
		"We have paid back 7.00 EUR for your order 7CF0-NCCF",
		"1.1 sent, 2.1 sent, 3.1 sent, 4.1 sent, 5.1 sent, 6.1 sent, 7.1 sent")
	if want := "20261123T120000.000000000-7CF0-NCCF-1.1-order_confirmed <mail-" + orderID + ".1.1@tea.example> \"Ada Lovelace\" <ada@example.com> "; !strings.HasPrefix(w.out.got[0], want) {
		t.Errorf("the first one is %s", w.out.got[0])
	}
	if n := w.counted("payment_refunded", "sent"); n != 2 {
		t.Errorf("%v refunds are counted", n)
	}
}

func TestWhoLeftNoAddressOrWasErasedGetsNoMail(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.placed(), w.personal(1, "", "Ada Lovelace"), w.confirmed(2))
	w.ask(toOrder)
	w.run()
	w.came("", "1.1 skipped no_address")

	w = newWorld(t)
	w.Fold(w.placed(), w.personal(1, "ada@example.com", "Ada Lovelace"), w.confirmed(2), w.personal(3, "", ""))
	w.ask(toOrder)
	w.run()
	w.came("", "1.1 skipped erased")
}

// TestAMailWaitsUntilTheViewKnowsEnough leaves out one thing after the other.
func TestAMailWaitsUntilTheViewKnowsEnough(t *testing.T) {
	changed := func(w *world) kafka.Record {
		return w.ordering(2, ordering.TypeOrderAddressChanged, ordering.OrderAddressChanged{})
	}
	for what, c := range map[string]struct {
		task         api.SendMail
		known, later func(*world) []kafka.Record
		to           string
	}{
		"the order": {
			*toOrder, func(w *world) []kafka.Record { return []kafka.Record{w.personal(1, "ada@example.com", "Ada")} },
			func(w *world) []kafka.Record { return []kafka.Record{w.placed(), w.confirmed(2)} }, "Ada",
		},
		"what is personal of it": {
			*toOrder, func(w *world) []kafka.Record { return []kafka.Record{w.placed(), w.confirmed(2)} },
			func(w *world) []kafka.Record { return []kafka.Record{w.personal(1, "ada@example.com", "Ada")} }, "Ada",
		},
		"the new address": {
			api.SendMail{OrderID: orderID, Mail: 1, Send: 1, Kind: api.KindOrderConfirmed, About: "order-" + orderID + "/3"},
			func(w *world) []kafka.Record {
				return []kafka.Record{w.placed(), w.personal(1, "ada@example.com", "Ada"), changed(w), w.confirmed(3)}
			},
			func(w *world) []kafka.Record { return []kafka.Record{w.personal(2, "ada@example.com", "Bob")} }, "Bob",
		},
		"the event": {
			*toOrder, func(w *world) []kafka.Record {
				return []kafka.Record{w.placed(), w.personal(1, "ada@example.com", "Ada")}
			},
			func(w *world) []kafka.Record { return []kafka.Record{w.confirmed(2)} }, "Ada",
		},
		"the shipment": {
			api.SendMail{OrderID: orderID, Mail: 1, Send: 1, Kind: api.KindShipmentDispatched, About: "shipment-9/2"},
			func(w *world) []kafka.Record {
				return []kafka.Record{w.placed(), w.personal(1, "ada@example.com", "Ada"), w.dispatched()[0]}
			},
			func(w *world) []kafka.Record { return w.dispatched()[1:] }, "Ada",
		},
		"the refund": {
			api.SendMail{OrderID: orderID, Mail: 1, Send: 1, Kind: api.KindPaymentRefunded, About: "payment-" + orderID + "/3"},
			func(w *world) []kafka.Record {
				return append([]kafka.Record{w.placed(), w.personal(1, "ada@example.com", "Ada")}, w.refunded()[:2]...)
			},
			func(w *world) []kafka.Record { return w.refunded()[2:] }, "Ada",
		},
	} {
		t.Run(what+" comes for the next attempt", func(t *testing.T) {
			w := newWorld(t)
			w.Fold(c.known(w)...)
			w.ask(&c.task)
			w.attempt()
			w.came("", "")
			w.Fold(c.later(w)...)
			for _, m := range w.sub.Settle() {
				handle(w.group.Handle, m)
			}
			if len(w.out.got) != 1 || !strings.Contains(w.out.got[0], `"`+c.to+`" <ada@example.com>`) {
				t.Errorf("sent %q", w.out.got)
			}
		})
		t.Run(what+" comes during the attempt", func(t *testing.T) {
			w := newWorld(t)
			w.viewWait = 10 * time.Second
			w.Fold(c.known(w)...)
			w.ask(&c.task)
			done := make(chan struct{})
			go func() {
				defer close(done)
				w.attempt()
			}()
			w.Fold(c.later(w)...)
			<-done
			if len(w.out.got) != 1 {
				t.Errorf("sent %q", w.out.got)
			}
		})
		t.Run(what+" never comes", func(t *testing.T) {
			w := newWorld(t)
			w.Fold(c.known(w)...)
			w.ask(&c.task)
			w.run()
			w.came("", "1.1 failed order_unknown")
			if len(w.dead()) != 1 {
				t.Errorf("%d dead letters", len(w.dead()))
			}
		})
	}
}

func known(t *testing.T) *world {
	w := newWorld(t)
	w.Fold(w.placed(), w.personal(1, "ada@example.com", "Ada Lovelace"), w.confirmed(2))
	return w
}

func TestAProcessThatIsKilledBeforeItReportsSendsTheSameMailAgain(t *testing.T) {
	w := known(t)
	w.ask(toOrder)
	w.out.during = w.sub.Crash // the mail is out, and nobody knows
	w.attempt()
	w.came("Your order 7CF0-NCCF is confirmed", "")
	w.out.during = nil
	w.run()
	w.came("Your order 7CF0-NCCF is confirmed, Your order 7CF0-NCCF is confirmed", "1.1 sent")
	if w.out.got[0] != w.out.got[1] {
		t.Errorf("the receiver takes them for two: %q", w.out.got)
	}
}

func TestAKillBeforeTheReportLeavesOneFileInTheOutbox(t *testing.T) {
	w := known(t)
	dir := filepath.Join(t.TempDir(), "outbox")
	w.transport = crashing{newOutbox(t, dir, 10), w.sub}
	w.ask(toOrder)
	w.attempt()
	w.transport = newOutbox(t, dir, 10)
	w.run()
	w.came("", "1.1 sent")
	if got := files(t, dir); got != "20261123T120000.000000000-7CF0-NCCF-1.1-order_confirmed.eml" {
		t.Errorf("the outbox holds %s", got)
	}
}

// crashing is a transport whose process is killed when the mail is out.
type crashing struct {
	transport
	sub *memkafka.Subscriber
}

func (c crashing) send(ctx context.Context, name string, m *mail.Msg) error {
	err := c.transport.send(ctx, name, m)
	c.sub.Crash()
	return err
}

func TestATaskThatComesAgainAfterItsMailWasReportedSendsNothing(t *testing.T) {
	for _, end := range []string{api.TypeMailSent, api.TypeMailFailed, api.TypeMailSkipped} {
		w := known(t)
		w.Fold(w.mailed(1, api.TypeMailRequested, 1, 1), w.mailed(2, end, 1, 1))
		w.ask(toOrder)
		w.run()
		w.came("", "")
		again := *toOrder
		again.Send = 2
		w.Fold(w.mailed(3, api.TypeMailRequested, 1, 2)) // staff wants it sent again
		w.ask(&again)
		w.run()
		w.came("Your order 7CF0-NCCF is confirmed", "1.2 sent")
	}
}

func TestAMailThatIsRefusedIsReportedAtOnce(t *testing.T) {
	w := known(t)
	w.out.errs = []error{fault.Invalid("smtp_550", "no")}
	w.ask(toOrder)
	w.run()
	w.came("Your order 7CF0-NCCF is confirmed", "1.1 failed smtp_550")
	if len(w.dead()) != 0 {
		t.Errorf("%d dead letters of an ordinary no", len(w.dead()))
	}
	w = known(t)
	w.Fold(w.personal(3, "not an address", "Ada Lovelace"))
	w.ask(toOrder)
	w.run()
	w.came("", "1.1 failed bad_address")
	if n := w.counted("order_confirmed", "failed"); n != 1 {
		t.Errorf("%v failures are counted", n)
	}
}

func TestAMailIsTriedAgainAndGivenUpInTheEnd(t *testing.T) {
	w := known(t)
	later := fault.Unavailable("smtp_451", "later")
	w.out.errs = []error{later, errors.New("something else")}
	w.ask(toOrder)
	w.run()
	const confirmed = "Your order 7CF0-NCCF is confirmed"
	w.came(confirmed+", "+confirmed+", "+confirmed, "1.1 sent")

	w = known(t)
	w.out.errs = []error{later, later, later}
	w.ask(toOrder)
	w.run()
	w.came(confirmed+", "+confirmed+", "+confirmed, "1.1 failed smtp_451")
	if dead := w.dead(); len(dead) != 1 || strings.Contains(string(dead[0].Value), "ada") || strings.Contains(string(dead[0].Value), "Ada") {
		t.Errorf("dead letters: %+v", dead)
	}
}

func TestAFaultOfOursIsReportedAsSuch(t *testing.T) {
	w := known(t)
	w.out.during = func() { panic("bug") }
	w.ask(toOrder)
	w.run()
	w.came("Your order 7CF0-NCCF is confirmed", "1.1 failed internal")
	for _, task := range []api.SendMail{
		{OrderID: orderID, Mail: 1, Send: 1, Kind: "birthday", About: "order-" + orderID + "/2"},
		{OrderID: orderID, Mail: 1, Send: 1, Kind: api.KindOrderConfirmed, About: "nothing"},
		{OrderID: orderID, Mail: 1, Send: 1, Kind: api.KindPaymentRefunded, About: "payment-" + orderID + "/1"},
	} {
		w := known(t)
		w.Fold(w.refunded()...)
		w.ask(&task)
		w.run()
		w.came("", "1.1 failed internal")
	}
}
