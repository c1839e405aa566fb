package orderview

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/live"
)

// livePatience is how long a test waits for an event.
const livePatience = 20 * time.Second

// liveWorld is the order view with its live streams, on a real server.
type liveWorld struct {
	*world
	server    *httptest.Server
	published chan struct{}
}

// following is a live.Source whose consumers read what the test publishes.
type following struct {
	*memkafka.Broker
	published chan struct{}
}

func (f following) Consume(ctx context.Context, topics []string, h kafka.BatchHandler) error {
	c := f.Consumer(h)
	if err := c.Assign(ctx, f.Partitions(topics...)...); err != nil {
		return err
	}
	defer c.Revoke()
	return c.Follow(ctx, f.published)
}

func newLiveWorld(t *testing.T, change ...func(*live.Options)) *liveWorld {
	w := &liveWorld{world: newWorld(t), published: make(chan struct{}, 1)}
	o := live.Options{Topics: liveTopics, Source: following{w.Broker, w.published}, Decode: tellLive}
	for _, c := range change {
		c(&o)
	}
	hub := live.New(o)
	newQueries(w.Reader, later).registerLive(w.api.API, &liveStreams{hub, w.Reader})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- hub.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	w.server = httptest.NewServer(w.api)
	t.Cleanup(w.server.Close)
	t.Cleanup(w.server.Client().CloseIdleConnections)
	t.Cleanup(w.api.Drain)
	return w
}

// happens publishes records, which the view takes up.
func (w *liveWorld) happens(records ...kafka.Record) {
	w.t.Helper()
	w.Fold(records...)
	w.poke()
}

func (w *liveWorld) poke() {
	select {
	case w.published <- struct{}{}:
	default:
	}
}

// liveClient reads a live stream.
type liveClient struct {
	w     *liveWorld
	lines *bufio.Reader
	id    string
	raw   string // of all that was read
}

func (w *liveWorld) follow(as httpapi.Caller, path string, header ...string) *liveClient {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.server.URL+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.api.Token(as))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := w.server.Client().Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s is answered %d", path, resp.StatusCode)
	}
	return &liveClient{w: w, lines: bufio.NewReader(resp.Body)}
}

// next is the next event in short: its name, the last part of its type, its status or reason.
func (c *liveClient) next() string {
	c.w.t.Helper()
	said := make(chan string, 1)
	go func() { said <- c.read() }()
	select {
	case s := <-said:
		return s
	case <-time.After(livePatience):
		c.w.t.Fatal("no event comes")
		return ""
	}
}

func (c *liveClient) read() string {
	var name, data string
	for {
		line, err := c.lines.ReadString('\n')
		if err != nil {
			return err.Error()
		}
		c.raw += line
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch {
		case field == "id":
			c.id = value
		case field == "event":
			name = value
		case field == "data":
			data = value
		case line == "\n" && name != "":
			var e struct {
				Type   string `json:"type"`
				Status string `json:"status"`
				Reason string `json:"reason"`
			}
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				return err.Error()
			}
			if parts := strings.Split(e.Type, "."); len(parts) == 4 {
				e.Type = parts[2]
			}
			return strings.Join(strings.Fields(name+" "+e.Type+" "+e.Status+" "+e.Reason), " ")
		}
	}
}

func (c *liveClient) tells(want ...string) {
	c.w.t.Helper()
	for _, next := range want {
		if got := c.next(); got != next {
			c.w.t.Fatalf("it tells of %q, not of %q", got, next)
		}
	}
}

func orderPath(n int) string { return "/v1/orders/" + orderID(n) + "/stream" }

func TestCustomersFollowTheirOrderAndStaffTheShopsWorkToo(t *testing.T) {
	w := newLiveWorld(t)
	story := w.story(1)
	w.happens(story[0], w.personal(1, 1, "12 St James Square"))
	customer, anyone, all := w.follow(ada, orderPath(1)), w.follow(staff, orderPath(1)), w.follow(staff, "/v1/orders/stream")
	customer.tells("ready placed")
	anyone.tells("ready placed")
	all.tells("ready")
	for i, told := range []struct {
		to   audience
		what string
	}{
		{staffOnly, "fulfilment fulfilment_started"},
		{staffOnly, "fulfilment line_reserved"},
		{staffOnly, "payment payment_requested"},
		{everyone, "payment payment_authorized"},
		{staffOnly, "fulfilment payment_secured"},
		{staffOnly, "fulfilment asked_again"},
		{everyone, "order order_confirmed confirmed"},
		{everyone, ""}, // a mail: it changes nothing of the order
		{everyone, "shipment shipment_created"},
		{everyone, "shipment shipment_dispatched"},
		{everyone, "payment payment_captured"},
		{everyone, "order order_shipped partially_shipped"},
	} {
		w.happens(story[i+1])
		if told.what == "" {
			continue
		}
		all.tells(told.what)
		anyone.tells(told.what)
		if told.to == everyone {
			customer.tells(told.what)
		}
	}
	w.happens(w.placed(2, bob.ID))
	all.tells("order order_placed placed")
	for _, personal := range []string{"c-ada", "c-bob", "Ada", "James", staff.ID} {
		if strings.Contains(customer.raw+anyone.raw+all.raw, personal) {
			t.Errorf("%q is told", personal)
		}
	}
}

