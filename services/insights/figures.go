package insights

import (
	"math"
	"slices"

	"github.com/orderlane/orderlane/pkg/projection"
)

// The sums of the tables, in the order that the figures read them in.
var (
	orderColumns    = []string{"orders", "confirmed", "delivered", "delivery_fees", "tax"}
	productColumns  = []string{"orders"}
	unitColumns     = []string{"units_ordered", "units_rejected", "units_cancelled", "units_shipped", "units_returned"}
	valueColumns    = []string{"goods_ordered", "goods_rejected", "goods_cancelled", "goods_shipped", "goods_returned"}
	goodsColumns    = slices.Concat(unitColumns, valueColumns)
	moneyColumns    = []string{"captures", "captured", "refunds", "refunded", "earned", "earned_tax"}
	activityColumns = []string{"placed", "confirmed", "rejected", "cancelled", "delivered"}
)

// Sales is what was sold of one thing that sales are listed by, in one currency. Amounts are in minor units
// of that currency; nothing is ever added up over currencies.
type Sales struct {
	Day      string  `json:"day,omitzero" format:"date" doc:"By day: of orders, the day that they were placed on; of money, the day that it was posted on; in UTC" required:"false"`
	SKU      string  `json:"sku,omitzero" doc:"By product" required:"false"`
	Name     string  `json:"name,omitzero" doc:"By product: what it is called now" required:"false"`
	Category *string `json:"category,omitzero" doc:"By category and product: the category that the product is in now, whenever it was sold; empty for none" required:"false"`
	Status   string  `json:"status,omitzero" doc:"By status: where the orders stand now" required:"false"`
	Currency string  `json:"currency" example:"EUR"`

	Orders *OrderFigures `json:"orders,omitzero" doc:"Not by product and category, since an order may have several" required:"false"`
	// ProductOrders is for rows by product.
	ProductOrders int64 `json:"orders_with_it,omitzero" doc:"By product: orders that have it, rejected and cancelled ones too" required:"false"`

	Units GoodsFigures  `json:"units" doc:"How many were ordered, and what became of them since"`
	Goods GoodsFigures  `json:"goods" doc:"What those units cost, tax included, discounts taken off, without delivery fees: minor units"`
	Money *MoneyFigures `json:"money,omitzero" doc:"By day, and in totals" required:"false"`
}

// OrderFigures are figures of whole orders, by the day that they were placed on.
type OrderFigures struct {
	Placed       int64 `json:"placed" doc:"Orders, whatever became of them"`
	Confirmed    int64 `json:"confirmed" doc:"Those of them that were ever confirmed: stock and money were there"`
	Delivered    int64 `json:"delivered" doc:"Those of them that have arrived, but for what was cancelled"`
	DeliveryFees int64 `json:"delivery_fees" doc:"As ordered, tax included: minor units"`
	Tax          int64 `json:"tax" doc:"As ordered: included in total"`
	Total        int64 `json:"total" doc:"As ordered: goods.ordered + delivery_fees. It is what orders came to when they were placed, and no revenue: see money"`
}

// GoodsFigures are units of orders, or what they cost, and what became of them; all by the day that their
// orders were placed on.
type GoodsFigures struct {
	Ordered   int64 `json:"ordered"`
	Rejected  int64 `json:"rejected" doc:"Of rejected orders, but for lines cancelled before"`
	Cancelled int64 `json:"cancelled"`
	Shipped   int64 `json:"shipped"`
	Returned  int64 `json:"returned" doc:"Of those shipped"`
	Net       int64 `json:"net" doc:"ordered - rejected - cancelled - returned"`
}

// MoneyFigures are the ledger of all payments, by the day of the posting: minor units.
type MoneyFigures struct {
	Captures  int64 `json:"captures" doc:"How often money was taken"`
	Captured  int64 `json:"captured" doc:"Money taken, tax and delivery included: the account captured"`
	Refunds   int64 `json:"refunds" doc:"How often money was given back"`
	Refunded  int64 `json:"refunded" doc:"Money given back: the account refunded"`
	Net       int64 `json:"net" doc:"Revenue net of refunds, tax included: captured - refunded"`
	Earned    int64 `json:"earned" doc:"Earned without tax, less what is given back, posted as goods go out and refunds are asked for: the account revenue"`
	EarnedTax int64 `json:"earned_tax" doc:"The tax of that, owed to the state: the account tax"`
}

// numbers reads n columns of a row from at on.
func numbers(row projection.Row, at, n int) []int64 {
	list := make([]int64, n)
	for i := range list {
		list[i] = row.Int(at + i)
	}
	return list
}

// addOrders adds up orderColumns and goodsColumns.
func (s *Sales) addOrders(n []int64) {
	if s.Orders == nil {
		s.Orders = &OrderFigures{}
	}
	o := s.Orders
	o.Placed += n[0]
	o.Confirmed += n[1]
	o.Delivered += n[2]
	o.DeliveryFees += n[3]
	o.Tax += n[4]
	s.addGoods(n[5:])
	o.Total = s.Goods.Ordered + o.DeliveryFees
}

// addGoods adds up goodsColumns.
func (s *Sales) addGoods(n []int64) {
	s.Units.add(n[:len(unitColumns)])
	s.Goods.add(n[len(unitColumns):])
}

func (g *GoodsFigures) add(n []int64) {
	g.Ordered += n[0]
	g.Rejected += n[1]
	g.Cancelled += n[2]
	g.Shipped += n[3]
	g.Returned += n[4]
	g.Net = g.Ordered - g.Rejected - g.Cancelled - g.Returned
}

// addMoney adds up moneyColumns.
func (s *Sales) addMoney(n []int64) {
	if s.Money == nil {
		s.Money = &MoneyFigures{}
	}
	m := s.Money
	m.Captures += n[0]
	m.Captured += n[1]
	m.Refunds += n[2]
	m.Refunded += n[3]
	m.Earned += n[4]
	m.EarnedTax += n[5]
	m.Net = m.Captured - m.Refunded
}

// Conversion is how the orders that were placed in a period have ended up to now.
type Conversion struct {
	Placed    int64    `json:"placed"`
	Confirmed int64    `json:"confirmed" doc:"Ever confirmed, whatever came later"`
	Rejected  int64    `json:"rejected"`
	Cancelled int64    `json:"cancelled" doc:"Of these some were confirmed before"`
	Undecided int64    `json:"undecided" doc:"Neither confirmed nor rejected nor cancelled yet"`
	Rate      *float64 `json:"rate,omitzero" doc:"confirmed / placed, rounded to four places; not there if none was placed" required:"false"`
}

// rated fills in what follows from the counts.
func (c *Conversion) rated() {
	if c.Placed > 0 {
		rate := math.Round(10_000*float64(c.Confirmed)/float64(c.Placed)) / 10_000
		c.Rate = &rate
	}
}

// Rejection is why orders were rejected.
type Rejection struct {
	Reason string `json:"reason" example:"out_of_stock"`
	Orders int64  `json:"orders"`
}
