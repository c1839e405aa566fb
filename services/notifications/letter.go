package notifications

import (
	"bytes"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"net/url"
	"strings"
	texttemplate "text/template"

	api "github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/money"
)

// templates has for every kind of mail a text, which also says the subject, and an HTML page;
// each fills a layout.
//
//go:embed templates
var templates embed.FS

// letter is what the templates write. All amounts are written out.
type letter struct {
	Shop   string
	Name   string // of whom the goods go to
	Number string // of the order
	Placed string // when
	Items  []item // what the mail is about: the order's lines, or some units of them
	Sums   []sum  // what the items come to; of confirmations
	Total  string
	Tax    string // included in the total
	To     []string

	Partial bool   // other lines go on
	Reason  string // why the order was rejected: a code
	Refund  string

	Carrier, Tracking, TrackingURL string
}

type item struct {
	Quantity int64
	Name     string
	Amount   string
}

type sum struct{ What, Amount string }

// written is a letter as a mail has it.
type written struct{ Subject, Text, HTML string }

// writer writes letters. It is immutable and safe for concurrent use.
type writer struct {
	shop        string
	trackingURL string // with {carrier} and {tracking}; empty: mails have no link
	text        map[api.Kind]*texttemplate.Template
	html        map[api.Kind]*htmltemplate.Template
}

var kinds = []api.Kind{
	api.KindOrderConfirmed, api.KindOrderRejected, api.KindOrderCancelled, api.KindShipmentDispatched, api.KindPaymentRefunded,
}

func newWriter(shop, trackingURL string) (*writer, error) {
	w := &writer{
		shop: shop, trackingURL: trackingURL,
		text: make(map[api.Kind]*texttemplate.Template), html: make(map[api.Kind]*htmltemplate.Template),
	}
	for _, kind := range kinds {
		var err error
		w.text[kind], err = texttemplate.ParseFS(templates, "templates/layout.txt", "templates/"+string(kind)+".txt")
		if err == nil {
			w.html[kind], err = htmltemplate.ParseFS(templates, "templates/layout.html", "templates/"+string(kind)+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("notifications: templates of %s: %w", kind, err)
		}
	}
	return w, nil
}

// write writes a mail of a kind. Its errors say nothing personal.
func (w *writer) write(kind api.Kind, f *facts) (written, error) {
	if w.text[kind] == nil {
		return written{}, fmt.Errorf("notifications: there are no mails of the kind %q", kind)
	}
	l := w.letter(kind, f)
	var subject, text, html bytes.Buffer
	err := w.text[kind].ExecuteTemplate(&subject, "subject", l)
	if err == nil {
		err = w.text[kind].ExecuteTemplate(&text, "layout.txt", l)
	}
	if err == nil {
		err = w.html[kind].ExecuteTemplate(&html, "layout.html", l)
	}
	if err != nil {
		return written{}, fmt.Errorf("notifications: write a mail of the kind %s: %w", kind, err)
	}
	return written{subject.String(), text.String(), html.String()}, nil
}

func (w *writer) letter(kind api.Kind, f *facts) *letter {
	o := &f.order
	l := &letter{
		Shop: w.shop, Name: oneLine(f.personal.ShipTo.Name), Number: o.Number, Placed: o.PlacedAt.UTC().Format("2 January 2006"),
		Partial: f.turn.Partial, Reason: f.turn.Reason,
	}
	switch kind {
	case api.KindOrderConfirmed:
		l.To = address(&f.personal.ShipTo)
		l.bill(f)
	case api.KindOrderRejected:
		for i := range o.Lines {
			l.Items = append(l.Items, o.item(i+1, 0))
		}
	case api.KindOrderCancelled:
		for _, number := range f.turn.Lines {
			l.Items = append(l.Items, o.item(number, 0))
		}
	case api.KindShipmentDispatched:
		l.To = address(&f.personal.ShipTo)
		l.Carrier, l.Tracking = oneLine(f.shipment.Carrier), oneLine(f.shipment.Tracking)
		l.TrackingURL = w.track(l.Carrier, l.Tracking)
		for _, i := range f.shipment.Items {
			l.Items = append(l.Items, o.item(i.Line, i.Quantity))
		}
	case api.KindPaymentRefunded:
		l.Refund = f.refund.Amount.String()
		for _, u := range f.refund.Lines {
			l.Items = append(l.Items, o.item(u.Line, u.Quantity))
		}
	}
	return l
}

// item is a quantity of a line, or (0) all of it.
func (o *order) item(number int, quantity int64) item {
	if number < 1 || number > len(o.Lines) { // the contract says otherwise; a mail that names it still helps
		return item{Quantity: quantity, Name: fmt.Sprintf("line %d", number)}
	}
	l := &o.Lines[number-1]
	if quantity == 0 {
		quantity = l.Quantity
	}
	return item{Quantity: quantity, Name: oneLine(l.Name)}
}

// bill writes out what the order's lines cost before discounts, and how that leads to the total,
// without the lines that were cancelled before.
func (l *letter) bill(f *facts) {
	o := &f.order
	amount := func(n int64) string { return money.Of(n, o.Currency).String() }
	var goods, discount int64
	tax := o.DeliveryTax
	for i := range o.Lines {
		kept := &o.Lines[i]
		if f.cancelled[i+1] {
			continue
		}
		cost := kept.Quantity * kept.UnitPrice
		priced := o.item(i+1, 0)
		priced.Amount = amount(cost)
		l.Items = append(l.Items, priced)
		goods, discount, tax = goods+cost, discount+kept.Discount, tax+kept.Tax
	}
	l.Sums = []sum{{"Goods", amount(goods)}}
	if discount != 0 {
		l.Sums = append(l.Sums, sum{"Discount", amount(-discount)})
	}
	l.Sums = append(l.Sums, sum{"Delivery", amount(o.Delivery)})
	l.Total, l.Tax = amount(goods-discount+o.Delivery), amount(tax)
}

// track is where a parcel can be followed; "" if that is not known.
func (w *writer) track(carrier, tracking string) string {
	if w.trackingURL == "" || tracking == "" {
		return ""
	}
	return strings.NewReplacer("{carrier}", escape(carrier), "{tracking}", escape(tracking)).Replace(w.trackingURL)
}

// escape is s as both the path and the query of a URL take it.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// address is an address as letters have it, a line each.
func address(a *ordering.Address) []string {
	return []string{oneLine(a.Name), oneLine(a.Street), oneLine(a.PostalCode + " " + a.City), a.Country}
}

// oneLine keeps what others wrote on one line, so that it does not pass for something else.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
