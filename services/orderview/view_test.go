package orderview

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(realparts.Wrap(m)) }

var (
	staff = httpapi.Caller{ID: "s-1", Role: httpapi.RoleStaff}
	ada   = httpapi.Caller{ID: "c-ada", Role: httpapi.RoleCustomer}
	bob   = httpapi.Caller{ID: "c-bob", Role: httpapi.RoleCustomer}
)

// world is the order view, and what has happened so far.
type world struct {
	*servicetest.View
	api      *servicetest.API
	t        testing.TB
	position int64
}

func newWorld(t testing.TB) *world {
	w := &world{View: servicetest.NewView(t, newView(0)), api: servicetest.NewAPI(t), t: t}
	newQueries(w.Reader, later).register(w.api.API)
	return w
}

// exec changes what the view holds.
func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	err := w.Store.Update(w.t.Context(), func(tx projection.Tx) error { _, err := tx.Exec(w.t.Context(), sql, args...); return err })
	if err != nil {
		w.t.Fatal(err)
	}
}

// later is when the view is asked.
func later() time.Time { return servicetest.Noon.Add(time.Hour) }

func orderID(n int) string { return fmt.Sprintf("00000000-0000-5000-8000-%012d", n) }

// event is a record of an order as its relay publishes it.
func (w *world) event(n int, version int64, eventType string, body any) kafka.Record {
	w.t.Helper()
	w.position++
	return w.record(bus.EventsTopic(ordering.Service), n, version, eventType, body)
}

func (w *world) record(topic string, n int, version int64, eventType string, body any) kafka.Record {
	data, err := bus.Encode(body)
	if err != nil {
		w.t.Fatal(err)
	}
	stream := "order-" + orderID(n)
	e := bus.Envelope{
		ID: fmt.Sprintf("%s/%d", stream, version), Type: eventType, Subject: stream, Time: servicetest.Noon,
		StreamVersion: version, Position: w.position, Epoch: "e1",
	}
	return e.Record(topic, []byte(stream), data)
}

func (w *world) placed(n int, customer string) kafka.Record {
	return w.placedAs(n, orderID(n), customer, servicetest.Noon.Add(time.Duration(n/2)*time.Minute))
}

func (w *world) placedAs(n int, id, customer string, at time.Time) kafka.Record {
	return w.of(ordering.Service, orderCategory+"-"+id, 1, ordering.TypeOrderPlaced, ordering.OrderPlaced{
		OrderID: id, Version: 1, Number: fmt.Sprint("N-", n), CustomerID: customer, Status: ordering.StatusPlaced,
		PaymentStatus: ordering.PaymentPending, Currency: "EUR", PlacedAt: at, Country: "GB",
		Lines:  []ordering.Line{{Line: 1, SKU: "TEA-001", Quantity: 2, UnitPrice: 1299, Total: 2598}},
		Totals: ordering.Totals{Lines: 2598, Total: 2598},
	})
}

func (w *world) addressChanged(n int, version int64) kafka.Record {
	return w.event(n, version, ordering.TypeOrderAddressChanged, ordering.OrderAddressChanged{OrderID: orderID(n), Version: version, Status: ordering.StatusPlaced, Country: "FR"})
}

// personal is what is personal of an order as of the last event; to no street: it is erased.
func (w *world) personal(n int, version int64, street string) kafka.Record {
	r := w.record(bus.PersonalTopic(ordering.Service), n, version, ordering.TypePersonal,
		ordering.Personal{ShipTo: ordering.Address{Name: "Ada", Street: street, City: "London", Country: "GB"}, Email: "ada@example.com"})
	if street == "" {
		r.Value = nil
	}
	return r
}

// shown is what a caller sees of an order: its version, where it goes, whether it is stale.
func (w *world) shown(as httpapi.Caller, n int, header ...string) string {
	w.t.Helper()
	a := w.api.Get(as, "/v1/orders/"+orderID(n), header...)
	if a.Status != 200 {
		return fmt.Sprint(a.Status, " ", a.Code())
	}
	var o Order
	a.Into(&o)
	street := "nowhere"
	if o.ShipTo != nil {
		street = o.ShipTo.Street
	}
	return fmt.Sprintf("version %d to %s, stale %v", o.Version, street, o.Stale != nil)
}

