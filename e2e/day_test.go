//go:build unix

package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/e2e/fleet"
	"github.com/orderlane/orderlane/services/payments"
)

// webhookSecret signs the callbacks of the sandbox.
const webhookSecret = "the secret of a day in the shop"

// TestADayInTheShop is one scripted day: every way that an order can go, while processes are
// killed; then what must hold at the end of a day is audited.
func TestADayInTheShop(t *testing.T) {
	o := fleet.Options{
		Whole: true, Static: true, Without: []string{fleet.OrderingB},
		Env: []string{"ORDERLANE_PAYMENTS_SANDBOX_SECRET=" + webhookSecret},
	}
	onBoth(t, o, func(t *testing.T, f *fleet.Fleet) {
		s := &shopDay{f: f, c: f.Client("")}
		crowd := s.openShop(t)
		stop := s.killSometimes(t)
		t.Run("stories", func(t *testing.T) {
			for name, story := range map[string]func(*testing.T){
				"an order is delivered":                        s.isDelivered,
				"a card is declined":                           s.isDeclined,
				"there is not enough":                          s.isOutOfStock,
				"providers answer in their own ways":           s.isAnsweredStrangely,
				"the customer confirms a payment":              s.isConfirmedByCustomer,
				"an order is cancelled":                        s.isCancelled,
				"a line is cancelled":                          s.isCancelledInPart,
				"it is too late to cancel":                     s.isCancelledTooLate,
				"a line comes from two places":                 s.comesFromTwoPlaces,
				"a line waits for stock":                       s.waitsForStock,
				"goods come back":                              s.comesBack,
				"a discount code is used up":                   s.usesADiscount,
				"the money is refused after dispatch":          s.isNotPaidAfterAll,
				"what makes no sense is refused and no matter": s.isRefusedByRule,
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					story(t)
				})
			}
		})
		t.Log(crowd())
		stop()
		s.audit(t)
		s.auditInsights(t)
	})
}

// dayLasts is how long the crowd stays.
const dayLasts = 20 * time.Second

// openShop fills the shop and lets in a crowd, beside those whose stories are told. It returns
// what waits until they have gone and says what they did.
func (s *shopDay) openShop(t *testing.T) (crowd func() string) {
	t.Helper()
	for i := range 5 {
		s.c.Stocked(t, fmt.Sprint("CROWD-", i), int64(500+100*i), 300)
	}
	for i := range 5 {
		fleet.Look(t, s.c, fmt.Sprint("/v1/products/CROWD-", i), "is there", func(*struct{}) string { return "" })
	}
	done := make(chan string, 1)
	router, chosen := s.router(t)
	go func() {
		_, out, errs := fleet.Run(t, nil, "demo", "--api", router, "--rate", "8", "--for", dayLasts.String())
		lines := strings.Split(strings.TrimSpace(out), "\n")
		done <- "the crowd: " + lines[len(lines)-1] + errs
	}()
	select { // what comes into the catalogue from now on is not the crowd's
	case <-chosen:
	case said := <-done:
		t.Fatal(said)
	}
	return func() string { return <-done }
}

// router is the one address of the fleet, as a router in front of it has it. It tells when the catalogue
// has been read through it.
func (s *shopDay) router(t *testing.T) (url string, chosen <-chan struct{}) {
	t.Helper()
	read := make(chan struct{})
	var once sync.Once
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", s.c.Address(r.In.Method, r.In.URL.Path)
	}, ModifyResponse: func(a *http.Response) error {
		if a.Request.URL.Path == "/v1/products" && a.StatusCode == http.StatusOK {
			once.Do(func() { close(read) })
		}
		return nil
	}, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)} // processes are killed
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL, read
}

// shopDay is the shop on one day.
type shopDay struct {
	f *fleet.Fleet
	c *fleet.Client
}

// killSometimes kills one process after another and starts it again, until it is told to stop.
func (s *shopDay) killSometimes(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same day each time
	var names []string
	for _, name := range s.f.Names() {
		if name != fleet.OrderingB {
			names = append(names, name)
		}
	}
	var killed []string
	done.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(1500 * time.Millisecond):
			}
			name := names[random.IntN(len(names))]
			p := s.f.Process(name)
			p.Kill()
			p.Start()
			killed = append(killed, name)
		}
	})
	return func() {
		cancel()
		done.Wait()
		t.Logf("killed: %s", strings.Join(killed, ", "))
	}
}

