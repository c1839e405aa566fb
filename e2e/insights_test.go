//go:build unix

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/orderlane/orderlane/e2e/fleet"
)

// figures are what the insights sum up, or a test does, order by order.
type figures struct {
	Placed, Rejected, Cancelled           int64
	Ordered                               int64 // with delivery
	Captured, Refunded, Earned, EarnedTax int64
}

func TestTheInsightsEqualTheLedgerOfAllOrders(t *testing.T) {
	o := fleet.Options{Whole: true, Without: []string{fleet.OrderingB, fleet.Notifications}, Env: []string{"ORDERLANE_PAYMENTS_SANDBOX_SECRET=" + webhookSecret}}
	onBoth(t, o, func(t *testing.T, f *fleet.Fleet) {
		s := &shopDay{f: f, c: f.Client("")}
		t.Run("stories", func(t *testing.T) {
			for name, story := range map[string]func(*testing.T){
				"delivered": s.isDelivered, "declined": s.isDeclined, "out of stock": s.isOutOfStock, "cancelled": s.isCancelled,
				"cancelled in part": s.isCancelledInPart, "from two places": s.comesFromTwoPlaces, "comes back": s.comesBack,
				"answered strangely": s.isAnsweredStrangely,
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					story(t)
				})
			}
		})
		s.auditInsights(t)
		whole := s.c.Get(t, salesOfToday()+"&by=product", "Accept", "text/csv")
		if lines := strings.Count(string(whole.Body), "\r\n"); whole.Status != http.StatusOK || lines < 10 {
			t.Errorf("the products as CSV: %s", whole)
		}
	})
}

// salesOfToday is the path of what was sold today, and yesterday: days may change while a test runs.
func salesOfToday() string {
	return "/v1/insights/sales?from=" + time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)
}

// auditInsights waits until the insights are the sums over all orders and over the ledgers of all payments.
func (s *shopDay) auditInsights(t *testing.T) {
	t.Helper()
	path := salesOfToday()
	fleet.Wait(t, "the insights are the sums over all orders", func() string {
		want, err := s.figures(t)
		if err != nil {
			return err.Error()
		}
		got := s.insights(t, path)
		if got != want || want.Refunded == 0 || want.Rejected < 2 || want.Cancelled < 2 {
			return fmt.Sprintf("they are %+v, and the orders come to %+v", got, want)
		}
		return ""
	})
}

// figures sums up all orders and payments, one by one.
func (s *shopDay) figures(t *testing.T) (sum figures, err error) {
	t.Helper()
	orders, err := s.c.Orders(context.Background())
	if err != nil {
		return sum, err
	}
	for _, o := range orders {
		sum.Placed++
		sum.Ordered += o.Totals.Total
		switch o.Status {
		case "rejected":
			sum.Rejected++
		case "cancelled":
			sum.Cancelled++
		}
		a, err := s.c.Try(context.Background(), http.MethodGet, "/v1/payments/"+o.ID, nil)
		if err != nil {
			return sum, err
		}
		if a.Status == http.StatusNotFound {
			continue // it came to nothing before there was one
		}
		var m fleet.Money
		a.Decode(t, &m)
		if m.Balance.Captured != m.Ledger["captured"] || m.Balance.Refunded != -m.Ledger["refunded"] {
			t.Errorf("the balance of %s is not that of its ledger: %s", o.ID, a)
		}
		sum.Captured += m.Balance.Captured
		sum.Refunded += m.Balance.Refunded
		sum.Earned -= m.Ledger["revenue"]
		sum.EarnedTax -= m.Ledger["tax"]
	}
	return sum, nil
}

// insights are the totals of a period.
func (s *shopDay) insights(t *testing.T, path string) figures {
	t.Helper()
	var list struct {
		Summary struct {
			Totals []struct {
				Currency string `json:"currency"`
				Orders   struct {
					Total int64 `json:"total"`
				} `json:"orders"`
				Money struct {
					Captured  int64 `json:"captured"`
					Refunded  int64 `json:"refunded"`
					Net       int64 `json:"net"`
					Earned    int64 `json:"earned"`
					EarnedTax int64 `json:"earned_tax"`
				} `json:"money"`
			} `json:"totals"`
			Conversion struct {
				Placed    int64 `json:"placed"`
				Rejected  int64 `json:"rejected"`
				Cancelled int64 `json:"cancelled"`
			} `json:"conversion"`
		} `json:"summary"`
	}
	s.c.Get(t, path).Decode(t, &list)
	c := list.Summary.Conversion
	sum := figures{Placed: c.Placed, Rejected: c.Rejected, Cancelled: c.Cancelled}
	for _, of := range list.Summary.Totals {
		if of.Currency != "EUR" || of.Money.Net != of.Money.Captured-of.Money.Refunded {
			t.Errorf("totals of %+v", of)
		}
		sum.Ordered += of.Orders.Total
		sum.Captured += of.Money.Captured
		sum.Refunded += of.Money.Refunded
		sum.Earned += of.Money.Earned
		sum.EarnedTax += of.Money.EarnedTax
	}
	return sum
}
