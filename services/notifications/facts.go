package notifications

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	api "github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/projection"
)

// facts are all that a mail is written from.
type facts struct {
	order     order
	personal  *ordering.Personal // nil once it was erased
	turn      turn               // of the order, if the mail is about one
	cancelled map[int]bool       // lines that were cancelled before that turn
	shipment  shipment           // that was dispatched
	refund    refund
	settled   bool // it is known what became of this sending: an earlier delivery of the task sent it
}

// facts returns what the view knows for a task. It waits until that is all there, for as long as
// wait lives, since the topics behind it are not ordered relative to each other.
func (q *queries) facts(ctx, wait context.Context, t *api.SendMail) (*facts, error) {
	stream, version, err := eventOf(t.About)
	if err != nil {
		return nil, err
	}
	var found *facts
	err = q.Await(ctx, wait, stream, func(ctx context.Context) (bool, error) {
		f, ready, err := q.orderFacts(ctx, t)
		switch {
		case err != nil || !ready:
			return false, err
		case f.settled, f.personal == nil: // the rest is not needed
		default:
			if ready, err = q.eventFacts(ctx, t.Kind, stream, version, f); err != nil || !ready {
				return false, err
			}
		}
		found = f
		return true, nil
	})
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return nil, fault.Unavailable(api.ReasonOrderUnknown, "the view does not know enough of order %s yet", t.OrderID)
	}
	return found, err
}

// eventOf splits the id of an event.
func eventOf(id string) (stream string, version int64, err error) {
	at := strings.LastIndexByte(id, '/')
	if at > 0 {
		version, err = strconv.ParseInt(id[at+1:], 10, 64)
	}
	if at <= 0 || err != nil || version < 1 {
		return "", 0, fmt.Errorf("notifications: %q is no id of an event", id)
	}
	return id[:at], version, nil
}

// orderFacts reads the order with what is personal of it, and whether the mail is out already.
func (q *queries) orderFacts(ctx context.Context, t *api.SendMail) (f *facts, ready bool, err error) {
	f = &facts{}
	var personal, sent string
	var shown int64
	err = q.Store.Query(ctx, "SELECT o.doc, p.version, p.data, m.doc FROM "+ordersTable+" o LEFT JOIN "+personalTable+
		" p ON p.stream = o.key LEFT JOIN "+mailsTable+" m ON m.key = $2 WHERE o.key = $1",
		[]any{orderCategory + "-" + t.OrderID, Mailboxes.Stream(t.OrderID)}, func(row projection.Row) error {
			shown, personal, sent = row.Int(1), row.Text(2), row.Text(3)
			return bus.Decode([]byte(row.Text(0)), &f.order)
		})
	if err != nil {
		return nil, false, fmt.Errorf("notifications: read order %s: %w", t.OrderID, err)
	}
	if f.order.PersonalDue == 0 || shown < f.order.PersonalDue {
		return nil, false, nil
	}
	if personal != "" {
		f.personal = &ordering.Personal{}
		if err := bus.Decode([]byte(personal), f.personal); err != nil {
			return nil, false, fmt.Errorf("notifications: read what is personal of order %s: it can't be decoded", t.OrderID)
		}
	}
	if sent != "" {
		var m mails
		if err := bus.Decode([]byte(sent), &m); err != nil {
			return nil, false, fmt.Errorf("notifications: read the mails about order %s: %w", t.OrderID, err)
		}
		f.settled = m.settled(t.Mail, t.Send)
	}
	return f, true, nil
}

// settled reports whether it is known what became of a sending.
func (m *mails) settled(mail, send int) bool {
	if mail < 1 || mail > len(m.Mails) || send < 1 || send > len(m.Mails[mail-1].Sends) {
		return false
	}
	return m.Mails[mail-1].Sends[send-1].Status != api.StatusRequested
}

// eventFacts reads what the event says that the mail is about.
func (q *queries) eventFacts(ctx context.Context, kind api.Kind, stream string, version int64, f *facts) (ready bool, err error) {
	switch kind {
	case api.KindShipmentDispatched:
		doc, at, err := q.view.shipments.Get(ctx, q.Store, stream)
		if err != nil || at < version {
			return false, err
		}
		return true, decodeOf(stream, doc, &f.shipment)
	case api.KindPaymentRefunded:
		doc, at, err := q.view.payments.Get(ctx, q.Store, stream)
		if err != nil || at < version {
			return false, err
		}
		var p payment
		if err := decodeOf(stream, doc, &p); err != nil {
			return false, err
		}
		f.refund, ready = p.Refunds[version]
		return ready, missing(ready, stream, version)
	}
	f.cancelled = make(map[int]bool)
	for at, turn := range f.order.Turns {
		for _, line := range turn.Lines {
			f.cancelled[line] = f.cancelled[line] || at < version
		}
	}
	f.turn, ready = f.order.Turns[version] // not there: the event is after those that are known
	return ready, nil
}

func decodeOf(stream, doc string, v any) error {
	if err := bus.Decode([]byte(doc), v); err != nil {
		return fmt.Errorf("notifications: read %s: %w", stream, err)
	}
	return nil
}

// missing says that an event which the view knows is not of the kind that it should be.
func missing(ready bool, stream string, version int64) error {
	if ready {
		return nil
	}
	return fmt.Errorf("notifications: event %d of %s is not one to write about", version, stream)
}
