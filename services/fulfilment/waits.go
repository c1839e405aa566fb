package fulfilment

import (
	"fmt"
	"strings"
	"time"
)

// How long the process waits for an answer before it asks again. It is its safety net: commands
// are delivered at least once, so only one that was parked or discarded goes unanswered.
const (
	// reserveEvery and reserveTries bound the wait for stock of an order that is not confirmed:
	// inventory answers in milliseconds, and after three minutes the customer is better told no.
	reserveEvery = time.Minute
	reserveTries = 3
	// payTries is how often payments is asked before the order is given up; see payAfter. While a customer
	// has something to do it is payments that gives up, and says so.
	payTries = 3
	// captureTries is how often money may be refused for goods that have left.
	captureTries = 2
	// troubled is the attempt from which on staff are told that nobody answers: after 21 minutes.
	troubled = 4
	// lapse is the attempt at which a return is not waited for any more: after 98 days. What comes
	// later is taken back all the same.
	lapse = 5
)

var (
	// payAfter is how long each question to payments waits. A provider answers in seconds, or payments says
	// that it has not: after 20 minutes the customer is better told no.
	payAfter = [payTries]time.Duration{time.Minute, 4 * time.Minute, 15 * time.Minute}
	// askAfter is how long all other questions wait; the last goes on for ever. What they undo or
	// finish can't be given up: somebody's stock or money hangs on it.
	askAfter = []time.Duration{30 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}
	// peopleAfter is how long people are waited for before shipping is told again what there is
	// for them to do.
	peopleAfter = []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour}
)

func after(attempt int, schedule []time.Duration) time.Duration {
	return schedule[min(attempt, len(schedule)-1)]
}

// waits count what the process waits for.
type waits struct {
	announced                                   bool // the order itself
	reserving, allocating, releasing            int  // lines
	paying, action, redeeming, voiding, giving  bool
	confirming, rejecting, cancelling, refusing bool
	stopping, capturing, refunding              int

	refused, backordered, preparing, travelling, returning int // what people, or goods, are waited for

	attempt int
}

// waitsOf looks up what the process waits for.
func waitsOf(p *Process) waits {
	w := waits{
		announced: p.Order == "",
		paying:    p.Payment.Stage == PaymentAsked,
		action:    p.Payment.Stage == PaymentAction,
		redeeming: p.Discount == StageAsked,
		voiding:   len(p.Voids) > 0,
		giving:    p.Discount == StageReleasing,
		// A whole order that is given up is not confirmed any more.
		confirming: p.Confirm == StageAsked && len(p.live()) > 0,
		rejecting:  p.Failed != nil && !p.Closed,
		attempt:    p.Attempt,
	}
	for i := range p.Lines {
		w.line(&p.Lines[i])
	}
	for i := range p.Ships {
		w.shipment(&p.Ships[i])
	}
	if len(p.Cancels) > 0 && p.Failed == nil {
		w.cancelling = p.Cancels[0].Stage == CancelClosing
		w.refusing = p.Cancels[0].Stage == CancelRefusing
	}
	for i := range p.Returns {
		if !p.Returns[i].Done {
			w.returning++
		}
	}
	for i := range p.Refunds {
		if p.Refunds[i].Stage != StageRefused {
			w.refunding++
		}
	}
	return w
}

func (w *waits) line(l *Line) {
	switch l.Stock {
	case StockReserving:
		w.reserving++
	case StockAllocating:
		w.allocating++
	case StockReleasing:
		w.releasing++
	case StockWaiting:
		w.backordered++
	case StockRefused:
		w.refused++
	}
}

func (w *waits) shipment(s *Shipment) {
	switch {
	case s.Stop != nil:
		w.stopping++
	case s.Stage == ShipmentPreparing:
		w.preparing++
	case s.Stage == ShipmentDispatched:
		w.travelling++
	}
	if s.Capture == StageAsked {
		w.capturing++
	}
}

// answers reports whether a service owes an answer.
func (w *waits) answers() bool {
	return w.reserving+w.allocating+w.releasing+w.stopping+w.capturing+w.refunding > 0 ||
		w.paying || w.action || w.redeeming || w.voiding || w.giving ||
		w.confirming || w.rejecting || w.cancelling || w.refusing
}

