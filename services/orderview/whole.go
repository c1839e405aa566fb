package orderview

import (
	"cmp"
	"slices"
	"strings"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
)

// folded is a document with the version that it is of, as it is stored or was folded from a history.
type folded[T any] struct {
	doc     T
	version int64
}

// whole is an order with all that belongs to it, as it stands or as it stood.
type whole struct {
	order     folded[document]
	payment   *folded[payment]
	process   *folded[process]
	shipments []*folded[shipment]
	returns   []*folded[goodsBack]

	shipTo       *ordering.Address
	clientSecret string
}

// show is the order as clients see it, or as staff does.
func (w *whole) show(staff bool) *Order {
	d := &w.order.doc
	o := d.order(w.order.version)
	if w.payment != nil {
		o.Payment = w.payment.doc.show(w.payment.version, staff)
		o.Payment.ClientSecret = w.clientSecret
		o.PaymentStatus = o.Payment.Status
		o.shown = append(o.shown, o.Payment.tokens()...)
	}
	if w.process != nil {
		o.addProcess(&w.process.doc, staff)
		o.shown = append(o.shown, httpapi.Token{Stream: fulfilment.Category + "-" + d.ID, Version: w.process.version})
	}
	slices.SortFunc(w.shipments, func(a, b *folded[shipment]) int {
		return cmp.Or(a.doc.CreatedAt.Compare(b.doc.CreatedAt), strings.Compare(a.doc.ID, b.doc.ID))
	})
	for _, s := range w.shipments {
		o.Shipments = append(o.Shipments, s.doc.show(s.version))
		o.shown = append(o.shown, httpapi.Token{Stream: shipping.CategoryShipment + "-" + s.doc.ID, Version: s.version})
	}
	slices.SortFunc(w.returns, func(a, b *folded[goodsBack]) int {
		return cmp.Or(a.doc.CreatedAt.Compare(b.doc.CreatedAt), strings.Compare(a.doc.ID, b.doc.ID))
	})
	for _, b := range w.returns {
		o.Returns = append(o.Returns, b.doc.show(b.version))
		o.shown = append(o.shown, httpapi.Token{Stream: shipping.CategoryReturn + "-" + b.doc.ID, Version: b.version})
	}
	o.ShipTo = w.shipTo
	return &o
}

// addProcess completes an order by what it waits for.
func (o *Order) addProcess(p *process, staff bool) {
	o.Waiting = p.Waiting
	if staff {
		o.Attention = p.Kept.Attention
	}
	for line, stock := range p.Kept.Stock {
		if line >= 1 && line <= len(o.Lines) {
			o.Lines[line-1].Fulfilment.keep(stock, o.Lines[line-1].Quantity)
		}
	}
}

// stored is a document as it is stored; nil if there is none.
func stored[T any](version int64, doc string) (*folded[T], error) {
	if version == 0 {
		return nil, nil
	}
	f := &folded[T]{version: version}
	return f, bus.Decode([]byte(doc), &f.doc)
}
