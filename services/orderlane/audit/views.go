package audit

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
)

// compareViews holds that views show what the topics say, of the orders that changed last.
func (p *part) compareViews(ctx context.Context) error {
	if p.Get == nil {
		return nil
	}
	var rest []*order
	for _, o := range p.orders {
		if o.placed != nil && p.Now.Sub(o.last) >= p.Grace {
			rest = append(rest, o)
		}
	}
	slices.SortFunc(rest, func(a, b *order) int { return cmp.Or(b.last.Compare(a.last), cmp.Compare(a.id, b.id)) })
	for _, o := range rest[:min(len(rest), p.Views)] {
		if err := p.compareView(ctx, o); err != nil {
			return err
		}
		p.report.Compared++
	}
	return nil
}

func (p *part) compareView(ctx context.Context, o *order) error {
	var shown struct {
		Status        ordering.Status `json:"status"`
		PaymentStatus payments.Status `json:"payment_status"`
		Version       int64           `json:"version"`
		WaitingFor    *string         `json:"waiting_for"`
		Totals        ordering.Totals `json:"totals"`
	}
	status, err := p.Get(ctx, "/v1/orders/"+o.id, &shown)
	if err != nil {
		return fmt.Errorf("audit: look at order %s: %w", o.id, err)
	}
	const rule = "a view equals the fold of its topics"
	paid := payments.StatusPending
	if o.payment != nil {
		paid = o.payment.Status
	}
	waits := ""
	if shown.WaitingFor != nil {
		waits = *shown.WaitingFor
	}
	switch {
	case status != http.StatusOK:
		p.found(o.last, rule, "order-"+o.id, "the view answers %d", status)
	case shown.Version > o.version: // it has moved on since the audit began
	case shown.Status != o.status || shown.Version != o.version || shown.Totals != o.placed.Totals:
		p.found(o.last, rule, "order-"+o.id, "the view shows %s as of version %d, the topic says %s as of version %d", shown.Status, shown.Version, o.status, o.version)
	case shown.PaymentStatus != paid:
		p.found(o.last, rule, "payment-"+o.id, "the view shows %s, the topic says %s", shown.PaymentStatus, paid)
	case o.process != nil && waits != o.process.WaitingFor:
		p.found(o.last, rule, "fulfilment-"+o.id, "the view shows that it waits for %q, the topic says for %q", waits, o.process.WaitingFor)
	}
	return nil
}