func (w *world) wantShown(as httpapi.Caller, n int, want string, header ...string) {
	w.t.Helper()
	if got := w.shown(as, n, header...); got != want {
		w.t.Errorf("%s sees %q, want %q", as.ID, got, want)
	}
}

func TestAnOrderIsShownToStaffAndToItsCustomer(t *testing.T) {
	w := newWorld(t)
	w.wantShown(staff, 1, "404 order_not_found")
	w.Fold(w.placed(1, ada.ID), w.personal(1, 1, "12 St James Square"))
	w.wantShown(staff, 1, "version 1 to 12 St James Square, stale false")
	w.wantShown(ada, 1, "version 1 to 12 St James Square, stale false")
	w.wantShown(bob, 1, "404 order_not_found")
	var o Order
	w.api.Get(ada, "/v1/orders/"+orderID(1)).Into(&o)
	if o.Number != "N-1" || o.Totals.Total != 2598 || len(o.Lines) != 1 || o.Status != "placed" || o.PaymentStatus != "pending" || !slices.Equal(o.NextActions, []string{"change_address", "cancel"}) {
		t.Errorf("got %+v", o)
	}
}

func TestAnUnchangedOrderIsNotSentAgain(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.placed(1, ada.ID), w.personal(1, 1, "12 St James Square"))
	etag := w.api.Get(ada, "/v1/orders/"+orderID(1)).Header.Get("ETag")
	if a := w.api.Get(ada, "/v1/orders/"+orderID(1), "If-None-Match", etag); a.Status != 304 {
		t.Errorf("%s: %d", etag, a.Status)
	}
	w.Fold(w.addressChanged(1, 2), w.personal(1, 2, "1 rue de Rivoli"))
	w.wantShown(ada, 1, "version 2 to 1 rue de Rivoli, stale false", "If-None-Match", etag)
}

// TestAChangedOrderIsSentAgainWhileWhatIsPersonalOfItLags: it is shown as of the version before, but with
// what has changed since.
func TestAChangedOrderIsSentAgainWhileWhatIsPersonalOfItLags(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.placed(1, ada.ID), w.personal(1, 1, "12 St James Square"))
	seen := w.api.Get(ada, "/v1/orders/"+orderID(1)).Header.Get("ETag")
	var personal kafka.Record
	for i, step := range []func(){
		func() { w.Fold(w.addressChanged(1, 2)); personal = w.personal(1, 2, "1 rue de Rivoli") },
		func() {
			w.Fold(w.event(1, 3, ordering.TypeOrderConfirmed, ordering.OrderConfirmed{
				Change: ordering.Change{OrderID: orderID(1), Version: 3, Status: ordering.StatusConfirmed, CustomerID: ada.ID},
			}))
		},
		func() { w.Fold(personal) },
	} {
		step()
		a := w.api.Get(ada, "/v1/orders/"+orderID(1), "If-None-Match", seen)
		if a.Status != 200 || a.Header.Get("ETag") == seen {
			t.Errorf("after step %d: %d, %s", i+1, a.Status, a.Header.Get("ETag"))
		}
		seen = a.Header.Get("ETag")
		if a := w.api.Get(ada, "/v1/orders/"+orderID(1), "If-None-Match", seen); a.Status != 304 {
			t.Errorf("after step %d, unchanged: %d", i+1, a.Status)
		}
	}
	if seen != `"order-`+orderID(1)+`@3"` {
		t.Errorf("in the end its tag is %s", seen)
	}
}

