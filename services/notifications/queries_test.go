package notifications

import (
	"strings"
	"testing"
	"time"

	api "github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

var (
	staff    = httpapi.Caller{ID: "s-1", Role: httpapi.RoleStaff}
	customer = httpapi.Caller{ID: "c-ada", Role: httpapi.RoleCustomer}
)

const mailsPath = "/v1/orders/" + orderID + "/mails"

func newAPI(t *testing.T, w *world) *servicetest.API {
	a := servicetest.NewAPI(t)
	w.register(a.API)
	return a
}

// failed is an event that says why.
func (w *world) failed(version int64, mail, send int, reason string) kafka.Record {
	return w.event(bus.EventsTopic(api.Service), "mail-"+orderID, version, api.TypeMailFailed, api.MailFailed{
		Change: api.Change{OrderID: orderID, Version: version, Mail: mail, Send: send, At: noon.Add(time.Minute)}, Reason: reason,
	})
}

func TestStaffSeesWhatBecameOfTheMailsOfAnOrder(t *testing.T) {
	w := newWorld(t)
	a := newAPI(t, w)
	if got := a.Get(staff, mailsPath); got.Status != 404 || got.Code() != "order_not_found" {
		t.Errorf("an unknown order: %d %s", got.Status, got.Body)
	}
	w.Fold(w.placed())
	if got := a.Get(staff, mailsPath); got.Status != 200 || got.Body != `{"order_id":"`+orderID+`","version":0,"items":[]}` {
		t.Errorf("an order without mails: %d %s", got.Status, got.Body)
	}
	w.Fold(w.mailed(1, api.TypeMailRequested, 1, 1), w.failed(2, 1, 1, "smtp_550"), w.mailed(3, api.TypeMailRequested, 1, 2))
	got := a.Get(staff, strings.Replace(mailsPath, orderID, strings.ToUpper(orderID), 1))
	const want = `{"order_id":"` + orderID + `","version":3,"items":[{"mail":1,"kind":"order_confirmed","about":"order-` + orderID + `/2","status":"requested","sends":[` +
		`{"send":1,"status":"failed","reason":"smtp_550","requested_at":"2026-11-23T12:00:00Z","ended_at":"2026-11-23T12:01:00Z"},` +
		`{"send":2,"status":"requested","requested_at":"2026-11-23T12:00:00Z"}]}]}`
	if got.Status != 200 || got.Body != want {
		t.Errorf("%d %s\nwant %s", got.Status, got.Body, want)
	}
	if again := a.Get(staff, mailsPath, "If-None-Match", got.Header.Get("ETag")); again.Status != 304 {
		t.Errorf("unchanged: %d", again.Status)
	}
	w.Fold(w.mailed(4, "orderlane.notifications.mail_read.v1", 1, 2), w.mailed(5, api.TypeMailSent, 1, 2)) // the first of a later release
	var m Mails
	a.Get(staff, mailsPath, "If-None-Match", got.Header.Get("ETag"), "Consistency-Token", "mail-"+orderID+"@5").Into(&m)
	if m.Version != 5 || m.Items[0].Status != api.StatusSent || m.Items[0].Sends[0].Status != api.StatusFailed {
		t.Errorf("it is sent, and shown as %+v", m)
	}
}

// TestALateReportOfAnEarlierSendingIsKeptWithIt: the last sending says how the mail stands.
func TestALateReportOfAnEarlierSendingIsKeptWithIt(t *testing.T) {
	w := newWorld(t)
	a := newAPI(t, w)
	w.Fold(w.placed(), w.mailed(1, api.TypeMailRequested, 1, 1), w.mailed(2, api.TypeMailRequested, 1, 2), w.failed(3, 1, 1, "smtp_451"))
	var m Mails
	a.Get(staff, mailsPath).Into(&m)
	if e := m.Items[0]; e.Status != api.StatusRequested || e.Reason != "" || e.Sends[0].Reason != "smtp_451" {
		t.Errorf("shown as %+v", e)
	}
}

func TestMailsAreForStaffOnly(t *testing.T) {
	w := newWorld(t)
	a := newAPI(t, w)
	w.Fold(w.placed(), w.mailed(1, api.TypeMailRequested, 1, 1))
	if got := a.Get(customer, mailsPath); got.Status != 403 {
		t.Errorf("a customer gets %d %s", got.Status, got.Body)
	}
}

func TestMailsThatTheViewCannotFollowSaySo(t *testing.T) {
	w := newWorld(t)
	a := newAPI(t, w)
	bad := w.mailed(1, api.TypeMailRequested, 1, 1)
	bad.Value = []byte("{")
	w.Fold(bad)
	if got := a.Get(staff, mailsPath); got.Status != 503 || got.Code() != "view_broken" {
		t.Errorf("without anything to show: %d %s", got.Status, got.Body)
	}
	w.Fold(w.placed())
	var m Mails
	a.Get(staff, mailsPath).Into(&m)
	if m.Stale == nil {
		t.Errorf("it passes for complete: %+v", m)
	}
}

func TestARepairedOrderIsWrittenAboutAsBefore(t *testing.T) {
	w := known(t)
	w.Fold(w.mailed(1, api.TypeMailRequested, 1, 1))
	w.Fold(append(w.dispatched(), w.refunded()...)...)
	for _, key := range []string{"order-" + orderID, "shipment-9", "payment-" + orderID, "mail-" + orderID} {
		if err := w.Projection.Repair(t.Context(), key); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
	}
	w.ask(&api.SendMail{OrderID: orderID, Mail: 1, Send: 1, Kind: api.KindShipmentDispatched, About: "shipment-9/2"})
	w.run()
	w.came("Your order 7CF0-NCCF is on its way", "1.1 sent")
}

func TestDiscountCodesAndReturnsAreNotTheViewsBusiness(t *testing.T) {
	w := newWorld(t)
	w.Fold(
		w.event(bus.EventsTopic(ordering.Service), "discount-SPRING", 7, ordering.TypeDiscountRedeemed, ordering.DiscountRedeemed{}),
		w.event("shipping.events.v1", "return-1", 9, "orderlane.shipping.return_received.v1", struct{}{}),
	)
	for _, stream := range []string{"discount-SPRING", "return-1"} {
		if broken, err := w.Projection.Broken(t.Context(), stream); err != nil || len(broken) > 0 {
			t.Errorf("%s: %v, %v", stream, broken, err)
		}
		if shown, err := w.Projection.Shows(t.Context(), stream, 99); stream != "return-1" && (err != nil || !shown) {
			t.Errorf("somebody would wait for %s: %v, %v", stream, shown, err)
		}
	}
}
