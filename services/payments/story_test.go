package payments

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/money"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// judge is a test, or a property.
type judge interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// story is a payment that things happen to. Every event is stored and read back on the way, and
// told in a line.
type story struct {
	judge
	p     Payment
	at    time.Time
	last  []string
	err   error
	tasks []asked // that the provider was asked, in order
}

func payment(t judge) *story { return &story{judge: t, p: Payments.Initial(), at: noon} }

// ordered is a payment of two teas at 12.99 and three pots that cost 10.00 together, and 4.00 for delivery.
func ordered(t judge) *story { return payment(t).when(order(money.Of(3998, "EUR"))) }

func order(amount money.Amount) Request {
	return Request{
		Customer: "c-42", Provider: "sandbox", Method: "sandbox_approve", Amount: amount,
		Lines:    []Line{{Line: 1, Quantity: 2, Total: 2598, Tax: 433}, {Line: 2, Quantity: 3, Total: 1000, Tax: 160}},
		Delivery: Worth{400, 67}, CompleteWithin: 15 * time.Minute,
	}
}

func authorized(t judge) *story {
	return ordered(t).when(Report{Operation: Authorizing, N: 1, Result: ResultDone, Ref: "pi_1", ExpiresAt: noon.Add(7 * 24 * time.Hour)})
}

// when decides a command at the story's time.
func (s *story) when(command Command) *story {
	s.Helper()
	s.last, s.err = nil, nil
	switch c := command.(type) {
	case Request:
		c.At = s.at
		command = c
	case Capture:
		c.At = s.at
		command = c
	case Void:
		c.At = s.at
		command = c
	case Refund:
		c.At = s.at
		command = c
	case Report:
		c.At = s.at
		command = c
	case Wake:
		c.At = s.at
		command = c
	}
	before := s.p.clone()
	events, err := Payments.Decide(command, s.p)
	if !reflect.DeepEqual(before, s.p.clone()) {
		s.Fatalf("%+v changed the state that it was decided on", command)
	}
	s.err = err
	for _, e := range events {
		s.evolve(e)
	}
	return s
}

func (s *story) evolve(event Event) {
	s.Helper()
	r, err := Payments.Codec.Encode(event)
	if err != nil {
		s.Fatal(err)
	}
	r.Event, r.Stream, r.Version = nil, "payment-1", 1
	back, err := Payments.Codec.Decode(&r)
	if err != nil {
		s.Fatal(err)
	}
	s.p = Payments.Evolve(back, s.p)
	s.last = append(s.last, tell(back))
	if reference, call := calls(back); call != nil {
		s.tasks = append(s.tasks, asked{call, reference})
	}
	holds(s, &s.p, entryOf(back))
}

// then expects what was decided, a line an event.
func (s *story) then(want ...string) *story {
	s.Helper()
	if s.err != nil {
		s.Fatalf("refused with %v", s.err)
	}
	if strings.Join(s.last, "\n") != strings.Join(want, "\n") {
		s.Fatalf("got\n  %s\nwant\n  %s", strings.Join(s.last, "\n  "), strings.Join(want, "\n  "))
	}
	return s
}

func (s *story) refused(want *fault.Fault) *story {
	s.Helper()
	if !errors.Is(s.err, want) || len(s.last) > 0 {
		s.Fatalf("got %v with %v, want the refusal %v", s.err, s.last, want)
	}
	return s
}

func (s *story) is(want Status) *story {
	s.Helper()
	if got := s.p.status(); got != want {
		s.Fatalf("the payment is %s, want %s", got, want)
	}
	return s
}

// later lets time pass.
func (s *story) later(d time.Duration) *story {
	s.at = s.at.Add(d)
	return s
}

// woken lets time pass until the deadline, and wakes the payment.
func (s *story) woken() *story {
	s.Helper()
	due := s.p.deadline()
	if due.IsZero() {
		s.Fatal("the payment has no deadline")
	}
	s.at = due
	return s.when(Wake{})
}

// answer reports on the latest task.
func (s *story) answer(result Result) *story {
	s.Helper()
	call := s.tasks[len(s.tasks)-1]
	return s.when(Report{Operation: call.Operation, N: call.N, Reference: call.reference, Result: result, Ref: "pi"})
}

