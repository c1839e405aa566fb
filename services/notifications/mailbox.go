// Package notifications writes to customers about their orders: once about each event that they
// want to hear of. A stream keeps which mails an order has and what became of each; a gateway
// writes and sends them, to an address that only the gateway's view of the orders knows.
package notifications

import (
	"strconv"
	"time"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
)

// Limits of one order.
const (
	maxMails = 200 // far more than an order's life has events to write about
	maxSends = 20  // of one mail; whoever needs more has another problem
)

// overdue is how long after it was asked for a sending counts as lost, when nothing was heard of
// it: far longer than the gateway tries.
const overdue = 2 * time.Hour

// Mailbox is what decisions need to know of the mails about one order: the fold of its events.
type Mailbox struct {
	Mails []Mail `json:"mails"` // mail n is at n-1
}

// Mail is one mail about an order.
type Mail struct {
	Kind  string `json:"kind"`
	About string `json:"about"` // the event, <stream>/<version>
	Sends []Send `json:"sends"` // sending n is at n-1; there is one at least
}

// Send is one sending of a mail.
type Send struct {
	At      time.Time `json:"at"`               // when it was asked for
	Settled bool      `json:"settled,omitzero"` // it is known what became of it
}

// Mailboxes is the behaviour of orders' mails; their streams are named mail-<order id>.
var Mailboxes = &es.Aggregate[Mailbox, Event, Command]{
	Decider: es.Decider[Mailbox, Event, Command]{
		Category:     "mail",
		StateVersion: 1,
		Initial:      func() Mailbox { return Mailbox{} },
		Decide:       func(c Command, m Mailbox) ([]Event, error) { return c.decide(m) },
		Evolve:       func(e Event, m Mailbox) Mailbox { return e.evolve(m) },
	},
	Codec: es.NewCodec[Event](
		es.Stored[Requested, Event]("mail_requested"),
		es.Stored[Sent, Event]("mail_sent"),
		es.Stored[Failed, Event]("mail_failed"),
		es.Stored[Skipped, Event]("mail_skipped"),
	),
}

// Events

// Event is a fact about the mails of an order, and how it changes them.
type Event interface{ evolve(Mailbox) Mailbox }

// Of says which sending of which mail an event is about.
type Of struct {
	Mail  int    `json:"mail"` // from 1
	Send  int    `json:"send"` // from 1
	Kind  string `json:"kind"`
	About string `json:"about"`
}

type (
	// Requested asks the gateway to send a mail, for the first time or again.
	Requested struct {
		Of
		At time.Time `json:"at"`
	}
	// Sent says that a mail is out.
	Sent struct{ Of }
	// Failed says that a sending was given up.
	Failed struct {
		Of
		Reason string `json:"reason"`
	}
	// Skipped says that there was nobody to send to.
	Skipped struct {
		Of
		Reason string `json:"reason"`
	}
)

func (e Requested) evolve(m Mailbox) Mailbox {
	if e.Mail > len(m.Mails) {
		m.Mails = append(m.Mails, Mail{Kind: e.Kind, About: e.About})
	}
	mail := &m.Mails[e.Mail-1]
	mail.Sends = append(mail.Sends, Send{At: e.At})
	return m
}

func (e Sent) evolve(m Mailbox) Mailbox    { return e.settle(m) }
func (e Failed) evolve(m Mailbox) Mailbox  { return e.settle(m) }
func (e Skipped) evolve(m Mailbox) Mailbox { return e.settle(m) }

func (o Of) settle(m Mailbox) Mailbox {
	m.Mails[o.Mail-1].Sends[o.Send-1].Settled = true
	return m
}

// Commands

// Command is an intention for the mails of an order, and the decision on it.
// A repeat of what is already so decides nothing and is no error.
type Command interface {
	decide(Mailbox) ([]Event, error)
}

// Request writes to the customer about an event, once.
type Request struct {
	Kind  string
	About string // the event's id
	At    time.Time
}

func (c Request) decide(m Mailbox) ([]Event, error) {
	for _, mail := range m.Mails {
		if mail.About == c.About {
			return nil, nil
		}
	}
	if len(m.Mails) == maxMails {
		return nil, fault.Conflict("too_many_mails", "the order has %d mails already", maxMails)
	}
	return []Event{Requested{Of{len(m.Mails) + 1, 1, c.Kind, c.About}, c.At}}, nil
}

// Resend sends a mail again, although it may have arrived.
type Resend struct {
	Mail int
	At   time.Time
}

func (c Resend) decide(m Mailbox) ([]Event, error) {
	if c.Mail < 1 || c.Mail > len(m.Mails) {
		return nil, fault.NotFound("mail", strconv.Itoa(c.Mail))
	}
	mail := m.Mails[c.Mail-1]
	last := mail.Sends[len(mail.Sends)-1]
	switch {
	case !last.Settled && c.At.Before(last.At.Add(overdue)):
		return nil, fault.Conflict("mail_on_its_way", "the mail is on its way; it can be sent again when that has ended, or after %s", overdue)
	case len(mail.Sends) == maxSends:
		return nil, fault.Conflict("too_many_sends", "the mail was sent %d times already", maxSends)
	}
	return []Event{Requested{Of{c.Mail, len(mail.Sends) + 1, mail.Kind, mail.About}, c.At}}, nil
}

// Result is what became of a sending.
type Result string

// The results of sendings.
const (
	ResultSent    Result = "sent"
	ResultFailed  Result = "failed"
	ResultSkipped Result = "skipped"
)

// Report says what became of a sending.
type Report struct {
	Mail, Send int
	Result     Result
	Reason     string // of a failed or skipped one
}

func (c Report) decide(m Mailbox) ([]Event, error) {
	if c.Mail < 1 || c.Mail > len(m.Mails) || c.Send < 1 || c.Send > len(m.Mails[c.Mail-1].Sends) {
		return nil, fault.NotFound("mail", strconv.Itoa(c.Mail))
	}
	mail := m.Mails[c.Mail-1]
	if mail.Sends[c.Send-1].Settled {
		return nil, nil
	}
	of := Of{c.Mail, c.Send, mail.Kind, mail.About}
	switch c.Result {
	case ResultSent:
		return []Event{Sent{of}}, nil
	case ResultFailed:
		return []Event{Failed{of, c.Reason}}, nil
	case ResultSkipped:
		return []Event{Skipped{of, c.Reason}}, nil
	}
	return nil, fault.Invalid("unknown_result", "%q is nothing that becomes of a mail", c.Result)
}
