package insights

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/service"
)

// Service is the service's name on the command line.
const Service = "insights"

// Add adds the insights to a process: they consume the events of ordering, payments and catalog, and answer
// staff and services.
func Add(p *service.Platform) {
	q := &queries{p.AddRead(Service, newView()), p.Clock}
	q.register(p.API)
}

// queries answer the service's reads.
type queries struct {
	*service.Reader
	clock func() time.Time
}

// queryErrors are the statuses that every query may be answered with, beside 200.
var queryErrors = []int{400, 401, 403, 406, 422, 429, 503}

// Conditional is what every query takes, beside what it asks for.
type Conditional struct {
	Accept      string `header:"Accept" hidden:"true"`
	IfNoneMatch string `header:"If-None-Match"`
	httpapi.ReadParams
}

// SalesQuery is what sales are asked for.
type SalesQuery struct {
	From string `query:"from" doc:"A date, or a time in RFC 3339: the first day in UTC, or the day of that time. Default: 30 days before the end" example:"2026-11-01"`
	To   string `query:"to" doc:"A date, which is in the period, or a time, before which it ends; a day is counted as a whole. Default: today" example:"2026-11-30"`
	By   string `query:"by" enum:"day,product,category,status" default:"day"`
	httpapi.PageParams
	Conditional
}

// key names the filter, for cursors.
func (in *SalesQuery) key() string { return in.By + "\x00" + in.From + "\x00" + in.To }

// begun reads the cursor: the position after which the page begins, nil for the first one, and the day on which the
// first page was asked for. A list keeps its period though the day changes while it is read.
func (in *SalesQuery) begun(today int64) (after []string, day int64, err error) {
	position, err := in.After(in.key(), 3)
	if position == nil || err != nil {
		return nil, today, err
	}
	day, err = strconv.ParseInt(position[0], 10, 64)
	if err != nil || day < 0 || day > today+1 { // the clock of another instance may be ahead
		return nil, today, fault.Invalid("bad_cursor", "the cursor does not belong to this list")
	}
	return position[1:], day, nil
}

// rawOutput is an answer in a form of its own.
type rawOutput struct {
	ETag        string `header:"ETag"`
	ContentType string `header:"Content-Type"`
	Vary        string `header:"Vary"`
	Disposition string `header:"Content-Disposition"`
	StaleSince  string `header:"Stale-Since" doc:"With text/csv, and there if the view could not take up some event: when that was, as a time in RFC 3339. In JSON, see stale"`
	Body        []byte
}

const salesDescription = `What was sold in a period of whole days in UTC, in each currency by itself.

Orders, units and goods are counted on the day that their order was placed on, and move from column to column as
something becomes of them: they are what orders came to, and no revenue. Money is the ledger of the payments, on the
day of each posting: captured - refunded is the revenue net of refunds. All figures are exact sums over all events
that the view has taken up; what is sold by product, category, status and day comes to the same units and goods.

The items of a page, its totals and its delivery time are read one after the other: while events are taken up, they may
be a commit of the view apart. A list that is read page by page keeps its period, also if the day changes meanwhile.

A product's sales are those of the category that it is in now: if it moves to another, all that was sold of it does.

As text/csv the answer is all rows, up to 100,000, without summary; amounts are in minor units, and a text that
a spreadsheet would take for a formula has an apostrophe before it. If the view could not take up some event, the
header Stale-Since says so, and the name of the file: sales-by-day.incomplete.csv.`

func (q *queries) register(api huma.API) {
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[SalesList](), true, "SalesList")
	huma.Register(api, huma.Operation{
		OperationID: "get-sales", Method: http.MethodGet, Path: "/v1/insights/sales",
		Summary: "What was sold, by day, product, category or status; for staff", Description: salesDescription,
		Tags: []string{"insights"}, Errors: queryErrors,
		Responses: map[string]*huma.Response{"200": {Description: "Sales", Content: map[string]*huma.MediaType{
			jsonType: {Schema: schema},
			csvType:  {Schema: &huma.Schema{Type: huma.TypeString}},
		}}},
	}, q.sales)
	huma.Register(api, huma.Operation{
		OperationID: "get-overview", Method: http.MethodGet, Path: "/v1/insights/overview",
		Summary:     "Today's figures and the live rates; for staff",
		Description: "What happened, the summary and where orders and payments stand are read one after the other: while events are taken up, they may be a commit of the view apart.",
		Tags:        []string{"insights"}, Errors: queryErrors,
	}, func(ctx context.Context, in *Conditional) (*struct {
		ETag string `header:"ETag"`
		Body *Overview
	}, error,
	) {
		if err := q.admit(ctx, &in.ReadParams); err != nil {
			return nil, err
		}
		if _, err := negotiate(in.Accept, jsonType); err != nil {
			return nil, err
		}
		o, err := q.overview(ctx)
		if err != nil {
			return nil, err
		}
		shown := *o
		shown.At = time.Time{} // which changes though nothing has happened
		etag, err := tagOf(shown)
		if err == nil && o.Stale == nil && httpapi.NoneMatch(in.IfNoneMatch, etag) {
			err = httpapi.NotModified(etag)
		}
		return &struct {
			ETag string `header:"ETag"`
			Body *Overview
		}{etag, o}, err
	})
}

