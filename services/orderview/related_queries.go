package orderview

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/projection"
)

// one reads the document of a stream, if the caller may see it.
func one[T any](ctx context.Context, q *queries, p *httpapi.ReadParams, table, category, id string,
	read func(int64, string) (T, error), customer func(*T) string,
) (*T, error) {
	if err := q.Fresh(ctx, p); err != nil {
		return nil, err
	}
	var found *T
	err := q.Store.Query(ctx, "SELECT version, doc FROM "+table+" WHERE key = $1", []any{category + "-" + id},
		func(row projection.Row) error {
			item, err := read(row.Int(0), row.Text(1))
			found = &item
			return err
		})
	if err != nil {
		return nil, err
	}
	if caller := httpapi.CallerOf(ctx); found == nil || !caller.Staff() && customer(found) != caller.ID {
		return nil, fault.NotFound(category, id)
	}
	return found, nil
}

// worklist reads documents by status, oldest first: what staff have to do next.
func worklist[T any](ctx context.Context, q *queries, p *httpapi.ReadParams, page *httpapi.PageParams, table string,
	filters [][2]string, read func(int64, string) (T, error),
) (*httpapi.List[T], error) {
	if _, err := httpapi.RequireCaller(ctx, httpapi.RoleStaff, httpapi.RoleService); err != nil {
		return nil, err
	}
	if err := q.Fresh(ctx, p); err != nil {
		return nil, err
	}
	key := table
	for _, f := range filters {
		key += "\x00" + f[1]
	}
	after, err := page.After(key, 2)
	if err != nil {
		return nil, err
	}
	var from *place
	if after != nil {
		created, err := strconv.ParseInt(after[0], 10, 64)
		if err != nil {
			return nil, fault.Invalid("bad_cursor", "the cursor does not belong to this list")
		}
		from = &place{created, after[1]}
	}
	s := worklistStatement(table, filters, from, page.Limit)
	list := &httpapi.List[T]{Items: []T{}}
	var lastCreated, lastKey string
	err = q.Store.Query(ctx, s.String(), s.Args, func(row projection.Row) error {
		if len(list.Items) == page.Limit {
			list.NextCursor = httpapi.EncodeCursor(key, lastCreated, lastKey)
			return nil
		}
		item, err := read(row.Int(0), row.Text(1))
		lastCreated, lastKey = strconv.FormatInt(row.Int(2), 10), row.Text(3)
		list.Items = append(list.Items, item)
		return err
	})
	return list, err
}

// worklistStatement reads a page and one document more. Filters are columns with their values; an empty value
// is no filter.
func worklistStatement(table string, filters [][2]string, from *place, limit int) *statement {
	s := new(statement)
	s.WriteString("SELECT version, doc, created_at, key FROM " + table + " WHERE true")
	for _, f := range filters {
		if f[1] != "" {
			s.narrow(f[0]+" =", f[1])
		}
	}
	if from != nil {
		s.WriteString(" AND (created_at, key) > (" + s.Arg(from.at) + ", " + s.Arg(from.key) + ")")
	}
	s.WriteString(" ORDER BY created_at, key LIMIT " + s.Arg(limit+1))
	return s
}

// payment returns the payment of an order, if the caller may see it.
func (q *queries) payment(ctx context.Context, order string, p *httpapi.ReadParams) (*Payment, error) {
	if err := q.Fresh(ctx, p); err != nil {
		return nil, err
	}
	var found *Payment
	var customer string
	caller := httpapi.CallerOf(ctx)
	err := q.Store.Query(ctx, "SELECT p.version, p.doc, s.version, s.data FROM "+paymentsTable+" p LEFT JOIN "+personalTable+
		" s ON s.stream = p.key WHERE p.key = $1", []any{payments.Category + "-" + order}, func(row projection.Row) error {
		var d payment
		if err := bus.Decode([]byte(row.Text(1)), &d); err != nil {
			return fmt.Errorf("orderview: read the payment of %s: %w", order, err)
		}
		customer = d.Kept.CustomerID
		shown := shownVersion(row.Int(0), d.Kept.PersonalDue, row.Int(2))
		found = d.show(shown, caller.Staff())
		found.lagging = lagging(payments.Category+"-"+order, row.Int(0), shown)
		if d.Status != payments.StatusRequiresAction || row.Text(3) == "" || len(found.lagging) > 0 || !pays(caller, customer) {
			return nil
		}
		var personal payments.Personal
		if err := bus.Decode([]byte(row.Text(3)), &personal); err != nil {
			return fmt.Errorf("orderview: read what the customer pays %s with: %w", order, err)
		}
		found.ClientSecret = personal.ClientSecret
		return nil
	})
	if err != nil {
		return nil, err
	}
	if found == nil || !caller.Staff() && customer != caller.ID {
		return nil, fault.NotFound(payments.Category, order)
	}
	return found, nil
}

