package orderview

import (
	"fmt"
	"time"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/projection"
)

// The tables of what belongs to orders. Each is folded from one stream of another service.
var (
	paymentsTable    = projection.TableName(viewName, viewVersion, "payments")
	fulfilmentsTable = projection.TableName(viewName, viewVersion, "fulfilments")
	shipmentsTable   = projection.TableName(viewName, viewVersion, "shipments")
	returnsTable     = projection.TableName(viewName, viewVersion, "returns")
	discountsTable   = projection.TableName(viewName, viewVersion, "discounts")
)

// payment is what is kept of an order's payment.
type payment struct {
	OrderID     string                     `json:"order_id"`
	CustomerID  string                     `json:"customer_id"`
	Status      payments.Status            `json:"status"`
	Currency    string                     `json:"currency"`
	Amount      int64                      `json:"amount"`
	Method      string                     `json:"method"`
	Provider    string                     `json:"provider"`
	ProviderRef string                     `json:"provider_ref,omitzero"`
	ExpiresAt   time.Time                  `json:"expires_at,omitzero"`
	Balance     payments.Balance           `json:"balance"`
	Ledger      map[payments.Account]int64 `json:"ledger,omitzero"`
	Failure     string                     `json:"failure,omitzero"`
}

// process is what is kept of an order's fulfilment.
type process struct {
	OrderID    string    `json:"order_id"`
	Step       string    `json:"step"`
	WaitingFor string    `json:"waiting_for,omitzero"`
	Until      time.Time `json:"until,omitzero"`
	Attention  string    `json:"attention,omitzero"`
	Ended      bool      `json:"ended,omitzero"`

	Stock map[int]string `json:"stock,omitzero"` // where the stock of a line stands, by line
}

// stockOf is where a line's stock stands after an event of fulfilment.
var stockOf = map[string]string{
	fulfilment.TypeLineReserved: stockReserved, fulfilment.TypeLineBackordered: stockWaiting, fulfilment.TypeLineAllocated: stockAllocated,
	fulfilment.TypeLineRefused: "", fulfilment.TypeLineExpired: "", fulfilment.TypeLineReleased: "",
}

// Where the stock of a line may stand.
const (
	stockReserved  = "reserved"
	stockWaiting   = "waiting"
	stockAllocated = "allocated"
)

// shipment is what is kept of a shipment.
type shipment struct {
	ID         string          `json:"id"`
	OrderID    string          `json:"order_id"`
	CustomerID string          `json:"customer_id"`
	Status     shipping.Status `json:"status"`
	Location   string          `json:"location"`
	Items      []shipping.Item `json:"items"`
	Carrier    string          `json:"carrier,omitzero"`
	Tracking   string          `json:"tracking,omitzero"`
	CreatedAt  time.Time       `json:"created_at"`
	ChangedAt  time.Time       `json:"changed_at"`
}

// goodsBack is what is kept of a return.
type goodsBack struct {
	ID         string                  `json:"id"`
	OrderID    string                  `json:"order_id"`
	CustomerID string                  `json:"customer_id"`
	Status     shipping.ReturnStatus   `json:"status"`
	Location   string                  `json:"location"`
	Items      []shipping.Item         `json:"items"`
	Received   []shipping.ReceivedItem `json:"received,omitzero"`
	CreatedAt  time.Time               `json:"created_at"`
	ChangedAt  time.Time               `json:"changed_at"`
}

// discount is what is kept of a discount code.
type discount struct {
	Code  string                 `json:"code"`
	Terms ordering.DiscountTerms `json:"terms"`
	Uses  int64                  `json:"uses"`
}

// related are the documents of what belongs to orders.
type related struct {
	payments    *projection.Documents[payment]
	fulfilments *projection.Documents[process]
	shipments   *projection.Documents[shipment]
	returns     *projection.Documents[goodsBack]
	discounts   *projection.Documents[discount]
}

