package orderview

import (
	"fmt"
	"time"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/notifications"
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
	mailsTable       = projection.TableName(viewName, viewVersion, "mails")
	discountsTable   = projection.TableName(viewName, viewVersion, "discounts")
)

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

// related are the documents of what belongs to orders.
type related struct {
	payments    *projection.Documents[payment]
	fulfilments *projection.Documents[process]
	shipments   *projection.Documents[shipment]
	returns     *projection.Documents[goodsBack]
	mails       *projection.Documents[mails]
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
			Table: paymentsTable, Topic: bus.EventsTopic(payments.Service),
			Columns: append(text("status"), projection.Column{Name: "personal_due", Kind: projection.Int}),
			Values:  func(row []any, _ string, p *payment) []any { return append(row, string(p.Status), p.Kept.PersonalDue) },
		}),
		fulfilments: projection.NewDocuments(projection.Collection[process]{
			Table: fulfilmentsTable, Topic: bus.EventsTopic(fulfilment.Service), Columns: text("attention"),
			Values: func(row []any, _ string, p *process) []any { return append(row, p.Kept.Attention) },
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
		mails: projection.NewDocuments(projection.Collection[mails]{
			Table: mailsTable, Topic: bus.EventsTopic(notifications.Service),
		}),
		discounts: projection.NewDocuments(projection.Collection[discount]{
			Table: discountsTable, Topic: bus.EventsTopic(ordering.Service),
		}),
	}
}

func (r *related) parts() projection.Parts {
	return projection.Parts{r.payments, r.fulfilments, r.shipments, r.returns, r.mails, r.discounts}
}

func (r *related) schema() []string {
	return []string{
		r.payments.Schema(), r.fulfilments.Schema(), r.shipments.Schema(), r.returns.Schema(), r.mails.Schema(), r.discounts.Schema(),
		fmt.Sprintf("CREATE INDEX %[1]s_attention ON %[1]s (key) WHERE attention <> ''", fulfilmentsTable),
		fmt.Sprintf("CREATE INDEX %[1]s_order ON %[1]s (order_id)", shipmentsTable),
		fmt.Sprintf("CREATE INDEX %[1]s_created ON %[1]s (created_at, key)", shipmentsTable),
		fmt.Sprintf("CREATE INDEX %[1]s_location ON %[1]s (location, created_at, key)", shipmentsTable),
		fmt.Sprintf("CREATE INDEX %[1]s_status ON %[1]s (status, created_at, key)", shipmentsTable),
		fmt.Sprintf("CREATE INDEX %[1]s_order ON %[1]s (order_id)", returnsTable),
		fmt.Sprintf("CREATE INDEX %[1]s_created ON %[1]s (created_at, key)", returnsTable),
		fmt.Sprintf("CREATE INDEX %[1]s_status ON %[1]s (status, created_at, key)", returnsTable),
	}
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
