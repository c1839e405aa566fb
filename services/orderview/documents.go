package orderview

import (
	"github.com/orderlane/orderlane/api/ordering"
)

// Documents are stored as clients see them, so that an answer is put together from their texts (see
// answer.go), with what is kept for ourselves behind that, as the last member.

// document is an order as it is stored: what its events say, and nothing personal.
type document struct {
	OrderFacts
	Kept struct {
		// PersonalDue is the last version that came with something personal: until that has
		// arrived too, the order is not shown as of that version.
		PersonalDue int64 `json:"personal_due"`
		// Events are the slots of the stream's events in the history, as in all documents of what belongs to orders.
		Events []int64 `json:"events"`
	} `json:"kept"`
}

func (d *document) events() *[]int64 { return &d.Kept.Events }

// payment is an order's payment as it is stored.
type payment struct {
	PaymentFacts
	Staff PaymentDetails `json:"staff"`
	Kept  struct {
		CustomerID string `json:"customer_id"`
		// PersonalDue is the version that came with what the customer completes the payment with, while
		// that is asked of them. See document.
		PersonalDue int64   `json:"personal_due,omitzero"`
		Events      []int64 `json:"events"`
	} `json:"kept"`
}

func (d *payment) events() *[]int64 { return &d.Kept.Events }

// process is an order's fulfilment as it is stored.
type process struct {
	Waiting
	Kept processKept `json:"kept"`
}

type processKept struct {
	OrderID   string         `json:"order_id"`
	Step      string         `json:"step"`
	Attention string         `json:"attention,omitzero"`
	Ended     bool           `json:"ended,omitzero"`
	Stock     map[int]string `json:"stock,omitempty"` // where the stock of a line stands, by line; nothing once it has ended
	Events    []int64        `json:"events"`
}

func (p *process) events() *[]int64 { return &p.Kept.Events }

// shipment is a shipment as it is stored.
type shipment struct {
	ShipmentFacts
	Kept owned `json:"kept"`
}

func (s *shipment) events() *[]int64 { return &s.Kept.Events }

// goodsBack is a return as it is stored.
type goodsBack struct {
	ReturnFacts
	Kept owned `json:"kept"`
}

func (b *goodsBack) events() *[]int64 { return &b.Kept.Events }

// owned says whose something is.
type owned struct {
	CustomerID string  `json:"customer_id"`
	Events     []int64 `json:"events"`
}

// mails are an order's mails as they are stored: nothing but their events is told.
type mails struct {
	Kept struct {
		Events []int64 `json:"events"`
	} `json:"kept"`
}

func (m *mails) events() *[]int64 { return &m.Kept.Events }

// discount is a discount code as it is stored.
type discount struct {
	Code  string                 `json:"code"`
	Terms ordering.DiscountTerms `json:"terms"`
	Uses  int64                  `json:"uses"`
}