func newRelated() related {
	text := func(names ...string) (columns []projection.Column) {
		for _, name := range names {
			columns = append(columns, projection.Column{Name: name, Kind: projection.Text})
		}
		return columns
	}
	created := projection.Column{Name: "created_at", Kind: projection.Int}
	return related{
		payments: projection.NewDocuments(projection.Collection[payment]{
			Table: paymentsTable, Topic: bus.EventsTopic(payments.Service), Columns: text("status"),
			Values: func(row []any, _ string, p *payment) []any { return append(row, string(p.Status)) },
		}),
		fulfilments: projection.NewDocuments(projection.Collection[process]{
			Table: fulfilmentsTable, Topic: bus.EventsTopic(fulfilment.Service), Columns: text("attention"),
			Values: func(row []any, _ string, p *process) []any { return append(row, p.Attention) },
		}),
		shipments: projection.NewDocuments(projection.Collection[shipment]{
			Table: shipmentsTable, Topic: bus.EventsTopic(shipping.Service), Columns: append(text("order_id", "status", "location"), created),
			Values: func(row []any, _ string, s *shipment) []any {
				return append(row, s.OrderID, string(s.Status), s.Location, s.CreatedAt.UnixMicro())
			},
		}),
		returns: projection.NewDocuments(projection.Collection[goodsBack]{
			Table: returnsTable, Topic: bus.EventsTopic(shipping.Service), Columns: append(text("order_id", "status"), created),
			Values: func(row []any, _ string, b *goodsBack) []any {
				return append(row, b.OrderID, string(b.Status), b.CreatedAt.UnixMicro())
			},
		}),
		discounts: projection.NewDocuments(projection.Collection[discount]{
			Table: discountsTable, Topic: bus.EventsTopic(ordering.Service),
		}),
	}
}

func (r *related) parts() projection.Parts {
	return projection.Parts{r.payments, r.fulfilments, r.shipments, r.returns, r.discounts}
}

func (r *related) schema() []string {
	return []string{
		r.payments.Schema(), r.fulfilments.Schema(), r.shipments.Schema(), r.returns.Schema(), r.discounts.Schema(),
		fmt.Sprintf("CREATE INDEX %[1]s_attention ON %[1]s (key) WHERE attention <> ''", fulfilmentsTable),
		fmt.Sprintf("CREATE INDEX %[1]s_order ON %[1]s (order_id)", shipmentsTable),
		fmt.Sprintf("CREATE INDEX %[1]s_status ON %[1]s (status, created_at, key)", shipmentsTable),
		fmt.Sprintf("CREATE INDEX %[1]s_order ON %[1]s (order_id)", returnsTable),
		fmt.Sprintf("CREATE INDEX %[1]s_status ON %[1]s (status, created_at, key)", returnsTable),
	}
}

// change folds an event of a type into the document of its stream.
func change[E, T any](docs *projection.Documents[T], r *projection.Record, fold func(*T, *E)) error {
	var e E
	if err := bus.Decode(r.Value, &e); err != nil {
		return fmt.Errorf("decode %s: %w", r.Type, err)
	}
	docs.Change(r, func(d *T) error {
		fold(d, &e)
		return nil
	})
	return nil
}

// paymentEvent is what any event of a payment may say.
type paymentEvent struct {
	payments.Progress
	CustomerID  string    `json:"customer_id"`
	Provider    string    `json:"provider"`
	Method      string    `json:"method"`
	ProviderRef string    `json:"provider_ref"`
	ExpiresAt   time.Time `json:"expires_at"`
	Code        string    `json:"code"`
	Amount      struct {
		Amount int64 `json:"amount"`
	} `json:"amount"`
}

func (r *related) foldPayment(rec *projection.Record) error {
	return change(r.payments, rec, func(p *payment, e *paymentEvent) {
		p.OrderID, p.Status, p.Currency, p.Balance = e.OrderID, e.Status, e.Currency, e.Balance
		for _, posting := range e.Ledger {
			if p.Ledger == nil {
				p.Ledger = make(map[payments.Account]int64)
			}
			p.Ledger[posting.Account] += posting.Amount
		}
		switch rec.Type {
		case payments.TypePaymentRequested:
			p.CustomerID, p.Method, p.Provider, p.Failure = e.CustomerID, e.Method, e.Provider, ""
			if p.Amount == 0 {
				p.Amount = e.Amount.Amount
			}
		case payments.TypePaymentAuthorized:
			p.ProviderRef, p.ExpiresAt, p.Failure = e.ProviderRef, e.ExpiresAt, ""
		case payments.TypePaymentCaptured, payments.TypePaymentRefunded:
			p.Failure = ""
		case payments.TypePaymentDeclined, payments.TypePaymentCaptureFailed, payments.TypePaymentRefundFailed:
			p.Failure = e.Code
		}
	})
}

