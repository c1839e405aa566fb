package orderview

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/service"
)

// Answers about orders as they stand are put together from the texts of documents, without a look into them: to
// decode documents and to encode them again took a third of what such an answer costs. The result is, byte for
// byte, what Order is encoded to; where documents have to be joined more deeply than text can be, or
// something is wrong, it is done that way.

// What stands before the parts of a stored document that not everybody sees. In a JSON text this is found where
// it is meant only: within a string, quotes are escaped.
const (
	beforeKept  = `,"kept":{`
	beforeStaff = `,"staff":{`
	ofStock     = `"stock":{`
	ofFailure   = `"failure":`
)

// split cuts a document before its last part of a kind: "{" and members, and the members of that part with all that follows.
func split(doc, before string) (head, part string, ok bool) {
	at := strings.LastIndex(doc, before)
	if at < 1 || doc[0] != '{' || doc[len(doc)-1] != '}' {
		return "", "", false
	}
	return doc[:at], doc[at+len(before):], true
}

// appendOrder appends an order as a caller sees it who may see it; if it can't be put together of texts, nothing.
func (r *raw) appendOrder(b []byte, caller httpapi.Caller) []byte {
	head, _, ok := split(r.order.doc, beforeKept)
	if !ok {
		return b
	}
	staff, start := caller.Staff(), len(b)
	b = append(b, head...)
	b = append(b, `,"version":`...)
	b = strconv.AppendInt(b, r.shown(), 10)
	b = append(b, `,"payment_status":"`...)
	b = append(b, r.paymentStatus...)
	if b, ok = appendWaiting(append(b, `",`...), r.process.doc); !ok {
		return b[:start]
	}
	if staff && r.attention != "" {
		if b, ok = appendText(append(b, `,"attention":`...), r.attention); !ok {
			return b[:start]
		}
	}
	if r.personal.data != "" {
		if b, ok = appendAddress(append(b, `,"ship_to":`...), r.personal.data); !ok {
			return b[:start]
		}
	}
	if r.payment.version > 0 {
		if b, ok = r.appendPayment(append(b, `,"payment":`...), staff); !ok {
			return b[:start]
		}
	}
	if b, ok = appendSeveral(b, `,"shipments":[`, r.shipments); !ok {
		return b[:start]
	}
	if b, ok = appendSeveral(b, `,"returns":[`, r.returns); !ok {
		return b[:start]
	}
	return append(b, '}')
}

// appendWaiting appends what an order waits for. While stock is kept for its lines, that is told within them.
func appendWaiting(b []byte, process string) ([]byte, bool) {
	if process == "" {
		return append(b, `"waiting_for":null`...), true
	}
	head, kept, ok := split(process, beforeKept)
	if !ok || strings.Contains(kept, ofStock) {
		return b, false
	}
	return append(b, head[1:]...), true
}

// appendText appends a JSON string.
func appendText(b []byte, s string) ([]byte, bool) {
	b, err := jsontext.AppendQuote(b, s)
	return b, err == nil
}

// appendAddress appends where an order goes, of all that is personal.
func appendAddress(b []byte, data string) ([]byte, bool) {
	var p ordering.Personal
	if err := bus.Decode([]byte(data), &p); err != nil {
		return b, false
	}
	address, err := bus.Encode(&p.ShipTo)
	return append(b, address...), err == nil
}

// appendPayment appends the payment, unless its customer has to do something, or is told less of a failure than staff is.
func (r *raw) appendPayment(b []byte, staff bool) ([]byte, bool) {
	doc, _, ok := split(r.payment.doc, beforeKept)
	if !ok || r.paymentStatus == payments.StatusRequiresAction {
		return b, false
	}
	head, details, ok := split(doc, beforeStaff)
	details = strings.TrimSuffix(details, "}")
	if !ok || !staff && strings.HasPrefix(details, ofFailure) {
		return b, false
	}
	b = append(b, head...)
	if staff && details != "" {
		b = append(append(b, ','), details...)
	}
	return appendVersion(b, r.payment.version), true
}

// appendSeveral appends what there are several of, if there are any.
func appendSeveral(b []byte, begin string, docs []kept) ([]byte, bool) {
	for i := range docs {
		head, _, ok := split(docs[i].doc, beforeKept)
		if !ok {
			return b, false
		}
		if i == 0 {
			b = append(b, begin...)
		} else {
			b = append(b, ',')
		}
		b = appendVersion(append(b, head...), docs[i].version)
	}
	if len(docs) > 0 {
		b = append(b, ']')
	}
	return b, true
}

// appendVersion ends what is shown of a document.
func appendVersion(b []byte, version int64) []byte {
	return append(strconv.AppendInt(append(b, `,"version":`...), version, 10), '}')
}

// answer appends the order to b as a caller sees it who may see it.
func (r *raw) answer(b []byte, caller httpapi.Caller, stale *service.Stale) ([]byte, error) {
	if stale == nil {
		if with := r.appendOrder(b, caller); len(with) > len(b) {
			return with, nil
		}
	}
	o, err := r.show(caller)
	if err != nil {
		return nil, err
	}
	o.Stale = stale
	text, err := bus.Encode(o)
	if err != nil {
		return nil, fmt.Errorf("orderview: encode order %s: %w", r.id, err)
	}
	return append(b, text...), nil
}

// ready encodes an answer.
func ready[T any](t *httpapi.Tagged[T], err error) (*httpapi.Tagged[httpapi.Ready[T]], error) {
	if err != nil {
		return nil, err
	}
	text, err := bus.Encode(t.Body)
	return &httpapi.Tagged[httpapi.Ready[T]]{ETag: t.ETag, Body: &httpapi.Ready[T]{JSON: text}}, err
}