// audit waits until nothing happens any more, and has the promises checked of every order.
func (s *shopDay) audit(t *testing.T) {
	t.Helper()
	fleet.Wait(t, "every promise holds of every order", func() string {
		code, out, errs := s.runAudit(t)
		var records, orders, rest int
		if _, err := fmt.Sscanf(out, "%d messages, %d orders, %d of them at rest", &records, &orders, &rest); err != nil || code != 0 || rest < orders {
			return out + errs
		}
		t.Log(out)
		return ""
	})
}

func (s *shopDay) runAudit(t *testing.T) (code int, out, errs string) {
	t.Helper()
	return fleet.Run(t, nil, "audit", "--kafka-brokers", strings.Join(s.f.Brokers(), ","),
		"--api", "http://"+s.f.Process(fleet.OrderView).Public, "--grace", "2s")
}

// sku defines a product of a story and takes some of it in.
func (s *shopDay) sku(t *testing.T, cents, quantity int64) string {
	t.Helper()
	sku := fmt.Sprintf("DAY-%d", time.Now().UnixNano())
	s.c.Stocked(t, sku, cents, quantity)
	return sku
}

// order is the body of an order.
type dayOrder struct {
	fleet.NewOrder
	Payment  *ordering.Payment `json:"payment,omitzero"`
	Discount string            `json:"discount_code,omitzero"`
}

func (s *shopDay) place(t *testing.T, method string, lines ...ordering.Wanted) string {
	t.Helper()
	return s.c.Succeed(t, http.MethodPost, "/v1/orders", newDayOrder(method, lines...)).Resource.ID
}

func newDayOrder(method string, lines ...ordering.Wanted) dayOrder {
	o := dayOrder{NewOrder: fleet.Order("c-day", lines[0].SKU, 1), Payment: &ordering.Payment{Method: method}}
	o.Lines = lines
	return o
}

func wanted(sku string, quantity int64) ordering.Wanted {
	return ordering.Wanted{SKU: sku, Quantity: quantity}
}

// dispatch waits for n shipments of an order, and hands those to a carrier that wait for one.
func (s *shopDay) dispatch(t *testing.T, order string, n int) *fleet.Life {
	t.Helper()
	l := fleet.Look(t, s.c, "/v1/orders/"+order, fmt.Sprint(n, " shipments"), func(l *fleet.Life) string {
		if len(l.Shipments) >= n {
			return ""
		}
		return fmt.Sprintf("it has %d, is %s, and waits for %q", len(l.Shipments), l.Status, l.WaitingFor)
	})
	for _, sh := range l.Shipments {
		if sh.Status == "created" {
			s.c.Succeed(t, http.MethodPost, "/v1/shipments/"+sh.ID+"/dispatch", map[string]string{"carrier": "DHL", "tracking": "1"})
		}
	}
	return l
}

func (s *shopDay) deliver(t *testing.T, l *fleet.Life) {
	t.Helper()
	for _, sh := range l.Shipments {
		s.c.Succeed(t, http.MethodPost, "/v1/shipments/"+sh.ID+"/deliver", map[string]string{})
	}
}

func (s *shopDay) isDelivered(t *testing.T) {
	a, b := s.sku(t, 1299, 10), s.sku(t, 501, 10)
	id := s.place(t, "sandbox_approve", wanted(a, 2), wanted(b, 3))
	s.c.AwaitOrder(t, id, "confirmed")
	l := s.dispatch(t, id, 1)
	s.c.AwaitOrder(t, id, "shipped")
	m := s.c.AwaitMoney(t, id, "captured")
	if want := int64(2*1299 + 3*501 + 400); m.Amount != want || m.Balance.Captured != want || m.Ledger["held"] != 0 {
		t.Errorf("captured %+v of %d, want %d", m.Balance, m.Amount, want)
	}
	s.deliver(t, l)
	s.c.AwaitOrder(t, id, "delivered")
	s.wantStock(t, a, 8, 0)
}

// wantStock waits until so many are on hand and reserved.
func (s *shopDay) wantStock(t *testing.T, sku string, onHand, reserved int64) {
	t.Helper()
	type stock struct {
		OnHand   int64 `json:"on_hand"`
		Reserved int64 `json:"reserved"`
	}
	fleet.Look(t, s.c, "/v1/stock/"+sku, fmt.Sprintf("%d on hand, %d reserved", onHand, reserved), func(st *stock) string {
		if st.OnHand == onHand && st.Reserved == reserved {
			return ""
		}
		return fmt.Sprintf("%+v", *st)
	})
}

