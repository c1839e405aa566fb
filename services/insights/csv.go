package insights

import (
	"bytes"
	"context"
	"encoding/csv"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/service"
)

// The forms of an answer.
const (
	jsonType = "application/json"
	csvType  = "text/csv"
)

// maxCSVRows bounds the rows of a CSV: some 15 MB.
const maxCSVRows = 100_000

// negotiate chooses, of the forms that there are, the one that a client prefers by its Accept header; the first of
// equals, and if it does not care. Of ranges that a form is in, the most specific one says how much it is
// wanted (RFC 9110, 12.5.1); what can't be read asks for nothing.
func negotiate(accept string, forms ...string) (string, error) {
	if strings.TrimSpace(accept) == "" {
		return forms[0], nil
	}
	best, wanted := "", 0.0
	for _, form := range forms {
		kind, _, _ := strings.Cut(form, "/")
		ranges := []string{"*/*", kind + "/*", form}
		specific, quality := -1, 0.0
		for part := range strings.SplitSeq(accept, ",") {
			media, params, err := mime.ParseMediaType(part)
			if at := slices.Index(ranges, media); err == nil && at > specific {
				specific, quality = at, qualityOf(params)
			}
		}
		if quality > wanted {
			best, wanted = form, quality
		}
	}
	if best == "" {
		return "", &httpapi.Problem{
			Status: http.StatusNotAcceptable, Code: "not_acceptable", Detail: "this can be had as " + strings.Join(forms, " and as "),
		}
	}
	return best, nil
}

// qualityOf is how much a media range is wanted, from 0, not at all, to 1.
func qualityOf(params map[string]string) float64 {
	s, ok := params["q"]
	if !ok {
		return 1
	}
	q, err := strconv.ParseFloat(s, 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}

// csv answers all rows of a period as text.
func (q *queries) csv(ctx context.Context, by string, p period) ([]byte, *service.Stale, error) {
	rows, _, err := q.page(ctx, by, p, nil, maxCSVRows+1)
	if err != nil {
		return nil, nil, err
	}
	if len(rows) > maxCSVRows {
		return nil, nil, fault.Invalid("too_many_rows", "a CSV has at most %d rows; ask for a shorter period, or for JSON by pages", maxCSVRows)
	}
	stale, err := q.stale(ctx)
	if err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true // RFC 4180
	header, values := columns(by)
	_ = w.Write(header) // a buffer takes everything; Error tells otherwise
	for i := range rows {
		_ = w.Write(values(&rows[i]))
	}
	w.Flush()
	return b.Bytes(), stale, w.Error()
}

// columns are the header of a CSV, and what makes its rows.
func columns(by string) (header []string, values func(*Sales) []string) {
	var names []string
	var texts func(*Sales) []string
	switch by {
	case byProducts:
		names, texts = []string{"sku", "name", "category"}, func(s *Sales) []string { return []string{s.SKU, s.Name, *s.Category} }
	case byCategories:
		names, texts = []string{"category"}, func(s *Sales) []string { return []string{*s.Category} }
	case byStatuses:
		names, texts = []string{"status"}, func(s *Sales) []string { return []string{s.Status} }
	default:
		names, texts = []string{"day"}, func(s *Sales) []string { return []string{s.Day} }
	}
	header = append(names, "currency")
	if by == byProducts {
		header = append(header, "orders_with_it")
	}
	whole := by == byDays || by == byStatuses
	if whole {
		header = append(header, "orders_placed", "orders_confirmed", "orders_delivered", "delivery_fees_minor", "tax_minor", "orders_total_minor")
	}
	for _, of := range []string{"units_%", "goods_%_minor"} {
		for _, what := range []string{"ordered", "rejected", "cancelled", "shipped", "returned", "net"} {
			header = append(header, strings.ReplaceAll(of, "%", what))
		}
	}
	if by == byDays {
		header = append(header, "captures", "captured_minor", "refunds", "refunded_minor", "captured_net_of_refunds_minor", "earned_without_tax_minor", "earned_tax_minor")
	}
	return header, func(s *Sales) []string {
		var row []string
		for _, text := range append(texts(s), s.Currency) {
			row = append(row, harmless(text))
		}
		add := func(list ...int64) {
			for _, n := range list {
				row = append(row, strconv.FormatInt(n, 10))
			}
		}
		if by == byProducts {
			add(s.ProductOrders)
		}
		if o := s.Orders; whole {
			add(o.Placed, o.Confirmed, o.Delivered, o.DeliveryFees, o.Tax, o.Total)
		}
		for _, g := range []GoodsFigures{s.Units, s.Goods} {
			add(g.Ordered, g.Rejected, g.Cancelled, g.Shipped, g.Returned, g.Net)
		}
		if m := s.Money; by == byDays {
			add(m.Captures, m.Captured, m.Refunds, m.Refunded, m.Net, m.Earned, m.EarnedTax)
		}
		return row
	}
}

// harmless keeps a spreadsheet from taking a text for a formula.
func harmless(text string) string {
	if text != "" && strings.ContainsAny(text[:1], "=+-@\t\r\n") {
		return "'" + text
	}
	return text
}