// TestAnOrderIsAsNewAsWhatIsPersonalOfIt: the topics are not ordered relative to each other, so
// either may come first; a version is shown when both are there.
func TestAnOrderIsAsNewAsWhatIsPersonalOfIt(t *testing.T) {
	t.Run("the event comes first", func(t *testing.T) {
		w := newWorld(t)
		placed := w.placed(1, ada.ID)
		personal := w.personal(1, 1, "12 St James Square")
		token := []string{"Consistency-Token", "order-" + orderID(1) + "@1", "Prefer", "wait=0"}
		w.wantShown(ada, 1, "503 not_yet_consistent", token...)
		w.Fold(placed)
		w.wantShown(ada, 1, "503 not_yet_consistent", token...)
		w.wantShown(ada, 1, "404 order_not_found")
		w.Fold(personal)
		w.wantShown(ada, 1, "version 1 to 12 St James Square, stale false", token...)
		changed := w.addressChanged(1, 2)
		later := w.personal(1, 2, "1 rue de Rivoli")
		w.Fold(changed)
		w.wantShown(ada, 1, "version 1 to 12 St James Square, stale false")
		w.Fold(later)
		w.wantShown(ada, 1, "version 2 to 1 rue de Rivoli, stale false")
	})
	t.Run("the personal message comes first", func(t *testing.T) {
		w := newWorld(t)
		placed := w.placed(1, ada.ID)
		w.Fold(w.personal(1, 1, "12 St James Square"))
		w.wantShown(ada, 1, "404 order_not_found")
		w.Fold(placed)
		w.wantShown(ada, 1, "version 1 to 12 St James Square, stale false")
	})
}

func TestWhatWasErasedIsForgottenWhateverComesLate(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.placed(1, ada.ID))
	first := w.personal(1, 1, "12 St James Square")
	w.Fold(first)
	w.Fold(w.event(1, 2, "orderlane.ordering.order_personal_erased.v1", struct{}{}), w.personal(1, 2, "")) // of a later release
	w.wantShown(ada, 1, "version 2 to nowhere, stale false")
	w.Fold(first)
	w.wantShown(ada, 1, "version 2 to nowhere, stale false")
	if a := w.api.Get(staff, "/v1/orders"); strings.Contains(a.Body, "St James") || strings.Contains(a.Body, "ship_to") {
		t.Errorf("the list tells where orders go: %s", a.Body)
	}
}

func TestAnOrderThatTheViewCannotFollowSaysSo(t *testing.T) {
	w := newWorld(t)
	bad := func(n int, version int64) kafka.Record {
		r := w.addressChanged(n, version)
		r.Value = []byte("{")
		return r
	}
	w.Fold(w.placed(1, ada.ID), w.personal(1, 1, "12 St James Square"), w.placed(2, ada.ID))
	etag := w.api.Get(ada, "/v1/orders/"+orderID(1)).Header.Get("ETag")
	w.Fold(bad(1, 2), w.addressChanged(1, 3))
	w.wantShown(ada, 1, "version 1 to 12 St James Square, stale true", "If-None-Match", etag) // never 304
	w.Fold(w.personal(2, 1, "elsewhere"), w.addressChanged(2, 2), w.personal(2, 2, "elsewhere"))
	w.wantShown(ada, 2, "version 2 to elsewhere, stale false") // the others go on

	w.Fold(bad(3, 1))
	w.wantShown(staff, 3, "503 view_broken")
	w.wantShown(ada, 3, "404 order_not_found") // she might not be its customer
	w.Fold(w.addressChanged(4, 2))             // an event before it was lost
	w.wantShown(staff, 4, "503 view_broken")
}