func (s *shopDay) isDeclined(t *testing.T) {
	sku := s.sku(t, 1299, 10)
	id := s.place(t, "sandbox_decline", wanted(sku, 2))
	if l := s.c.AwaitOrder(t, id, "rejected"); l.Reason != ordering.ReasonPaymentDeclined {
		t.Errorf("rejected for %q", l.Reason)
	}
	s.wantStock(t, sku, 10, 0)
}

func (s *shopDay) isOutOfStock(t *testing.T) {
	there, scarce := s.sku(t, 1299, 10), s.sku(t, 501, 1)
	id := s.place(t, "sandbox_approve", wanted(there, 2), wanted(scarce, 2))
	if l := s.c.AwaitOrder(t, id, "rejected"); l.Reason != ordering.ReasonOutOfStock {
		t.Errorf("rejected for %q", l.Reason)
	}
	s.wantStock(t, there, 10, 0)
	s.wantStock(t, scarce, 1, 0)
}

func (s *shopDay) isAnsweredStrangely(t *testing.T) {
	sku := s.sku(t, 1299, 100)
	for _, method := range []string{"sandbox_webhook", "sandbox_lost", "sandbox_twice", "sandbox_slow", "sandbox_one_capture"} {
		id := s.place(t, method, wanted(sku, 1))
		s.c.AwaitOrder(t, id, "confirmed")
		l := s.dispatch(t, id, 1)
		if m := s.c.AwaitMoney(t, id, "captured"); m.Balance.Captured != 1699 {
			t.Errorf("%s: captured %+v", method, m.Balance)
		}
		s.deliver(t, l)
		s.c.AwaitOrder(t, id, "delivered")
	}
}

func (s *shopDay) isConfirmedByCustomer(t *testing.T) {
	sku := s.sku(t, 1299, 10)
	id := s.place(t, "sandbox_3ds", wanted(sku, 1))
	if m := s.c.AwaitMoney(t, id, "requires_action"); m.ClientSecret == "" {
		fleet.Look(t, s.c, "/v1/payments/"+id, "has a client secret", func(m *fleet.Money) string {
			if m.ClientSecret == "" {
				return "there is none"
			}
			return ""
		})
	}
	body := fmt.Sprintf(`{"id":"evt-%s","order_id":%q,"result":"done"}`, id, id)
	forged := s.callback(t, body, payments.Sign("another secret", []byte(body), time.Now()))
	if forged.Status != http.StatusUnauthorized && forged.Status != http.StatusBadRequest {
		t.Errorf("a forged callback is answered %s", forged)
	}
	for range 2 { // providers repeat themselves
		if a := s.callback(t, body, payments.Sign(webhookSecret, []byte(body), time.Now())); a.Status != http.StatusOK {
			t.Errorf("the callback is answered %s", a)
		}
	}
	s.c.AwaitOrder(t, id, "confirmed")
}

// callback sends what a provider sends, until there is an answer from a process that is there.
func (s *shopDay) callback(t *testing.T, body, signature string) *fleet.Answer {
	t.Helper()
	var answer *fleet.Answer
	fleet.Wait(t, "a callback is answered", func() string {
		a, err := s.c.Try(context.Background(), http.MethodPost, "/v1/payments/webhooks/sandbox", body, "Sandbox-Signature", signature)
		switch {
		case err != nil:
			return err.Error()
		case a.Status == http.StatusServiceUnavailable:
			return a.String()
		}
		answer = a
		return ""
	})
	return answer
}

func (s *shopDay) isCancelled(t *testing.T) {
	sku := s.sku(t, 1299, 10)
	early := s.place(t, "sandbox_slow", wanted(sku, 1))
	s.c.Succeed(t, http.MethodPost, "/v1/orders/"+early+"/cancel", map[string]string{"reason": "changed my mind"})
	s.c.AwaitOrder(t, early, "cancelled")
	late := s.place(t, "sandbox_approve", wanted(sku, 1))
	s.c.AwaitOrder(t, late, "confirmed")
	s.c.Succeed(t, http.MethodPost, "/v1/orders/"+late+"/cancel", map[string]string{})
	s.c.AwaitOrder(t, late, "cancelled")
	if m := s.c.AwaitMoney(t, late, "voided"); m.Balance.Captured != 0 || m.Ledger["held"] != 0 {
		t.Errorf("what is left: %+v, held %d", m.Balance, m.Ledger["held"])
	}
	s.wantStock(t, sku, 10, 0)
}

