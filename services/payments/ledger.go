package payments

import "github.com/orderlane/orderlane/pkg/money"

// Account is an account of a payment's ledger.
type Account string

// The accounts; the public contract says what each holds.
const (
	Customer   Account = "customer"
	Receivable Account = "receivable"
	Held       Account = "held"
	MoneyIn    Account = "captured"
	MoneyOut   Account = "refunded"
	Revenue    Account = "revenue"
	Tax        Account = "tax"
)

// Posting is one side of a movement, in minor units; debits are positive.
type Posting struct {
	Account Account `json:"account"`
	Amount  int64   `json:"amount"`
}

// Sums are the accounts of a payment: the sums of all its postings. They add up to zero, and they
// are where the payment stands.
//
// These are the movements. A is an amount authorised, G the worth of units that were dispatched with T of
// tax in it, M money taken, R money given back with t of tax in it and p of it paid in advance, V an amount
// that will not be taken after all.
//
//	event                      customer  receivable  held  captured  refunded  revenue    tax
//	payment_authorized               -A                +A
//	payment_capture_requested                    +G                            -(G-T)      -T
//	payment_captured                 +M          -M    -M        +M
//	payment_voided, or renewed       +V                -V
//	payment_refund_requested         -R          +p                            +(R-p-t)    +t
//	payment_refunded                 +R                                    -R
//	payment_refund_failed            +R          -p                            -(R-p-t)    -t
//
// So held is what may still be taken; captured and -refunded are the money that came and went;
// receivable is what the customer owes for goods on their way, or, below zero, has paid in advance (where
// one capture takes everything); and -customer is what their bank holds for us and what we owe
// them: what was asked of the provider and is not yet given back. A late approval is posted as an
// authorisation by the payment_void_requested that answers it. What is late in other ways, such as money that was
// taken after its authorisation was given up, is posted without held.
type Sums struct {
	Customer   int64 `json:"customer,omitzero"`
	Receivable int64 `json:"receivable,omitzero"`
	Held       int64 `json:"held,omitzero"`
	Captured   int64 `json:"captured,omitzero"`
	Refunded   int64 `json:"refunded,omitzero"`
	Revenue    int64 `json:"revenue,omitzero"`
	Tax        int64 `json:"tax,omitzero"`
}

// Balance is where a payment stands, in minor units.
type Balance struct {
	Authorized int64 `json:"authorized,omitzero"` // and not voided; captured amounts included
	Captured   int64 `json:"captured,omitzero"`
	Refunded   int64 `json:"refunded,omitzero"`
	Refunding  int64 `json:"refunding,omitzero"` // asked of the provider
}

// Balance reads the sums as a balance.
func (s Sums) Balance() Balance {
	return Balance{
		Authorized: s.Held + s.Captured, Captured: s.Captured, Refunded: -s.Refunded, Refunding: -s.Customer - s.Held,
	}
}

// left is what was captured and neither given back nor is being.
func (s Sums) left() int64 {
	b := s.Balance()
	return b.Captured - b.Refunded - b.Refunding
}

// total is the sum of all accounts: zero.
func (s Sums) total() int64 {
	return s.Customer + s.Receivable + s.Held + s.Captured + s.Refunded + s.Revenue + s.Tax
}

func (s Sums) with(movement []Posting) Sums {
	for _, m := range movement {
		*s.account(m.Account) += m.Amount
	}
	return s
}

func (s *Sums) account(a Account) *int64 {
	switch a {
	case Customer:
		return &s.Customer
	case Receivable:
		return &s.Receivable
	case Held:
		return &s.Held
	case MoneyIn:
		return &s.Captured
	case MoneyOut:
		return &s.Refunded
	case Revenue:
		return &s.Revenue
	case Tax:
		return &s.Tax
	}
	panic("payments: a posting to the unknown account " + string(a))
}

// movement leaves out postings of nothing.
func movement(postings ...Posting) []Posting {
	var all []Posting
	for _, p := range postings {
		if p.Amount != 0 {
			all = append(all, p)
		}
	}
	return all
}

func authorizing(amount int64) []Posting {
	return movement(Posting{Held, amount}, Posting{Customer, -amount})
}

func releasing(amount int64) []Posting {
	return movement(Posting{Customer, amount}, Posting{Held, -amount})
}

func earning(w Worth) []Posting {
	return movement(Posting{Receivable, w.Total}, Posting{Revenue, w.Tax - w.Total}, Posting{Tax, -w.Tax})
}

// taking is money taken, of which held was authorised.
func taking(amount, held int64) []Posting {
	return movement(Posting{MoneyIn, amount}, Posting{Held, -held}, Posting{Customer, held}, Posting{Receivable, -amount})
}

// Owing is how an amount to give back divides.
type Owing struct {
	Total   int64 `json:"total"`
	Tax     int64 `json:"tax,omitzero"`
	Advance int64 `json:"advance,omitzero"` // was paid for units that were never dispatched
}

func (o Owing) plus(b Owing) Owing {
	return Owing{o.Total + b.Total, o.Tax + b.Tax, o.Advance + b.Advance}
}

func owing(o Owing) []Posting {
	return movement(Posting{Revenue, o.Total - o.Advance - o.Tax}, Posting{Tax, o.Tax}, Posting{Receivable, o.Advance}, Posting{Customer, -o.Total})
}

func notOwing(o Owing) []Posting {
	return owing(Owing{Total: -o.Total, Tax: -o.Tax, Advance: -o.Advance})
}

func givingBack(amount int64) []Posting {
	return movement(Posting{MoneyOut, -amount}, Posting{Customer, amount})
}

// owing divides what is to be given back: tax as is in it, or, of an amount, as is in what is left of
// what was earned. What is more than that was paid in advance.
func (p *Payment) owing(w Worth, exact bool) Owing {
	net, tax := max(0, -p.Sums.Revenue), max(0, -p.Sums.Tax)
	earned := min(w.Total, net+tax)
	o := Owing{Total: w.Total, Advance: w.Total - earned}
	if !exact || earned < w.Total {
		w.Tax = 0
		if net+tax > 0 {
			w.Tax = money.Share(tax, net+tax, 0, earned)
		}
	}
	o.Tax = min(max(w.Tax, earned-net), tax)
	return o
}

// atMost is as much of what is owed as an amount covers.
func (o Owing) atMost(amount int64) Owing {
	if amount >= o.Total || o.Total == 0 {
		return o
	}
	return Owing{
		Total: amount, Tax: money.Share(o.Tax, o.Total, 0, max(0, amount)), Advance: money.Share(o.Advance, o.Total, 0, max(0, amount)),
	}
}
