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
	PaymentFacts
	PaymentDetails
	ClientSecret string `json:"client_secret,omitempty" doc:"What the customer completes the payment with, while it requires action; for the customer only"`
	Version      int64  `json:"version"`

	lagging httpapi.Tokens // see lagging
}

// PaymentFacts are what everybody may know who may know of a payment.
type PaymentFacts struct {
	OrderID  string           `json:"order_id"`
	Status   payments.Status  `json:"status"`
	Currency string           `json:"currency"`
	Amount   int64            `json:"amount" doc:"Of the order"`
	Balance  payments.Balance `json:"balance"`
	Method   string           `json:"method"`
}

// PaymentDetails are what staff may know of a payment.
type PaymentDetails struct {
	Failure     string                     `json:"failure,omitempty" doc:"Why the provider said no, at last; the customer is told some reasons only, and refused_by_bank else"`
	Provider    string                     `json:"provider,omitempty" doc:"For staff"`
	ProviderRef string                     `json:"provider_ref,omitempty" doc:"For staff"`
	ExpiresAt   time.Time                  `json:"expires_at,omitzero" required:"false" doc:"When the authorisation runs out; for staff"`
	Ledger      map[payments.Account]int64 `json:"ledger,omitempty" doc:"Sums of the accounts; for staff"`
}

// Shipment is a shipment as clients see it.
type Shipment struct {
	ShipmentFacts
	Version    int64 `json:"version"`
	customerID string
}

// ShipmentFacts are what a shipment's events say of it.
type ShipmentFacts struct {
	ID        string          `json:"id"`
	OrderID   string          `json:"order_id"`
	Status    shipping.Status `json:"status"`
	Location  string          `json:"location"`
	Items     []shipping.Item `json:"items"`
	Carrier   string          `json:"carrier,omitempty"`
	Tracking  string          `json:"tracking,omitempty"`
	CreatedAt time.Time       `json:"created_at"`
	ChangedAt time.Time       `json:"changed_at"`
}

// Return is a return as clients see it.
type Return struct {
	ReturnFacts
	Version    int64 `json:"version"`
	customerID string
}

// ReturnFacts are what a return's events say of it.
type ReturnFacts struct {
	ID        string                  `json:"id"`
	OrderID   string                  `json:"order_id"`
	Status    shipping.ReturnStatus   `json:"status"`
	Location  string                  `json:"location"`
	Items     []shipping.Item         `json:"items" doc:"What is or was expected"`
	Received  []shipping.ReceivedItem `json:"received"`
	CreatedAt time.Time               `json:"created_at"`
	ChangedAt time.Time               `json:"changed_at"`
}

// Discount is a discount code as staff sees it.
type Discount struct {
	Code    string                 `json:"code"`
	Version int64                  `json:"version"`
	Terms   ordering.DiscountTerms `json:"terms"`
	Uses    int64                  `json:"uses"`
}

func (s *shipment) show(version int64) Shipment {
	return Shipment{ShipmentFacts: s.ShipmentFacts, Version: version, customerID: s.Kept.CustomerID}
}

func (b *goodsBack) show(version int64) Return {
	return Return{ReturnFacts: b.ReturnFacts, Version: version, customerID: b.Kept.CustomerID}
}

// show is the payment as its customer sees it, or as staff does.
func (d *payment) show(version int64, staff bool) *Payment {
	p := &Payment{PaymentFacts: d.PaymentFacts, Version: version}
	if staff {
		p.PaymentDetails = d.Staff
	} else {
		p.Failure = fit(d.Staff.Failure)
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
