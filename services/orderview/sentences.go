package orderview

import (
	"fmt"
	"maps"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/bus"
)

// audience says who an event is for.
type audience int

const (
	staffOnly audience = iota // how the shop works: steps in between, what staff do, what failed and is tried again
	everyone                  // the order's customer too
)

// telling is how a type of event is told in a timeline.
type telling struct {
	to  audience
	say func(o *document, event []byte, to audience) (string, error)
}

// tell tells events of a type by a function that turns one into a sentence. The order says what
// its lines are; of one that is not known yet it is empty.
func tell[E any](to audience, say func(o *document, e *E) string) telling {
	return telling{to, func(o *document, event []byte, _ audience) (string, error) {
		var e E
		if err := bus.Decode(event, &e); err != nil {
			return "", err
		}
		return say(o, &e), nil
	}}
}

// plain tells events of a type that all say the same.
func plain(to audience, sentence string) telling {
	return telling{to, func(*document, []byte, audience) (string, error) { return sentence, nil }}
}

// tellings are how events are told, by type: each public one of the services that an order's
// history is kept of.
var tellings = func() map[string]telling {
	all := make(map[string]telling)
	for _, of := range []map[string]telling{orderingTold, paymentsTold, shippingTold, fulfilmentTold, mailsTold} {
		maps.Copy(all, of)
	}
	return all
}()

// sentence tells an event to staff or to everyone, and says who it is for. One of a later release is
// told by its name, and to staff only.
func sentence(o *document, p *past, to audience) (string, audience) {
	if t, ok := tellings[p.kind]; ok {
		if s, err := t.say(o, p.event, to); err == nil {
			return s, t.to
		}
	}
	name := p.kind
	if parts := strings.Split(p.kind, "."); len(parts) == 4 {
		name = parts[2]
	}
	return upper(words(name)) + ".", staffOnly
}

var orderingTold = map[string]telling{
	ordering.TypeOrderPlaced: tell(everyone, func(o *document, e *ordering.OrderPlaced) string {
		units := make([]ordering.Units, len(e.Lines))
		for i, l := range e.Lines {
			units[i] = ordering.Units{Line: l.Line, Quantity: l.Quantity}
		}
		return fmt.Sprintf("Order %s was placed: %s for %s.", e.Number, o.goods(units), amount(e.Totals.Total, e.Currency))
	}),
	ordering.TypeOrderAddressChanged: plain(everyone, "The order goes to another address."),
	ordering.TypeOrderConfirmed:      plain(everyone, "The order was confirmed."),
	ordering.TypeOrderRejected: tell(everyone, func(_ *document, e *ordering.OrderRejected) string {
		return "The order was rejected" + because(e.Reason) + "."
	}),
	ordering.TypeOrderCancelRequested: tell(everyone, func(o *document, e *ordering.OrderCancelRequested) string {
		return "Cancellation of " + o.lines(e.Lines) + " was requested."
	}),
	ordering.TypeOrderCancelRefused: tell(everyone, func(o *document, e *ordering.OrderCancelRefused) string {
		return upper(o.lines(e.Lines)) + " could not be cancelled" + because(e.Reason) + "."
	}),
	ordering.TypeOrderCancelled: tell(everyone, func(o *document, e *ordering.OrderCancelled) string {
		if !e.Partial {
			return "The order was cancelled."
		}
		return "Part of the order was cancelled: " + o.lines(e.Lines) + "."
	}),
	ordering.TypeOrderShipped: tell(everyone, func(o *document, e *ordering.OrderShipped) string {
		return o.goods(e.Lines) + " left for the customer" + ifso(e.Partial, "; the rest is still to come") + "."
	}),
	ordering.TypeOrderDelivered: tell(everyone, func(o *document, e *ordering.OrderDelivered) string {
		return o.goods(e.Lines) + " arrived" + ifso(e.Partial, "; the rest is still to come") + "."
	}),
	ordering.TypeReturnRequested: tell(everyone, func(o *document, e *ordering.ReturnRequested) string {
		return "A return of " + o.goods(e.Lines) + " was requested."
	}),
	ordering.TypeOrderReturned: tell(everyone, func(o *document, e *ordering.OrderReturned) string {
		return o.goods(e.Lines) + " came back" + ifso(e.Partial, "; the rest was kept") + "."
	}),
}

// maxNamed is how many products a sentence names.
const maxNamed = 3

// goods names units of an order, such as 2 × Assam tea, 250 g.
func (d *document) goods(units []ordering.Units) string {
	return listed(len(units), func(i int) string {
		return fmt.Sprintf("%d × %s", units[i].Quantity, d.name(units[i].Line))
	})
}

// lines names lines of an order: all of it, if there are none.
func (d *document) lines(lines []int) string {
	if len(lines) == 0 || len(lines) == len(d.Lines) {
		return "the order"
	}
	return listed(len(lines), func(i int) string { return d.name(lines[i]) })
}

// name is what a line is called.
func (d *document) name(line int) string {
	if line >= 1 && line <= len(d.Lines) {
		l := &d.Lines[line-1]
		if l.Name != "" {
			return l.Name
		}
		if l.SKU != "" {
			return l.SKU
		}
	}
	return fmt.Sprintf("line %d", line)
}

// listed puts some of n things into words.
func listed(n int, thing func(int) string) string {
	if n == 0 {
		return "nothing"
	}
	var b strings.Builder
	for i := range min(n, maxNamed) {
		switch {
		case i == 0:
		case i == n-1:
			b.WriteString(" and ")
		default:
			b.WriteString("; ")
		}
		b.WriteString(thing(i))
	}
	if n > maxNamed {
		fmt.Fprintf(&b, " and %d more", n-maxNamed)
	}
	return b.String()
}

// reasons are codes in words that the code does not say by itself.
var reasons = map[string]string{
	ordering.ReasonOutOfStock:      "there is not enough in stock",
	ordering.ReasonPaymentDeclined: "the payment was declined",
	ordering.ReasonPaymentExpired:  "the payment was not completed in time",
	ordering.ReasonDiscountUsedUp:  "the discount code is used up",
	ordering.ReasonTimeout:         "a part of the shop did not answer in time",
	"already_dispatched":           "it had left already",
	"already_delivered":            "it had arrived already",
	"provider_silent":              "the provider did not answer",
	"no_address":                   "the order came without a mail address",
	"erased":                       "what is personal of the order was erased",
	"bad_address":                  "the mail address is none",
	"order_unknown":                "the order was not known in time",
	"smtp_unreachable":             "the mail server can't be reached",
	"smtp_no_answer":               "the mail server did not answer",
	"outbox_unwritable":            "the outbox can't be written to",
	"internal":                     "a fault of ours",
	codeRefused:                    "the bank refused it",
}

// because says why, if there is a reason.
func because(code string) string {
	if code == "" {
		return ""
	}
	if reason := reasons[code]; reason != "" {
		return ": " + reason
	}
	return ": " + words(code)
}

// words is a code as people read it.
func words(code string) string { return strings.ReplaceAll(code, "_", " ") }

// upper begins a sentence.
func upper(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return s
	}
	return string(unicode.ToUpper(first)) + s[size:]
}

func ifso(so bool, s string) string {
	if so {
		return s
	}
	return ""
}