func (s *shopDay) isCancelledInPart(t *testing.T) {
	kept, gone := s.sku(t, 1299, 10), s.sku(t, 501, 10)
	id := s.place(t, "sandbox_approve", wanted(kept, 1), wanted(gone, 1))
	s.c.AwaitOrder(t, id, "confirmed")
	s.c.Succeed(t, http.MethodPost, "/v1/orders/"+id+"/cancel", map[string]any{"lines": []int{2}})
	s.wantStock(t, gone, 10, 0)
	s.c.AwaitOrder(t, id, "confirmed")
	l := s.dispatch(t, id, 1)
	s.c.AwaitOrder(t, id, "shipped")
	fleet.Look(t, s.c, "/v1/payments/"+id, "only what was shipped is captured", func(m *fleet.Money) string {
		if m.Balance.Captured == 1299+400 && m.Ledger["held"] == 0 {
			return ""
		}
		return fmt.Sprintf("%+v, held %d", m.Balance, m.Ledger["held"])
	})
	s.deliver(t, l)
	s.c.AwaitOrder(t, id, "delivered")
}

func (s *shopDay) isCancelledTooLate(t *testing.T) {
	sku := s.sku(t, 1299, 10)
	id := s.place(t, "sandbox_approve", wanted(sku, 1))
	l := s.dispatch(t, id, 1)
	s.c.AwaitOrder(t, id, "shipped")
	s.c.Refused(t, "already_dispatched", http.MethodPost, "/v1/orders/"+id+"/cancel", map[string]string{})
	s.c.Refused(t, "already_dispatched", http.MethodPost, "/v1/shipments/"+l.Shipments[0].ID+"/dispatch", map[string]string{"carrier": "UPS"})
	s.deliver(t, l)
	s.c.AwaitOrder(t, id, "delivered")
}

func (s *shopDay) comesFromTwoPlaces(t *testing.T) {
	sku := s.sku(t, 1299, 2)
	s.c.Receive(t, sku, "east", 2)
	id := s.place(t, "sandbox_approve", wanted(sku, 3))
	s.c.AwaitOrder(t, id, "confirmed")
	l := s.dispatch(t, id, 2)
	s.c.AwaitOrder(t, id, "shipped")
	if m := s.c.AwaitMoney(t, id, "captured"); m.Balance.Captured != 3*1299+400 {
		t.Errorf("two captures come to %+v", m.Balance)
	}
	s.deliver(t, l)
	s.c.AwaitOrder(t, id, "delivered")
	s.wantStock(t, sku, 1, 0)
}

func (s *shopDay) waitsForStock(t *testing.T) {
	there := s.sku(t, 501, 10)
	sku := fmt.Sprintf("LATER-%d", time.Now().UnixNano())
	p := fleet.Product(1299)
	p.Backorder = true
	s.c.Offer(t, sku, p)
	id := s.place(t, "sandbox_approve", wanted(there, 1), wanted(sku, 2))
	s.dispatch(t, id, 1)
	fleet.Look(t, s.c, "/v1/orders/"+id, "is shipped in part and says what it waits for", func(l *fleet.Life) string {
		if l.Status == "partially_shipped" && l.WaitingFor != "" {
			return ""
		}
		return l.Status + " " + l.WaitingFor
	})
	s.c.Receive(t, sku, "main", 5)
	l := s.dispatch(t, id, 2)
	s.c.AwaitOrder(t, id, "shipped")
	s.deliver(t, l)
	s.c.AwaitOrder(t, id, "delivered")
}