func TestAStreamIsResumedWhereItWasLeft(t *testing.T) {
	w := newLiveWorld(t)
	w.happens(w.placed(1, ada.ID), w.personal(1, 1, "12 St James Square"))
	left := w.follow(ada, orderPath(1))
	left.tells("ready placed")
	w.happens(w.addressChanged(1, 2), w.personal(1, 2, "Elsewhere"))
	left.tells("order order_address_changed placed")
	w.happens(w.addressChanged(1, 3))
	w.follow(ada, orderPath(1), "Last-Event-ID", left.id).tells("order order_address_changed placed")
	left.tells("order order_address_changed placed")
	w.happens(w.addressChanged(1, 4))
	left.tells("order order_address_changed placed")
	if !strings.Contains(left.raw, `"consistency_token":"order-`+orderID(1)+`@4"`) {
		t.Error("no consistency token: ", left.raw)
	}
}

func TestAStreamBeginsWhereTheViewStands(t *testing.T) {
	w := newLiveWorld(t)
	w.happens(w.placed(1, ada.ID), w.personal(1, 1, "12 St James Square"))
	if err := w.Broker.Producer().Publish(t.Context(), []kafka.Record{w.addressChanged(1, 2)}); err != nil {
		t.Fatal(err) // the view has not seen it yet, so who reads it now does not either
	}
	c := w.follow(ada, orderPath(1))
	c.tells("ready placed", "order order_address_changed placed")
	if !strings.Contains(c.raw, `"consistency_token":"order-`+orderID(1)+`@1"`) {
		t.Error("it does not say where the order stood: ", c.raw)
	}
}

func TestWhatIsGoneMeanwhileIsToBeReadAnew(t *testing.T) {
	w := newLiveWorld(t)
	w.happens(w.placed(1, ada.ID), w.personal(1, 1, "12 St James Square"))
	c := w.follow(ada, orderPath(1))
	c.tells("ready placed")
	again := newLiveWorld(t) // another instance, which did not listen meanwhile, of a topic that was trimmed
	again.happens(again.placed(1, ada.ID), again.personal(1, 1, "12 St James Square"))
	for v := int64(2); v < 6; v++ {
		again.happens(again.addressChanged(1, v), again.personal(1, v, fmt.Sprint(v, " Street")))
	}
	for _, p := range again.Broker.Partitions(bus.EventsTopic(ordering.Service)) {
		if err := again.Broker.DeleteRecords(t.Context(), p, -1); err != nil {
			t.Fatal(err)
		}
	}
	c = again.follow(ada, orderPath(1), "Last-Event-ID", c.id)
	c.tells("reset placed too_old")
	again.happens(again.addressChanged(1, 6))
	c.tells("order order_address_changed placed")
}

func TestAFutureThatIsLostIsToBeReadAnew(t *testing.T) {
	w := newLiveWorld(t)
	w.happens(w.placed(1, ada.ID), w.personal(1, 1, "12 St James Square"))
	c := w.follow(ada, orderPath(1))
	c.tells("ready placed")
	for _, p := range w.Broker.Partitions(bus.EventsTopic(ordering.Service)) {
		e := bus.Envelope{ID: "e2", Type: bus.TypeEpochBegan, Position: 1, Epoch: "2-e2"}
		r := e.Record(p.Topic, []byte(bus.EpochKey), []byte(`{"epoch":"2-e2","after":1}`))
		r.Partition = p.ID
		w.happens(r)
	}
	if got := c.next(); got != "EOF" {
		t.Fatalf("it tells of %q, and does not end", got)
	}
	c = w.follow(ada, orderPath(1), "Last-Event-ID", c.id)
	c.tells("reset placed taken_back")
	w.happens(w.addressChanged(1, 2))
	c.tells("order order_address_changed placed")
}