// nothingHeld expects that the provider has nothing to let go of, and all accounts that money never came to are even.
func (s *story) nothingHeld() *story {
	s.Helper()
	if s.p.Sums.Held != 0 || s.p.Sums.Balance().Refunding != 0 {
		s.Fatalf("the accounts are %+v", s.p.Sums)
	}
	return s
}

// holds checks what is true of every payment after every event.
func holds(t judge, p *Payment, e *Entry) {
	t.Helper()
	sums, b := p.Sums, p.Sums.Balance()
	var movement, held int64
	for _, posting := range e.Ledger {
		movement += posting.Amount
	}
	for _, a := range p.Authorizations {
		held += a.Held
		if a.Held < 0 || a.Refunded > a.Captured {
			t.Fatalf("authorisation %+v", a)
		}
	}
	switch {
	case movement != 0, sums.total() != 0:
		t.Fatalf("the movement %+v does not balance; the accounts come to %+v", e.Ledger, sums)
	case e.Balance != b || e.Status != p.status():
		t.Fatalf("the event says %s %+v, the accounts %s %+v", e.Status, e.Balance, p.status(), b)
	case sums.Held < 0 || b.Captured > b.Authorized || b.Refunding < 0 || b.Refunded+b.Refunding > b.Captured:
		t.Fatalf("the balance is %+v", b)
	case held != sums.Held:
		t.Fatalf("authorisations hold %d, the account %d", held, sums.Held)
	}
	for _, l := range p.Lines {
		if l.left() < 0 || l.Taken < 0 || l.Cancelled < 0 {
			t.Fatalf("line %+v", l)
		}
	}
}

func entryOf(e Event) *Entry {
	entry := reflect.ValueOf(e).FieldByName("Entry").Interface().(Entry)
	return &entry
}

// asked is a call as the provider gets it.
type asked struct {
	*Call
	reference string
}

// tell says in a line what an event is.
func tell(e Event) string {
	asks := func(c *Call) string {
		if c == nil {
			return "waits"
		}
		final := ""
		if c.Final {
			final = ", the last"
		}
		again := ""
		if c.Attempt > 1 {
			again = fmt.Sprintf(", attempt %d", c.Attempt)
		}
		return fmt.Sprintf("#%d %s %d of #%d%s%s", c.N, c.Operation, c.Amount, c.Authorization, final, again)
	}
	of := func(parts []Part) string {
		s := ""
		for _, p := range parts {
			s += fmt.Sprintf(" %d:%d-%d", p.Line, p.From, p.To)
		}
		return s
	}
	switch e := e.(type) {
	case Requested:
		return fmt.Sprintf("requested %d, %s", e.Amount, asks(e.Call))
	case ActionRequired:
		return "action required"
	case Authorized:
		return fmt.Sprintf("authorized %d", e.Amount)
	case Declined:
		return "declined: " + e.Code
	case CaptureRequested:
		return fmt.Sprintf("capture %s requested:%s, %d, %s", e.Reference, of(e.Parts), e.Worth.Total, asks(e.Call))
	case Captured:
		return fmt.Sprintf("captured %s: %d", e.Reference, e.Amount)
	case CaptureFailed:
		return fmt.Sprintf("capture %s failed: %s", e.Reference, e.Code)
	case VoidRequested:
		return fmt.Sprintf("void %s requested:%s, %d, %s", e.Reference+e.Reason, of(e.Parts), e.Amount, asks(e.Call))
	case Voided:
		return fmt.Sprintf("voided %s:%s, %d", e.Reference+e.Reason, of(e.Parts), e.Amount)
	case RefundRequested:
		return fmt.Sprintf("refund %s requested:%s, %d, %s", e.Reference, of(e.Parts), e.Owing.Total, asks(e.Call))
	case Refunded:
		if e.Partial {
			return fmt.Sprintf("refunded %s: %d, partial", e.Reference, e.Amount)
		}
		return fmt.Sprintf("refunded %s: %d", e.Reference, e.Amount)
	case RefundFailed:
		return fmt.Sprintf("refund %s failed: %s", e.Reference, e.Code)
	case Asked:
		return fmt.Sprintf("asked %s, %s", e.Reference, asks(e.Call))
	}
	return fmt.Sprintf("%T", e)
}
