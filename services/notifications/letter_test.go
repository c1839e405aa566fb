package notifications

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"regexp"
	"strings"
	"testing"

	api "github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/es/estest"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/money"
)

var (
	teaHouse = &netmail.Address{Name: "Tea House", Address: "shop@tea.example"}
	anOrder  = order{
		Number: "7CF0-NCCF", Currency: "EUR", PlacedAt: noon, PersonalDue: 1,
		Lines:    []line{{"Assam tea, 250 g", 2, 1299, 260, 390}, {"Cup & saucer <white>", 1, 0, 0, 0}, {"Kettle", 1, 123456, 0, 20576}},
		Delivery: 400, DeliveryTax: 67,
	}
	ada = ordering.Personal{
		Email:  "ada@example.com",
		ShipTo: ordering.Address{Name: "Ada Lovelace", Street: "12 St James Square", PostalCode: "SW1Y 4JH", City: "London", Country: "GB"},
	}
)

func newFacts(change func(*facts)) *facts {
	personal := ada
	f := &facts{order: anOrder, personal: &personal}
	if change != nil {
		change(f)
	}
	return f
}

func TestMailsAsCustomersReadThem(t *testing.T) {
	w, err := newWriter("Tea House", "https://track.example/{carrier}?parcel={tracking}")
	if err != nil {
		t.Fatal(err)
	}
	dispatched := shipment{Items: []shipping.Item{{Line: 1, Quantity: 1}, {Line: 3, Quantity: 1}}, Carrier: "DHL Express", Tracking: "0034 0434&x"}
	for name, c := range map[string]struct {
		kind   api.Kind
		change func(*facts)
	}{
		"confirmed": {api.KindOrderConfirmed, nil},
		"confirmed-no-discount": {api.KindOrderConfirmed, func(f *facts) {
			f.order.Lines = []line{{"Assam tea, 250 g", 2, 1299, 0, 433}, {"Kettle", 1, 123456, 0, 20576}}
		}},
		"confirmed-but-a-line": {api.KindOrderConfirmed, func(f *facts) { f.cancelled = map[int]bool{2: false, 3: true} }},
		"confirmed-yen": {api.KindOrderConfirmed, func(f *facts) {
			f.order.Currency, f.order.Lines = "JPY", []line{{"お茶", 3, 1200, 0, 267}}
			f.order.Delivery, f.order.DeliveryTax = 500, 45
			f.personal.ShipTo = ordering.Address{Name: "山田 花子", Street: "1-1", City: "東京", Country: "JP"}
		}},
		"rejected":            {api.KindOrderRejected, func(f *facts) { f.turn.Reason = ordering.ReasonOutOfStock }},
		"rejected-declined":   {api.KindOrderRejected, func(f *facts) { f.turn.Reason = ordering.ReasonPaymentDeclined }},
		"rejected-expired":    {api.KindOrderRejected, func(f *facts) { f.turn.Reason = ordering.ReasonPaymentExpired }},
		"rejected-discount":   {api.KindOrderRejected, func(f *facts) { f.turn.Reason = ordering.ReasonDiscountUsedUp }},
		"rejected-timed-out":  {api.KindOrderRejected, func(f *facts) { f.turn.Reason = ordering.ReasonTimeout }},
		"cancelled":           {api.KindOrderCancelled, func(f *facts) { f.turn.Lines = []int{1, 2, 3} }},
		"cancelled-in-part":   {api.KindOrderCancelled, func(f *facts) { f.turn = turn{Lines: []int{3}, Partial: true} }},
		"dispatched":          {api.KindShipmentDispatched, func(f *facts) { f.shipment = dispatched }},
		"dispatched-untold":   {api.KindShipmentDispatched, func(f *facts) { f.shipment = dispatched; f.shipment.Tracking = "" }},
		"refunded":            {api.KindPaymentRefunded, func(f *facts) { f.refund.Amount = money.Of(500, "EUR") }},
		"refunded-some-units": {api.KindPaymentRefunded, func(f *facts) { f.refund = refund{money.Of(1169, "EUR"), []payments.Units{{Line: 1, Quantity: 1}}} }},
	} {
		written, err := w.write(c.kind, newFacts(c.change))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		estest.Golden(t, "testdata/mails/"+name+".txt", []byte("Subject: "+written.Subject+"\n\n"+written.Text))
		estest.Golden(t, "testdata/mails/"+name+".html", []byte(written.HTML))
		if strings.Contains(written.Text+written.HTML+written.Subject, "<no value>") || strings.Contains(written.Subject, "\n") {
			t.Errorf("%s is not well written: %+v", name, written)
		}
	}
}