// discount returns a discount code to staff.
func (q *queries) discount(ctx context.Context, code string, p *httpapi.ReadParams) (*Discount, error) {
	if _, err := httpapi.RequireCaller(ctx, httpapi.RoleStaff, httpapi.RoleService); err != nil {
		return nil, err
	}
	return one(ctx, q, p, discountsTable, ordering.CategoryDiscount, code, func(version int64, doc string) (Discount, error) {
		var d discount
		err := bus.Decode([]byte(doc), &d)
		return Discount{Code: code, Version: version, Terms: d.Terms, Uses: d.Uses}, err
	}, func(*Discount) string { return "" })
}

func query(path, id, summary, tag string) huma.Operation {
	return huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Summary: summary, Tags: []string{tag}, Errors: queryErrors}
}

func (q *queries) registerRelated(api huma.API) {
	huma.Register(api, query("/v1/payments/{order_id}", "get-payment", "The payment of an order", "payments"),
		func(ctx context.Context, in *struct {
			OrderID string `path:"order_id" format:"uuid"`
			httpapi.Conditional
		},
		) (*httpapi.Tagged[Payment], error) {
			p, err := q.payment(ctx, httpapi.CanonicalID(in.OrderID), &in.ReadParams)
			return httpapi.Answer(&in.Conditional, p, err, (*Payment).tokens)
		})
	huma.Register(api, query("/v1/shipments/{id}", "get-shipment", "A shipment", "shipments"),
		func(ctx context.Context, in *struct {
			ID string `path:"id" format:"uuid"`
			httpapi.Conditional
		},
		) (*httpapi.Tagged[Shipment], error) {
			s, err := one(ctx, q, &in.ReadParams, shipmentsTable, shipping.CategoryShipment, httpapi.CanonicalID(in.ID), readShipment,
				func(s *Shipment) string { return s.customerID })
			return httpapi.Answer(&in.Conditional, s, err, (*Shipment).tokens)
		})
	huma.Register(api, query("/v1/returns/{id}", "get-return", "A return", "returns"),
		func(ctx context.Context, in *struct {
			ID string `path:"id" format:"uuid"`
			httpapi.Conditional
		},
		) (*httpapi.Tagged[Return], error) {
			b, err := one(ctx, q, &in.ReadParams, returnsTable, shipping.CategoryReturn, httpapi.CanonicalID(in.ID), readReturn,
				func(b *Return) string { return b.customerID })
			return httpapi.Answer(&in.Conditional, b, err, (*Return).tokens)
		})
	huma.Register(api, query("/v1/discounts/{code}", "get-discount", "A discount code", "discounts"),
		func(ctx context.Context, in *struct {
			Code string `path:"code" pattern:"^[A-Z0-9-]{3,32}$"`
			httpapi.Conditional
		},
		) (*httpapi.Tagged[Discount], error) {
			d, err := q.discount(ctx, in.Code, &in.ReadParams)
			return httpapi.Answer(&in.Conditional, d, err, (*Discount).tokens)
		})
	q.registerWorklists(api)
}

func (q *queries) registerWorklists(api huma.API) {
	huma.Register(api, query("/v1/shipments", "list-shipments", "Shipments, oldest first: what is to be packed", "shipments"),
		func(ctx context.Context, in *struct {
			Status   string `query:"status" enum:"created,dispatched,delivered,cancelled"`
			Location string `query:"location" maxLength:"64"`
			httpapi.PageParams
			httpapi.ReadParams
		},
		) (*struct{ Body *httpapi.List[Shipment] }, error) {
			list, err := worklist(ctx, q, &in.ReadParams, &in.PageParams, shipmentsTable,
				[][2]string{{"status", in.Status}, {"location", in.Location}}, readShipment)
			return &struct{ Body *httpapi.List[Shipment] }{list}, err
		})
	huma.Register(api, query("/v1/returns", "list-returns", "Returns, oldest first: what is expected back", "returns"),
		func(ctx context.Context, in *struct {
			Status string `query:"status" enum:"open,partially_received,received"`
			httpapi.PageParams
			httpapi.ReadParams
		},
		) (*struct{ Body *httpapi.List[Return] }, error) {
			list, err := worklist(ctx, q, &in.ReadParams, &in.PageParams, returnsTable, [][2]string{{"status", in.Status}}, readReturn)
			return &struct{ Body *httpapi.List[Return] }{list}, err
		})
}
