package fulfilment

import (
	"reflect"
	"time"

	"github.com/go-json-experiment/json"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// tb is a test, or one of rapid's.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// story is an order whose life is told fact by fact. Everything that is recorded is stored and
// read back, and the state after it is the one that the plan was made on.
type story struct {
	t     tb
	p     Process
	last  Event // that the last fact led to; nil: it changed nothing
	count int   // of events
	now   time.Time
}

func tell(t tb, commands ...Command) *story {
	t.Helper()
	s := &story{t: t, p: Processes.Initial(), now: noon}
	return s.then(commands...)
}

// then tells facts, one after the other.
func (s *story) then(commands ...Command) *story {
	s.t.Helper()
	for _, c := range commands {
		s.tell(c)
	}
	return s
}

func (s *story) tell(c Command) {
	s.t.Helper()
	before := encoded(s.t, s.p)
	c = at(c, s.now)
	events, err := Processes.Decide(c, s.p)
	if err != nil || len(events) > 1 {
		s.t.Fatalf("%T led to %d events and %v", c, len(events), err)
	}
	if after := encoded(s.t, s.p); after != before {
		s.t.Fatalf("deciding %T changed the state that was decided on:\n%s\n%s", c, before, after)
	}
	s.last = nil
	if len(events) == 0 {
		return
	}
	planned := s.p.clone()
	planned.apply(events[0])
	planned.plan(s.now, events[0].next().Asks)
	planned.Until = events[0].next().Until
	r, err := Processes.Codec.Encode(events[0])
	if err != nil {
		s.t.Fatal(err)
	}
	r.Event = nil
	stored, err := Processes.Codec.Decode(&r)
	if err != nil || !reflect.DeepEqual(stored, events[0]) {
		s.t.Fatalf("stored as %s, it is read as\n%#v\n%#v (%v)", r.Data, stored, events[0], err)
	}
	s.p = Processes.Evolve(stored, s.p)
	if got, want := encoded(s.t, s.p), encoded(s.t, planned); got != want {
		s.t.Fatalf("%T is folded to\n%s\nwhile its plan saw\n%s", c, got, want)
	}
	if n := stored.next(); n.Step.Ended() != (n.Waiting == "") || n.Step.Ended() && !n.Until.IsZero() {
		s.t.Fatalf("%T leaves it %s, and waiting for %q until %v", c, n.Step, n.Waiting, n.Until)
	}
	// The state is stored too, and read by another process.
	var p Process
	if err := json.Unmarshal([]byte(encoded(s.t, s.p)), &p); err != nil {
		s.t.Fatal(err)
	}
	s.p, s.last = p, stored
	s.count++
}

func encoded(t tb, v any) string {
	t.Helper()
	data, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// at gives a fact without a time the present one.
func at(c Command, now time.Time) Command {
	v := reflect.New(reflect.TypeOf(c)).Elem()
	v.Set(reflect.ValueOf(c))
	if f := v.FieldByName("At"); f.Interface().(time.Time).IsZero() {
		f.Set(reflect.ValueOf(now))
	}
	return v.Interface().(Command)
}

// asks expects what the last fact makes the process ask for.
func (s *story) asks(want Asks) *story {
	s.t.Helper()
	if s.last == nil {
		s.t.Fatalf("the last fact changed nothing, want %s", encoded(s.t, want))
	}
	if got := encoded(s.t, s.last.next().Asks); got != encoded(s.t, want) {
		s.t.Fatalf("it asks for\n%s, want\n%s", got, encoded(s.t, want))
	}
	return s
}

// nothing expects that the last fact changed nothing.
func (s *story) nothing() *story {
	s.t.Helper()
	if s.last != nil {
		s.t.Fatalf("the last fact led to %s", encoded(s.t, s.last))
	}
	return s
}

// waits expects where the process stands, what it waits for, and for how long.
func (s *story) waits(step Step, words string, long time.Duration) *story {
	s.t.Helper()
	w := waitsOf(&s.p)
	if got := s.p.step(&w); got != step || w.words() != words {
		s.t.Fatalf("it is %s and waits for %q, want %s and %q", got, w.words(), step, words)
	}
	if n := s.last; n != nil && (n.next().Step != step || n.next().Waiting != words || !n.next().Until.Equal(s.p.Until)) {
		s.t.Fatalf("it says %s, %q, %v, and is %s, %q, %v", n.next().Step, n.next().Waiting, n.next().Until, step, words, s.p.Until)
	}
	if long == 0 && !s.p.Until.IsZero() || long != 0 && !s.p.Until.Equal(s.now.Add(long)) {
		s.t.Fatalf("it waits until %v, want %v from %v", s.p.Until, long, s.now)
	}
	return s
}

// ended expects that the process is over, with nothing held.
func (s *story) ended(step Step) *story {
	s.t.Helper()
	s.waits(step, "", 0)
	holdsNothing(s.t, &s.p)
	return s
}

func (s *story) attention(want string) *story {
	s.t.Helper()
	if s.last == nil || s.last.next().Attention != want {
		s.t.Fatalf("staff are told %q, want %q", encoded(s.t, s.last), want)
	}
	return s
}

// late lets the time of the process's timer come.
func (s *story) late() *story {
	s.t.Helper()
	if s.p.Until.IsZero() {
		s.t.Fatal("it waits for ever")
	}
	s.now = s.p.Until
	return s.then(Wake{})
}

// holdsNothing fails if something is kept for an order whose process has ended.
func holdsNothing(t tb, p *Process) {
	t.Helper()
	for i := range p.Lines {
		l := &p.Lines[i]
		switch {
		case l.Dropped && l.Stock != StockReleased && l.Stock != StockIdle:
			t.Fatalf("line %d is given up, and its stock is %s", i+1, l.Stock)
		case !l.Dropped:
			var out int64
			for _, s := range p.Ships {
				for _, it := range s.Items {
					if it.Line == i+1 && s.Stage == ShipmentDelivered {
						out += it.Quantity
					}
				}
			}
			if out != l.Quantity {
				t.Fatalf("line %d was delivered %d times of %d", i+1, out, l.Quantity)
			}
		}
	}
	if live := len(p.live()); live == 0 && p.Payment.Stage != "" && p.Payment.Stage != PaymentVoided && p.Payment.Stage != PaymentDeclined {
		t.Fatalf("nothing was delivered, and the payment is %s", p.Payment.Stage)
	} else if live == 0 && p.Discount != "" && p.Discount != StageReleased && p.Discount != StageRefused {
		t.Fatalf("nothing was delivered, and the discount is %s", p.Discount)
	}
	if len(p.Voids) > 0 || len(p.Cancels) > 0 {
		t.Fatalf("voids %v and cancels %v are open", p.Voids, p.Cancels)
	}
}

// The order of most stories: two teas and a cup.
const order = "0190-order"

var (
	start = Start{
		Order: order, Customer: "c-42", Currency: "EUR", Method: "sandbox_approve", Delivery: Price{400, 67},
		Lines: []Ordered{{SKU: "TEA", Quantity: 2, Price: Price{2598, 433}}, {SKU: "CUP", Quantity: 1, Price: Price{900, 150}}},
	}
	bill = &Bill{
		Customer: "c-42", Method: "sandbox_approve", Currency: "EUR", Delivery: Price{400, 67},
		Lines: []Due{{1, 2, Price{2598, 433}}, {2, 1, Price{900, 150}}},
	}
	tea, cup   = Goods{Line: 1, SKU: "TEA"}, Goods{Line: 2, SKU: "CUP"}
	teas       = Goods{Line: 1, SKU: "TEA", Quantity: 2}
	oneCup     = Goods{Line: 2, SKU: "CUP", Quantity: 1}
	main1      = shipmentID(order, "main", 1)
	main2      = shipmentID(order, "main", 2)
	authorized = MovePayment{To: PaymentAuthorized, Version: 2}
	confirmed  = MoveOrder{To: OrderConfirmed, Version: 2}
)

func reserved(line int) MoveStock { return MoveStock{Line: line, To: StockReserved, Version: 10} }

func refused(line int) MoveStock {
	return MoveStock{Line: line, To: StockRefused, Version: 11, Reason: "out_of_stock"}
}

func released(line int) MoveStock {
	return MoveStock{Line: line, To: StockReleased, Version: 90, Reason: "cancelled"}
}

func allocated(line int, parts ...Part) MoveStock {
	return MoveStock{Line: line, To: StockAllocated, Version: 20, Parts: parts}
}

func placedAndPaid() []Command {
	return []Command{start, reserved(1), reserved(2), authorized}
}

// prepared is an order with one shipment of everything, ready to go.
func prepared() []Command {
	return append(placedAndPaid(), allocated(1, Part{"main", 2}), allocated(2, Part{"main", 1}), confirmed)
}

func dispatched(id string, items ...Item) MoveShipment {
	return MoveShipment{Shipment: id, To: ShipmentDispatched, Items: items}
}

func delivered(id string, items ...Item) MoveShipment {
	return MoveShipment{Shipment: id, To: ShipmentDelivered, Items: items}
}