func (s *shopDay) comesBack(t *testing.T) {
	sku := s.sku(t, 1299, 10)
	id := s.place(t, "sandbox_approve", wanted(sku, 3))
	l := s.dispatch(t, id, 1)
	s.c.AwaitOrder(t, id, "shipped")
	s.deliver(t, l)
	s.c.AwaitOrder(t, id, "delivered")
	path := "/v1/orders/" + id + "/returns"
	lines := func(quantity int64) map[string]any {
		return map[string]any{"lines": []map[string]any{{"line": 1, "quantity": quantity, "reason": "chipped"}}}
	}
	s.c.Refused(t, "more_than_delivered", http.MethodPost, path, lines(4))
	back := s.c.Succeed(t, http.MethodPost, path, lines(2)).Resource.ID
	fleet.Look(t, s.c, "/v1/returns/"+back, "is expected", func(*struct{}) string { return "" })
	receive := func(quantity int64, restock bool) map[string]any {
		return map[string]any{"lines": []map[string]any{{"line": 1, "quantity": quantity, "restock": restock}}}
	}
	s.c.Refused(t, "more_than_expected", http.MethodPost, "/v1/returns/"+back+"/receive", receive(3, true))
	s.c.Succeed(t, http.MethodPost, "/v1/returns/"+back+"/receive", receive(1, true))
	s.c.Succeed(t, http.MethodPost, "/v1/returns/"+back+"/receive", receive(1, false))
	if m := s.c.AwaitMoney(t, id, "partially_refunded"); m.Balance.Refunded != 2*1299 {
		fleet.Look(t, s.c, "/v1/payments/"+id, "both units are refunded", func(m *fleet.Money) string {
			if m.Balance.Refunded == 2*1299 {
				return ""
			}
			return fmt.Sprintf("%+v", m.Balance)
		})
	}
	s.wantStock(t, sku, 8, 0)
	s.c.Refused(t, "refund_above_captured", http.MethodPost, "/v1/orders/"+id+"/refunds",
		map[string]any{"amount": map[string]any{"amount": 5000, "currency": "EUR"}, "reason": "goodwill"})
	s.c.Succeed(t, http.MethodPost, "/v1/orders/"+id+"/refunds",
		map[string]any{"amount": map[string]any{"amount": 100, "currency": "EUR"}, "reason": "goodwill"})
}

func (s *shopDay) usesADiscount(t *testing.T) {
	sku := s.sku(t, 1001, 10)
	code := fmt.Sprintf("DAY-%d", time.Now().UnixNano())
	s.c.Succeed(t, http.MethodPut, "/v1/discounts/"+code, map[string]any{"percent": 10, "max_uses": 1})
	body := newDayOrder("sandbox_approve", wanted(sku, 1))
	body.Discount = code
	first := s.c.Succeed(t, http.MethodPost, "/v1/orders", body).Resource.ID
	l := s.c.AwaitOrder(t, first, "confirmed")
	if l.Totals.Discount != 100 || l.Totals.Total != 1001-100+400 {
		t.Errorf("the totals are %+v", l.Totals)
	}
	s.c.Refused(t, "discount_used_up", http.MethodPost, "/v1/orders", body)
	s.c.Succeed(t, http.MethodPost, "/v1/orders/"+first+"/cancel", map[string]string{})
	s.c.AwaitOrder(t, first, "cancelled")
	fleet.Look(t, s.c, "/v1/discounts/"+code, "can be used again", func(d *struct {
		Uses int64 `json:"uses"`
	},
	) string {
		if d.Uses == 0 {
			return ""
		}
		return fmt.Sprint(d.Uses, " uses")
	})
}

func (s *shopDay) isNotPaidAfterAll(t *testing.T) {
	sku := s.sku(t, 1299, 10)
	id := s.place(t, "sandbox_capture_fails", wanted(sku, 1))
	s.dispatch(t, id, 1)
	s.c.AwaitMoney(t, id, "capture_failed")
	fleet.Look(t, s.c, "/v1/orders/"+id, "tells staff what to do", func(l *fleet.Life) string {
		if l.Attention != "" {
			return ""
		}
		return "nothing"
	})
	fleet.Wait(t, "it is among what is stuck", func() string {
		a, err := s.c.Try(context.Background(), http.MethodGet, "/v1/orders?stuck=true&limit=200", nil)
		switch {
		case err != nil:
			return err.Error()
		case !strings.Contains(string(a.Body), id):
			return a.String()
		}
		return ""
	})
}

func (s *shopDay) isRefusedByRule(t *testing.T) {
	sku := s.sku(t, 1299, 5)
	s.c.Refused(t, "stock_would_be_negative", http.MethodPost, "/v1/stock/"+sku+"/adjust", map[string]any{"location": "main", "quantity": -6, "reason": "breakage"})
	const nobody = "00000000-0000-5000-8000-000000000000"
	s.c.Refused(t, "shipment_not_found", http.MethodPost, "/v1/shipments/"+nobody+"/dispatch", map[string]string{"carrier": "DHL"})
	s.c.Refused(t, "order_not_found", http.MethodPost, "/v1/orders/"+nobody+"/cancel", map[string]string{})
	s.c.Refused(t, "payment_not_found", http.MethodPost, "/v1/orders/"+nobody+"/refunds", map[string]any{"amount": map[string]any{"amount": 1, "currency": "EUR"}, "reason": "x"})
	s.wantStock(t, sku, 5, 0)
}