// goods reports whether something is still to be sent or to arrive.
func (w *waits) goods() bool { return w.preparing+w.travelling+w.backordered+w.refused > 0 }

// words say what is waited for; nothing if the process has ended.
func (w *waits) words() string {
	var all []string
	say := func(waiting bool, words string) {
		if waiting {
			all = append(all, words)
		}
	}
	of := func(n int, what, words string) {
		if n > 0 {
			all = append(all, fmt.Sprintf(words, count(n, what)))
		}
	}
	say(w.announced, "the order itself")
	of(w.reserving, "line", "stock for %s to be reserved")
	say(w.paying, "the payment to be authorised")
	say(w.action, "the customer to complete the payment")
	say(w.redeeming, "the discount code to be redeemed")
	of(w.allocating, "line", "stock for %s to be allocated")
	say(w.confirming, "the order to be confirmed")
	of(w.stopping, "shipment", "shipping to say whether %s can still be kept back")
	of(w.releasing, "line", "the stock of %s to be released")
	say(w.voiding, "the payment to be given up")
	say(w.giving, "the discount code to be given back")
	say(w.rejecting, "the order to be marked as rejected")
	say(w.cancelling, "the order to be marked as cancelled")
	say(w.refusing, "the order to be marked as not cancelled")
	of(w.backordered, "line", "stock to come in for %s")
	of(w.refused, "line", "staff to decide about %s that can't be reserved")
	of(w.preparing, "shipment", "%s to be dispatched")
	of(w.capturing, "shipment", "the money for %s to be captured")
	of(w.travelling, "shipment", "%s to be delivered")
	of(w.returning, "return", "%s to come back")
	of(w.refunding, "refund", "%s to be paid out")
	return strings.Join(all, "; ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// until is how long to wait before doing something about it; 0: for ever.
func (w *waits) until(s Step) time.Duration {
	switch {
	case w.announced:
		return 0
	case s == StepReserving:
		return reserveEvery
	case s == StepPaying && (!w.action || w.attempt < payTries):
		return after(w.attempt, payAfter[:])
	case w.answers():
		return after(w.attempt, askAfter)
	case w.preparing+w.refused+w.returning > 0:
		return after(w.attempt, peopleAfter)
	}
	return 0
}

// judge says where the process stands, what it waits for and until when, and what staff have to do.
func (p *Process) judge(n *Next, at time.Time) {
	w := waitsOf(p)
	n.Step, n.Waiting = p.step(&w), w.words()
	if d := w.until(n.Step); d > 0 {
		n.Until = at.Add(d).UTC().Truncate(time.Microsecond) // as precise as timers are
	}
	n.Attention = p.attention(&w, n.Step)
}

// attention says what staff have to do; nothing as a rule.
func (p *Process) attention(w *waits, s Step) string {
	var all []string
	for i := range p.Ships {
		if sh := &p.Ships[i]; sh.Capture == StageRefused {
			all = append(all, fmt.Sprintf("the money for shipment %s was refused (%s): collect it, or write it off",
				shipmentID(p.Order, sh.Location, i+1), sh.Code))
		}
	}
	for _, r := range p.Refunds {
		switch {
		case r.Stage != StageRefused:
		case len(r.Items) == 0:
			all = append(all, fmt.Sprintf("the refund %s was refused (%s): give the money back another way", r.Reference, r.Code))
		default:
			all = append(all, fmt.Sprintf("the refund for return %s was refused (%s): give the money back another way", r.Reference, r.Code))
		}
	}
	for i := range p.Lines {
		if l := &p.Lines[i]; l.Stock == StockRefused && !l.Dropped {
			all = append(all, fmt.Sprintf("line %d can't be reserved: take in more of %s, or cancel the line", i+1, l.SKU))
		}
	}
	if p.Payment.Stage == PaymentDeclined && p.Confirm != "" && len(p.live()) > 0 {
		all = append(all, fmt.Sprintf("the payment ran out and was declined (%s): settle it before anything else is dispatched", p.Payment.Code))
	}
	if w.answers() && w.attempt >= troubled && s != StepReserving && s != StepPaying {
		all = append(all, "nobody answers: see whether commands are parked")
	}
	return strings.Join(all, "; ")
}