func TestAListIsPagedNewestFirstAndFiltered(t *testing.T) {
	w := newWorld(t)
	for n := range 11 {
		w.Fold(w.placed(n, []string{ada.ID, ada.ID, bob.ID}[n%3]))
	}
	pages := func(as httpapi.Caller, limit int, query string) (numbers []string) {
		t.Helper()
		for cursor, pages := "", 0; pages < 20; pages++ {
			var list httpapi.List[Order]
			a := w.api.Get(as, fmt.Sprintf("/v1/orders?limit=%d&cursor=%s%s", limit, url.QueryEscape(cursor), query))
			a.Into(&list)
			for _, o := range list.Items {
				numbers = append(numbers, strings.TrimPrefix(o.Number, "N-"))
			}
			if cursor = list.NextCursor; cursor == "" {
				return numbers
			}
			if len(list.Items) != limit {
				t.Fatalf("a page of %d with another one behind it", len(list.Items))
			}
		}
		t.Fatal("the list has no end")
		return nil
	}
	at := func(minute int) string {
		return url.QueryEscape(servicetest.Noon.Add(time.Duration(minute) * time.Minute).Format(time.RFC3339))
	}
	for _, c := range []struct {
		as    httpapi.Caller
		query string
		want  string
	}{
		{staff, "", "[10 9 8 7 6 5 4 3 2 1 0]"},
		{staff, "&status=placed", "[10 9 8 7 6 5 4 3 2 1 0]"},
		{staff, "&customer_id=c-bob", "[8 5 2]"},
		{staff, "&customer_id=nobody", "[]"},
		{staff, "&placed_from=" + at(2) + "&placed_to=" + at(4), "[7 6 5 4]"},
		{staff, "&customer_id=c-ada&placed_from=" + at(2), "[10 9 7 6 4]"},
		{bob, "", "[8 5 2]"},
		{bob, "&customer_id=c-bob", "[8 5 2]"},
		{bob, "&customer_id=c-ada", "[]"},
	} {
		for _, limit := range []int{1, 2, 3, 11, 200} {
			if got := fmt.Sprint(pages(c.as, limit, c.query)); got != c.want {
				t.Errorf("%s, limit %d, %q: %s, want %s", c.as.ID, limit, c.query, got, c.want)
			}
		}
	}
	var list httpapi.List[Order]
	w.api.Get(staff, "/v1/orders?limit=1").Into(&list)
	for what, query := range map[string]string{
		"no cursor at all":           "cursor=x",
		"the cursor of another list": "customer_id=c-ada&cursor=" + list.NextCursor,
	} {
		if a := w.api.Get(staff, "/v1/orders?"+query); a.Status != 400 || a.Code() != "bad_cursor" {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
	}
}

const commandID = "0193a1b2-0000-7000-8000-00000000002a"

func accepted(caller string) kafka.Record {
	e := bus.Envelope{ID: commandID, Type: ordering.TypePlaceOrder, Subject: "order-" + orderID(1), Time: servicetest.Noon, Caller: bus.Caller{ID: caller}}
	return e.Record(bus.CommandsTopic(ordering.Service), []byte(e.Subject), []byte(`{"ship_to": "none of the view's business"}`))
}

// outcomes are the messages that tell of a command's outcomes, as the services publish them.
func outcomes(t testing.TB, caller string, answers ...es.Outcome) (records []kafka.Record) {
	t.Helper()
	broker := servicetest.NewView(t, newView(0)).Broker
	publish := bus.PublishAnswers(broker.Producer(), "elsewhere")
	for _, o := range answers {
		o.Stream, o.Time = "order-"+orderID(1), servicetest.Noon
		c := &es.Command{Type: ordering.TypePlaceOrder, Stream: o.Stream, Meta: es.Metadata{Caller: caller}}
		if err := c.Meta.Command.UnmarshalText([]byte(commandID)); err != nil {
			t.Fatal(err)
		}
		_ = publish(t.Context(), []es.Answer{{Command: c, Outcome: o}}) // there is no topic for dead letters
	}
	for _, p := range broker.Partitions(bus.OutcomesTopic) {
		for _, r := range broker.Records(p, 0, -1) {
			r.Partition = kafka.AnyPartition
			records = append(records, r)
		}
	}
	return records
}

func (w *world) command(as httpapi.Caller) (c Command, code string) {
	a := w.api.Get(as, "/v1/commands/"+commandID, "Prefer", "wait=0")
	if a.Status != 200 {
		return c, fmt.Sprint(a.Status, " ", a.Code())
	}
	a.Into(&c)
	return c, ""
}

func TestACommandsStatusNeverGoesBackWhateverTheOrderOfArrival(t *testing.T) {
	told := outcomes(t, ada.ID,
		es.Outcome{Status: es.StatusSucceeded, Version: 1},
		es.Outcome{Status: es.StatusRefused, Fault: fault.Conflict("price_changed", "it did").With("body.lines[0]", "dearer")},
	)
	parked := accepted(ada.ID)
	parked.Topic, parked.Key, parked.Value = bus.OutcomesTopic, []byte(commandID), []byte(`{"status":"parked","command_type":"`+ordering.TypePlaceOrder+
		`","resource":{"type":"order","id":"`+orderID(1)+`"},"problem":{"kind":"internal","code":"parked","detail":"panic: a secret"},"time":"2026-11-23T12:00:00Z"}`)
	parked.Headers = []kafka.Header{{Key: bus.HeaderID, Value: []byte("parked/x")}, {Key: bus.HeaderType, Value: []byte(bus.TypeOutcome)}, {Key: bus.HeaderStatus, Value: []byte("parked")}, {Key: bus.HeaderCaller, Value: []byte(ada.ID)}}
	for i, status := range []string{"succeeded", "refused"} {
		messages := []kafka.Record{accepted(ada.ID), parked, told[i]}
		rank := []string{"accepted", "parked", status}
		t.Run(status, func(t *testing.T) {
			for order := range 27 { // all ways to draw three of them
				w, highest := newWorld(t), -1
				for _, n := range []int{order % 3, order / 3 % 3, order / 9} {
					highest = max(highest, n)
					w.Fold(messages[n])
					if c, code := w.command(ada); c.Status != rank[highest] || code != "" {
						t.Fatalf("order %d: it is %q %s, want %q", order, c.Status, code, rank[highest])
					}
				}
			}
		})
	}
}

func TestACommandIsShownToStaffAndToItsCaller(t *testing.T) {
	for what, first := range map[string]kafka.Record{
		"accepted": accepted(ada.ID),
		"outcome":  outcomes(t, ada.ID, es.Outcome{Status: es.StatusSucceeded, Version: 1})[0],
	} {
		w := newWorld(t)
		if _, code := w.command(ada); code != "404 command_not_found" {
			t.Errorf("a command that nobody has sent: %s", code)
		}
		w.Fold(first)
		for _, as := range []httpapi.Caller{ada, staff} {
			if _, code := w.command(as); code != "" {
				t.Errorf("%s, as %s: %s", what, as.ID, code)
			}
		}
		if _, code := w.command(bob); code != "404 command_not_found" {
			t.Errorf("%s: another's command is %q", what, code)
		}
	}
}

func TestACommandTellsHowItEnded(t *testing.T) {
	w := newWorld(t)
	w.Fold(accepted(ada.ID))
	c, _ := w.command(ada)
	if c.Type != ordering.TypePlaceOrder || c.Resource.ID != orderID(1) || c.AcceptedAt == nil || c.FinishedAt != nil || c.Links["resource"] != "/v1/orders/"+orderID(1) {
		t.Errorf("accepted: %+v", c)
	}
	w.Fold(outcomes(t, ada.ID, es.Outcome{Status: es.StatusRefused, Fault: fault.Conflict("price_changed", "it did").With("body.lines[0]", "dearer")})...)
	c, _ = w.command(ada)
	if c.Problem == nil || c.Problem.Status != 409 || c.Problem.Code != "price_changed" || len(c.Problem.Errors) != 1 || c.FinishedAt == nil {
		t.Errorf("refused: %+v, %+v", c, c.Problem)
	}
	w = newWorld(t)
	w.Fold(outcomes(t, ada.ID, es.Outcome{Status: es.StatusSucceeded, Version: 3})...)
	if c, _ = w.command(ada); c.Version != 3 || c.ConsistencyToken != "order-"+orderID(1)+"@3" || c.Problem != nil {
		t.Errorf("succeeded: %+v", c)
	}
	w = newWorld(t)
	w.Fold(outcomes(t, ada.ID, es.Outcome{Status: es.StatusFailed, Fault: &fault.Fault{Code: "parked", Detail: "panic: a secret"}})...)
	if c, _ = w.command(ada); c.Problem == nil || c.Problem.Status != 500 || strings.Contains(c.Problem.Detail, "secret") {
		t.Errorf("failed: %+v, %+v", c, c.Problem)
	}
}

func TestWhatIsNoOutcomeOrNoCommandOfOursIsNotShown(t *testing.T) {
	w := newWorld(t)
	private := outcomes(t, ada.ID, es.Outcome{Status: es.StatusSucceeded, Version: 1})[0]
	for i := range private.Headers {
		if private.Headers[i].Key == bus.HeaderType {
			private.Headers[i].Value = []byte(bus.TypeReply)
		}
	}
	w.Fold(private, kafka.Record{Topic: bus.CommandsTopic(ordering.Service), Partition: kafka.AnyPartition, Key: []byte("x"), Value: []byte("hello")})
	if _, code := w.command(ada); code != "404 command_not_found" {
		t.Errorf("an answer to one caller is shown as an outcome: %s", code)
	}
	if broken, err := w.Projection.AllBroken(t.Context(), "", 10); len(broken) > 0 || err != nil {
		t.Errorf("%+v, %v", broken, err)
	}
}