func TestWhatOthersWroteIsNoHTML(t *testing.T) {
	w, err := newWriter("Tea House", "")
	if err != nil {
		t.Fatal(err)
	}
	const evil = `<script>alert("x")</script>`
	f := newFacts(func(f *facts) {
		f.personal.ShipTo.Name, f.personal.ShipTo.Street, f.order.Lines[0].Name = evil+"\nSubject: x", evil, evil
		f.shipment = shipment{Items: []shipping.Item{{Line: 1, Quantity: 1}}, Carrier: evil, Tracking: evil}
	})
	defer func() { anOrder.Lines[0].Name = "Assam tea, 250 g" }()
	for _, kind := range []api.Kind{api.KindOrderConfirmed, api.KindShipmentDispatched} {
		written, err := w.write(kind, f)
		if err != nil || strings.Contains(written.HTML, "<script") || !strings.HasPrefix(written.Text, "Hello "+evil+" Subject: x,\n") {
			t.Errorf("%s, %v:\n%s\n%s", kind, err, written.Text, written.HTML)
		}
	}
}

func TestTheAmountsOfAConfirmationAddUp(t *testing.T) {
	w, err := newWriter("Tea House", "")
	if err != nil {
		t.Fatal(err)
	}
	written, err := w.write(api.KindOrderConfirmed, newFacts(nil))
	if err != nil {
		t.Fatal(err)
	}
	cents := func(label string) (n int64) {
		t.Helper()
		m := regexp.MustCompile(`(?m)` + regexp.QuoteMeta(label) + `: (-?)(\d+)\.(\d\d) EUR`).FindStringSubmatch(written.Text)
		if m == nil {
			t.Fatalf("no amount of %q in:\n%s", label, written.Text)
		}
		for _, digit := range m[2] + m[3] {
			n = 10*n + int64(digit-'0')
		}
		if m[1] != "" {
			n = -n
		}
		return n
	}
	goods := cents("Assam tea, 250 g") + cents("Cup & saucer <white>") + cents("Kettle")
	if goods != cents("Goods") || goods+cents("Discount")+cents("Delivery") != cents("Total") {
		t.Errorf("the amounts do not add up:\n%s", written.Text)
	}
}

func TestAKindOfMailThatNobodyKnowsIsAnError(t *testing.T) {
	w, err := newWriter("Tea House", "")
	if err != nil {
		t.Fatal(err)
	}
	if written, err := w.write("birthday", newFacts(nil)); err == nil {
		t.Errorf("it reads %+v", written)
	}
}

var aTask = &api.SendMail{OrderID: "5f0c3a52-9d0e-5a11-8000-00000000000a", Mail: 2, Send: 1, Kind: api.KindOrderConfirmed, About: "order-5f0c3a52-9d0e-5a11-8000-00000000000a/2"}

func TestAMailOnTheWireIsTheSameWheneverItIsMade(t *testing.T) {
	wire := func() []byte {
		t.Helper()
		f := newFacts(func(f *facts) { f.personal.ShipTo.Name = "Åda \"Countess\"\r\nBcc: x@example.com" })
		m, err := message(teaHouse, aTask, noon, f, written{"Your order é", "Hällo\n", "<p>Hällo</p>"})
		if err != nil {
			t.Fatal(err)
		}
		var data bytes.Buffer
		if _, err := m.WriteTo(&data); err != nil {
			t.Fatal(err)
		}
		return data.Bytes()
	}
	first := wire()
	if !bytes.Equal(first, wire()) {
		t.Error("it differs the second time")
	}
	estest.Golden(t, "testdata/wire.eml", first)
	m, err := netmail.ReadMessage(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	to, err := m.Header.AddressList("To")
	if err != nil || len(to) != 1 || to[0].Address != "ada@example.com" || m.Header.Get("Bcc") != "" {
		t.Errorf("it goes to %v, %v", to, m.Header)
	}
	if got := m.Header.Get("Message-ID"); got != "<mail-5f0c3a52-9d0e-5a11-8000-00000000000a.2.1@tea.example>" {
		t.Errorf("its id is %s", got)
	}
	_, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, parameters["boundary"])
	for _, want := range []string{"Hällo\r\n", "<p>Hällo</p>"} {
		p, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(p); err != nil || string(body) != want {
			t.Errorf("a part is %q, %v", body, err)
		}
	}
}

func TestMailsOfOneOrderHaveIDsOfTheirOwn(t *testing.T) {
	ids := map[string]bool{}
	for mail := range 3 {
		for send := range 3 {
			task := *aTask
			task.Mail, task.Send = mail+1, send+1
			m, err := message(teaHouse, &task, noon, newFacts(nil), written{"s", "t", "h"})
			if err != nil {
				t.Fatal(err)
			}
			ids[m.GetMessageID()], ids[fileName(&task, noon, "N-1")] = true, true
		}
	}
	if len(ids) != 18 {
		t.Errorf("%d of 18 are different", len(ids))
	}
}

func TestWhatIsNoAddressIsRefusedAndNotQuoted(t *testing.T) {
	for _, address := range []string{"ada", "ada@", "a@example.com, b@example.com", "Ada <ada@example.com>", "ada@example.com\r\nBcc: b@example.com", "<>"} {
		_, err := message(teaHouse, aTask, noon, newFacts(func(f *facts) { f.personal.Email = address }), written{"s", "t", "h"})
		if f, ok := fault.Of(err); !ok || f.Code != api.ReasonBadAddress || fault.TreatmentOf(err) != fault.Refuse || strings.Contains(err.Error(), address) {
			t.Errorf("%q: %v", address, err)
		}
	}
}