func TestNobodyFollowsWhatIsNotTheirs(t *testing.T) {
	w := newLiveWorld(t)
	w.happens(w.placed(1, ada.ID), w.personal(1, 1, "12 St James Square"), w.placed(2, ada.ID), w.personal(2, 1, "12 St James Square"))
	c := w.follow(ada, orderPath(1))
	c.tells("ready placed")
	for name, r := range map[string]struct {
		as     httpapi.Caller
		path   string
		id     string
		status int
		code   string
	}{
		"another's order":                   {bob, orderPath(1), "", 404, "order_not_found"},
		"another's order, with an id of it": {bob, orderPath(1), c.id, 404, "order_not_found"},
		"an order that is not there":        {staff, orderPath(3), "", 404, "order_not_found"},
		"all orders":                        {ada, "/v1/orders/stream", "", 403, "role_required"},
		"an id of another order":            {ada, orderPath(2), c.id, 400, "foreign_last_event_id"},
		"an id of one order for all":        {staff, "/v1/orders/stream", c.id, 400, "foreign_last_event_id"},
		"no id":                             {ada, orderPath(1), "42", 400, "malformed_last_event_id"},
		"no order":                          {ada, "/v1/orders/42/stream", "", 422, "validation_failed"},
		"a parameter":                       {ada, orderPath(1) + "?from=1", "", 422, "validation_failed"},
	} {
		a := w.api.Get(r.as, r.path, "Last-Event-ID", r.id)
		if a.Status != r.status || a.Code() != r.code {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
}

// away is a broker that cannot be reached.
type away struct {
	live.Source
	tried chan struct{}
}

func (a away) Consume(ctx context.Context, _ []string, _ kafka.BatchHandler) error {
	close(a.tried)
	<-ctx.Done()
	return nil
}

func TestWhoWaitsForALiveStreamDoesNotHoldUpTheEndOfTheProcess(t *testing.T) {
	tried := make(chan struct{})
	w := newLiveWorld(t, func(o *live.Options) { o.Source, o.Standing = away{o.Source, tried}, time.Hour })
	w.Fold(w.placed(1, ada.ID), w.personal(1, 1, "12 St James Square"))
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		a := w.api.Get(ada, orderPath(1))
		if a.Status != http.StatusServiceUnavailable || a.Code() != "live_unavailable" || a.Header.Get("Retry-After") != "5" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}()
	select {
	case <-tried:
	case <-time.After(livePatience):
		t.Fatal("it does not come")
	}
	w.api.Drain()
	select {
	case <-answered:
	case <-time.After(opening / 2):
		t.Fatal("it waits still")
	}
}

func TestAnIDFromBeforeAPlatformHadItsPartitionsIsForeign(t *testing.T) {
	w := newLiveWorld(t)
	w.happens(w.placed(1, ada.ID), w.personal(1, 1, "12 St James Square"))
	three := memkafka.New(time.Now)
	for _, topic := range liveTopics {
		if err := three.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: topic, Partitions: 3}}); err != nil {
			t.Fatal(err)
		}
	}
	hub := live.New(live.Options{Topics: liveTopics, Source: following{three, nil}, Decode: tellLive})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- hub.Run(ctx) }()
	s, err := hub.From(ctx, scopeOf(orderID(1), false), nil)
	if err != nil {
		t.Fatal(err)
	}
	var sent string
	if err := s.Run(ctx, &live.Event{Name: nameReady, Data: []byte("{}")}, func(b []byte) error {
		sent += string(b)
		stop()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	_, id, _ := strings.Cut(sent, "id: ")
	id, _, _ = strings.Cut(id, "\n")
	if a := w.api.Get(ada, orderPath(1), "Last-Event-ID", id); a.Code() != "foreign_last_event_id" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestWhatCannotBeReadIsNotTold(t *testing.T) {
	w := newLiveWorld(t)
	for name, r := range map[string]kafka.Record{
		"no message of ours":   {Topic: liveTopics[0], Value: []byte("?")},
		"a discount":           w.of(ordering.Service, "discount-X", 1, ordering.TypeDiscountRedeemed, ordering.DiscountRedeemed{OrderID: orderID(1)}),
		"no JSON":              w.of(shipping.Service, "shipment-1", 1, shipping.TypeShipmentCreated, "text"),
		"of no order":          w.of(shipping.Service, "shipment-1", 1, shipping.TypeShipmentCreated, struct{}{}),
		"a time that is none":  {Topic: liveTopics[0], Headers: []kafka.Header{{Key: bus.HeaderTime, Value: []byte("noon")}}},
		"of another's service": w.of("inventory", "stock-TEA", 1, "orderlane.inventory.stock_received.v1", struct{}{}),
	} {
		if e, ok := tellLive(&r); ok {
			t.Errorf("%s: %+v", name, e)
		}
	}
	later := w.of(fulfilment.Service, "fulfilment-"+orderID(1), 1, "orderlane.fulfilment.of_a_later_release.v1", fulfilment.Progress{OrderID: orderID(1)})
	if e, ok := tellLive(&later); !ok || !e.Restricted {
		t.Errorf("an event of a later release: %+v", e)
	}
	later = w.event(1, 2, "orderlane.ordering.order_of_a_later_release.v1", ordering.Change{OrderID: orderID(1), Status: "new"})
	if e, ok := tellLive(&later); !ok || e.Restricted || !strings.Contains(string(e.Data), `"status":"new"`) {
		t.Errorf("an order's event of a later release: %+v", e)
	}
}
