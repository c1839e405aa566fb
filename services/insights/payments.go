package insights

import (
	"fmt"
	"slices"

	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/projection"
)

// payment is what is kept of an order's payment: its ledger's movements by day.
type payment struct {
	Currency string          `json:"currency"`
	Status   payments.Status `json:"status"`
	Days     []movements     `json:"days,omitzero"` // ascending
}

// movements are what was posted on one day, in minor units, as sums of the ledger's accounts.
type movements struct {
	Day      int64 `json:"day"`
	Captures int64 `json:"captures,omitzero"` // how often
	Captured int64 `json:"captured,omitzero"`
	Refunds  int64 `json:"refunds,omitzero"` // how often
	Refunded int64 `json:"refunded,omitzero"`
	Earned   int64 `json:"earned,omitzero"`
	Tax      int64 `json:"tax,omitzero"`
}

// The tables of sums that payments contribute to, by their places in the rollup.
const (
	sumsOfMoney = iota
	sumsOfPayments
)

var (
	moneyTable        = table("money")
	paymentsStandings = table("payment_standing")
)

func newPayments() *projection.Rollup[payment] {
	return projection.NewRollup(projection.RollupOf[payment]{
		Table: table("payments"), Topic: bus.EventsTopic(payments.Service), Contribute: contributePayment,
		Sums: []projection.Sums{
			sumsOfMoney: {
				Table:   moneyTable,
				Key:     []projection.Column{{Name: "day", Kind: projection.Int}, {Name: "currency", Kind: projection.Text}},
				Columns: moneyColumns,
			},
			sumsOfPayments: {
				Table: paymentsStandings, Key: []projection.Column{{Name: "status", Kind: projection.Text}}, Columns: []string{"payments"},
			},
		},
	})
}

// contributePayment adds what a payment counts for.
func contributePayment(t *projection.Tally, p *payment) {
	for _, m := range p.Days {
		t.Add(sumsOfMoney, []int64{m.Captures, m.Captured, m.Refunds, m.Refunded, m.Earned, m.Tax}, m.Day, p.Currency)
	}
	t.Add(sumsOfPayments, []int64{1}, string(p.Status))
}

// foldPayment folds any event of a payment: its postings are the figures, whatever it is called.
func (v *view) foldPayment(r *projection.Record) error {
	var e payments.Progress
	if err := bus.Decode(r.Value, &e); err != nil {
		return fmt.Errorf("decode %s: %w", r.Type, err)
	}
	v.payments.Change(r, func(p *payment) error {
		p.Currency, p.Status = e.Currency, e.Status
		for _, posting := range e.Ledger {
			p.post(e.At.Unix()/secondsOfDay, posting)
		}
		return nil
	})
	return nil
}

// post takes up one side of a movement. Of the accounts, captured is a debit; refunded, revenue and tax are
// credits, which are negative.
func (p *payment) post(day int64, posting payments.Posting) {
	switch posting.Account {
	case payments.AccountCaptured, payments.AccountRefunded, payments.AccountRevenue, payments.AccountTax:
	default:
		return
	}
	i, found := slices.BinarySearchFunc(p.Days, day, func(m movements, day int64) int { return int(m.Day - day) })
	if !found {
		p.Days = slices.Insert(p.Days, i, movements{Day: day})
	}
	m := &p.Days[i]
	switch posting.Account {
	case payments.AccountCaptured:
		m.Captures++
		m.Captured += posting.Amount
	case payments.AccountRefunded:
		m.Refunds++
		m.Refunded -= posting.Amount
	case payments.AccountRevenue:
		m.Earned -= posting.Amount
	case payments.AccountTax:
		m.Tax -= posting.Amount
	}
}
