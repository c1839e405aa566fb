package orderview

import (
	"fmt"
	"time"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/httpapi"
)

// Payment is an order's payment as clients see it, in minor units of its currency.
type Payment struct {
	OrderID      string                     `json:"order_id"`
	Version      int64                      `json:"version"`
	Status       payments.Status            `json:"status"`
	Currency     string                     `json:"currency"`
	Amount       int64                      `json:"amount" doc:"Of the order"`
	Balance      payments.Balance           `json:"balance"`
	Method       string                     `json:"method"`
	Failure      string                     `json:"failure,omitempty" doc:"Why the provider said no, at last; the customer is told some reasons only, and refused_by_bank else"`
	ClientSecret string                     `json:"client_secret,omitempty" doc:"What the customer completes the payment with, while it requires action; for the customer only"`
	Provider     string                     `json:"provider,omitempty" doc:"For staff"`
	ProviderRef  string                     `json:"provider_ref,omitempty" doc:"For staff"`
	ExpiresAt    *time.Time                 `json:"expires_at,omitempty" doc:"When the authorisation runs out; for staff"`
	Ledger       map[payments.Account]int64 `json:"ledger,omitempty" doc:"Sums of the accounts; for staff"`

	lagging httpapi.Tokens // see lagging
}

// Shipment is a shipment as clients see it.
type Shipment struct {
	ID         string          `json:"id"`
	OrderID    string          `json:"order_id"`
	Version    int64           `json:"version"`
	Status     shipping.Status `json:"status"`
	Location   string          `json:"location"`
	Items      []shipping.Item `json:"items"`
	Carrier    string          `json:"carrier,omitempty"`
	Tracking   string          `json:"tracking,omitempty"`
	CreatedAt  time.Time       `json:"created_at"`
	ChangedAt  time.Time       `json:"changed_at"`
	customerID string
}

// Return is a return as clients see it.
type Return struct {
	ID         string                  `json:"id"`
	OrderID    string                  `json:"order_id"`
	Version    int64                   `json:"version"`
	Status     shipping.ReturnStatus   `json:"status"`
	Location   string                  `json:"location"`
	Items      []shipping.Item         `json:"items" doc:"What is or was expected"`
	Received   []shipping.ReceivedItem `json:"received"`
	CreatedAt  time.Time               `json:"created_at"`
	ChangedAt  time.Time               `json:"changed_at"`
	customerID string
}

// Discount is a discount code as staff sees it.
type Discount struct {
	Code    string                 `json:"code"`
	Version int64                  `json:"version"`
	Terms   ordering.DiscountTerms `json:"terms"`
	Uses    int64                  `json:"uses"`
}

func (s *shipment) show(version int64) Shipment {
	return Shipment{
		ID: s.ID, OrderID: s.OrderID, Version: version, Status: s.Status, Location: s.Location, Items: s.Items,
		Carrier: s.Carrier, Tracking: s.Tracking, CreatedAt: s.CreatedAt, ChangedAt: s.ChangedAt, customerID: s.CustomerID,
	}
}

func (b *goodsBack) show(version int64) Return {
	if b.Received == nil {
		b.Received = []shipping.ReceivedItem{}
	}
	return Return{
		ID: b.ID, OrderID: b.OrderID, Version: version, Status: b.Status, Location: b.Location, Items: b.Items,
		Received: b.Received, CreatedAt: b.CreatedAt, ChangedAt: b.ChangedAt, customerID: b.CustomerID,
	}
}

// show is the payment as its customer sees it, or as staff does.
func (d *payment) show(version int64, staff bool) *Payment {
	p := &Payment{
		OrderID: d.OrderID, Version: version, Status: d.Status, Currency: d.Currency, Amount: d.Amount,
		Balance: d.Balance, Method: d.Method, Failure: fit(d.Failure),
	}
	if staff {
		p.Failure, p.Provider, p.ProviderRef, p.Ledger = d.Failure, d.Provider, d.ProviderRef, d.Ledger
		if !d.ExpiresAt.IsZero() {
			p.ExpiresAt = &d.ExpiresAt
		}
	}
	return p
}

// pays reports whether a caller is told what an order of the customer is paid with: with it, anybody
// could pay in the customer's name.
func pays(caller httpapi.Caller, customer string) bool {
	return caller.ID == customer || caller.Anyone()
}

func readShipment(version int64, doc string) (Shipment, error) {
	s, err := stored[shipment](version, doc)
	if err != nil {
		return Shipment{}, fmt.Errorf("orderview: read a shipment: %w", err)
	}
	return s.doc.show(version), nil
}

func readReturn(version int64, doc string) (Return, error) {
	b, err := stored[goodsBack](version, doc)
	if err != nil {
		return Return{}, fmt.Errorf("orderview: read a return: %w", err)
	}
	return b.doc.show(version), nil
}

// tokens are the versions that are shown.
func (p *Payment) tokens() httpapi.Tokens {
	return append(httpapi.Tokens{{Stream: payments.Category + "-" + p.OrderID, Version: p.Version}}, p.lagging...)
}

// tokens are the versions that are shown.
func (s *Shipment) tokens() httpapi.Tokens {
	return httpapi.Tokens{{Stream: shipping.CategoryShipment + "-" + s.ID, Version: s.Version}}
}

// tokens are the versions that are shown.
func (b *Return) tokens() httpapi.Tokens {
	return httpapi.Tokens{{Stream: shipping.CategoryReturn + "-" + b.ID, Version: b.Version}}
}

// tokens are the versions that are shown.
func (d *Discount) tokens() httpapi.Tokens {
	return httpapi.Tokens{{Stream: ordering.CategoryDiscount + "-" + d.Code, Version: d.Version}}
}