// admit lets staff and services in, once the view is as fresh as they ask.
func (q *queries) admit(ctx context.Context, p *httpapi.ReadParams) error {
	if _, err := httpapi.RequireCaller(ctx, httpapi.RoleStaff, httpapi.RoleService); err != nil {
		return err
	}
	return q.Fresh(ctx, p)
}

func (q *queries) sales(ctx context.Context, in *SalesQuery) (*rawOutput, error) {
	if err := q.admit(ctx, &in.ReadParams); err != nil {
		return nil, err
	}
	media, err := negotiate(in.Accept, jsonType, csvType)
	if err != nil {
		return nil, err
	}
	if media == csvType && in.Cursor != "" {
		return nil, fault.Invalid("cursor_with_csv", "text/csv is all rows at once, without a cursor").With("query.cursor", "is for JSON")
	}
	after, day, err := in.begun(dayOf(q.clock()))
	if err != nil {
		return nil, err
	}
	p, err := newPeriod(in.From, in.To, day)
	if err != nil {
		return nil, err
	}
	out := &rawOutput{ContentType: media, Vary: "Accept"}
	var stale *service.Stale
	if media == csvType {
		name := "sales-by-" + in.By
		if out.Body, stale, err = q.csv(ctx, in.By, p); stale != nil {
			name += ".incomplete"
			out.StaleSince = stale.Since.UTC().Format(time.RFC3339Nano)
		}
		out.ContentType += "; charset=utf-8; header=present"
		out.Disposition = `attachment; filename="` + name + `.csv"`
	} else {
		var list *SalesList
		if list, err = q.list(ctx, in, p, after, day); err == nil {
			stale = list.Stale
			out.Body, err = encode(list)
		}
	}
	if err != nil {
		return nil, err
	}
	if out.ETag = tagOfBytes(out.Body); stale == nil && httpapi.NoneMatch(in.IfNoneMatch, out.ETag) {
		return nil, httpapi.NotModified(out.ETag)
	}
	return out, nil
}

// list answers a page, of a list that was begun on some day.
func (q *queries) list(ctx context.Context, in *SalesQuery, p period, after []string, begun int64) (out *SalesList, err error) {
	out = &SalesList{By: in.By, Period: p.shown()}
	out.Items, out.Summary, err = q.page(ctx, in.By, p, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	if len(out.Items) > in.Limit {
		out.Items = out.Items[:in.Limit]
		last := out.Items[in.Limit-1].position(in.By)
		out.NextCursor = httpapi.EncodeCursor(in.key(), append([]string{strconv.FormatInt(begun, 10)}, last...)...)
	}
	if after != nil {
		out.Summary = nil
	} else if out.Summary.DeliveryTime, err = deliveryTime(ctx, q.Store, p); err != nil {
		return nil, err
	}
	out.Stale, err = q.stale(ctx)
	return out, err
}

// page reads up to limit rows after a position, and the summary of the period, but for the delivery time; of a page
// by product or category that is not the first there is none.
func (q *queries) page(ctx context.Context, by string, p period, after []string, limit int) (rows []Sales, s *Summary, err error) {
	first := after == nil
	if first {
		after = []string{"", ""}
	}
	switch by {
	case byProducts:
		if first && limit > manyProducts {
			rows, err = allProducts(ctx, q.Store, p, limit)
		} else {
			rows, err = products(ctx, q.Store, p, after, limit)
		}
	case byCategories:
		rows, err = categories(ctx, q.Store, p, after, limit)
	}
	if rows == nil {
		rows = []Sales{}
	}
	if aside := by == byProducts || by == byCategories; err != nil || aside && !first {
		return rows, nil, err
	}
	all, err := facts(ctx, q.Store, p)
	if err != nil {
		return nil, nil, err
	}
	switch by {
	case byDays:
		rows = addUp(all, ofDay)
	case byStatuses:
		rows = addUp(all, ofStatus)
	}
	rows = slices.DeleteFunc(rows, func(s Sales) bool { return slices.Compare(s.position(by), after) <= 0 })
	return rows[:min(limit, len(rows))], summary(all), nil
}

// position is what rows are in the order of.
func (s *Sales) position(by string) []string {
	switch by {
	case byProducts:
		return []string{s.SKU, s.Currency}
	case byCategories:
		return []string{*s.Category, s.Currency}
	case byStatuses:
		return []string{s.Status, s.Currency}
	}
	return []string{s.Day, s.Currency}
}

// stale says that sums may lack something, if any key is broken.
func (q *queries) stale(ctx context.Context) (*service.Stale, error) {
	broken, err := q.Answers.AllBroken(ctx, "", 1)
	if err != nil || len(broken) == 0 {
		return nil, err
	}
	return &service.Stale{Since: broken[0].Time, Reason: broken[0].Type + " of " + broken[0].Key + " could not be applied"}, nil
}

// encode writes JSON as the API does.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	err := json.MarshalWrite(&b, v, json.Deterministic(true))
	return b.Bytes(), err
}

// tagOf is the entity tag of what is shown: its digest, since it is made of too many streams to name.
func tagOf(v any) (string, error) {
	data, err := encode(v)
	return tagOfBytes(data), err
}

func tagOfBytes(data []byte) string {
	sum := sha256.Sum256(data)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}