func (r *related) foldFulfilment(rec *projection.Record) error {
	return change(r.fulfilments, rec, func(p *process, e *fulfilment.LineMoved) {
		*p = process{
			OrderID: e.OrderID, Step: e.Step, WaitingFor: e.WaitingFor, Until: e.Until, Attention: e.Attention, Ended: e.Ended, Stock: p.Stock,
		}
		stock, moved := stockOf[rec.Type]
		switch {
		case !moved:
		case stock == "":
			delete(p.Stock, e.Line)
		default:
			if p.Stock == nil {
				p.Stock = make(map[int]string)
			}
			p.Stock[e.Line] = stock
		}
	})
}

func (r *related) foldShipping(rec *projection.Record) error {
	switch rec.Type {
	case shipping.TypeShipmentCreated:
		return change(r.shipments, rec, func(s *shipment, e *shipping.ShipmentCreated) {
			*s = shipment{
				ID: e.ShipmentID, OrderID: e.OrderID, CustomerID: e.CustomerID, Status: e.Status, Location: e.Location,
				Items: e.Items, CreatedAt: e.At, ChangedAt: e.At,
			}
		})
	case shipping.TypeShipmentDispatched:
		return change(r.shipments, rec, func(s *shipment, e *shipping.ShipmentDispatched) {
			s.Status, s.Items, s.Carrier, s.Tracking, s.ChangedAt = e.Status, e.Items, e.Carrier, e.Tracking, e.At
		})
	case shipping.TypeShipmentDelivered:
		return change(r.shipments, rec, func(s *shipment, e *shipping.ShipmentDelivered) {
			s.Status, s.ChangedAt = e.Status, e.At
		})
	case shipping.TypeShipmentCancelled:
		return change(r.shipments, rec, func(s *shipment, e *shipping.ShipmentCancelled) {
			s.ID, s.OrderID, s.Status, s.Items, s.ChangedAt = e.ShipmentID, e.OrderID, e.Status, e.Left, e.At
			if s.CreatedAt.IsZero() { // given up before it was made
				s.CustomerID, s.CreatedAt = e.CustomerID, e.At
			}
		})
	case shipping.TypeReturnOpened:
		return change(r.returns, rec, func(b *goodsBack, e *shipping.ReturnOpened) {
			*b = goodsBack{
				ID: e.ReturnID, OrderID: e.OrderID, CustomerID: e.CustomerID, Status: e.Status, Location: e.Location,
				Items: e.Items, CreatedAt: e.At, ChangedAt: e.At,
			}
		})
	case shipping.TypeReturnReceived:
		return change(r.returns, rec, func(b *goodsBack, e *shipping.ReturnReceived) {
			b.Status, b.ChangedAt, b.Received = e.Status, e.At, append(b.Received, e.Items...)
		})
	}
	if bus.ResourceOf(rec.Key).Type == shipping.CategoryReturn { // of a later release: only the version moves
		r.returns.Change(rec, nil)
	} else {
		r.shipments.Change(rec, nil)
	}
	return nil
}

func (r *related) foldDiscount(rec *projection.Record) error {
	switch rec.Type {
	case ordering.TypeDiscountDefined:
		return change(r.discounts, rec, func(d *discount, e *ordering.DiscountDefined) { d.Code, d.Terms = e.Code, e.Terms })
	case ordering.TypeDiscountRedeemed:
		return change(r.discounts, rec, func(d *discount, e *ordering.DiscountRedeemed) { d.Code, d.Uses = e.Code, e.Uses })
	case ordering.TypeDiscountReleased:
		return change(r.discounts, rec, func(d *discount, e *ordering.DiscountReleased) { d.Code, d.Uses = e.Code, e.Uses })
	}
	r.discounts.Change(rec, nil)
	return nil
}
