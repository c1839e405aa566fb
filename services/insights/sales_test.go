package insights

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

var (
	noon      = servicetest.Noon
	yesterday = noon.AddDate(0, 0, -1)
)

// story is two days of a shop: o-1 is sold in two parts, and one unit comes back; o-2 is rejected; o-3 is paid in
// dollars and cancelled; o-4 loses a line and waits.
func (w *world) story() {
	w.Fold(
		w.defined("TEA", "tea"), w.defined("CUP", "cups"), w.defined("-1+2", "=SUM(A1)"),
		w.placed("o-1", "EUR", yesterday, ordered("TEA", 3, 333), ordered("CUP", 1, 500), ordered("TEA", 1, 300)),
		w.confirmed("o-1", yesterday.Add(time.Minute)),
		w.shipped("o-1", true, yesterday.Add(time.Hour), units(1, 2)),
		w.asked("o-1", "EUR", yesterday.Add(time.Hour), 666+400), w.taken("o-1", "EUR", yesterday.Add(time.Hour), 666+400),
		w.shipped("o-1", false, noon, units(1, 1), units(2, 1), units(3, 1)),
		w.asked("o-1", "EUR", noon, 333+500+300), w.taken("o-1", "EUR", noon, 333+500+300),
		w.delivered("o-1", true, noon, units(1, 2)),
		w.delivered("o-1", false, noon.Add(90500*time.Millisecond), units(1, 1), units(2, 1), units(3, 1)),
		w.returned("o-1", ordering.StatusDelivered, noon, units(1, 1)), w.refunded("o-1", "EUR", noon, 333),
		w.placed("o-2", "EUR", noon, ordered("TEA", 100, 333)), w.rejected("o-2", "out_of_stock", noon),
		w.placed("o-3", "USD", noon, ordered("-1+2", 2, 50)), w.cancelled("o-3", ordering.StatusCancelled, noon, 1),
		w.placed("o-4", "EUR", noon, ordered("CUP", 2, 500), ordered("TEA", 1, 333)), w.confirmed("o-4", noon), w.cancelled("o-4", ordering.StatusConfirmed, noon, 2),
	)
}

func TestSalesAreListedByDayProductCategoryAndStatus(t *testing.T) {
	w := newWorld(t)
	w.story()
	for by, want := range map[string][]string{
		"day": {
			"2026-11-22 EUR: 1 placed, 1 confirmed, 1 delivered, 400 + 1799 = 2199; units {5 0 0 5 1 4}, goods {1799 0 0 1799 333 1466}; money {1 1066 0 0 1066 889 177}",
			"2026-11-23 EUR: 2 placed, 1 confirmed, 0 delivered, 800 + 34633 = 35433; units {103 100 1 0 0 2}, goods {34633 33300 333 0 0 1000}; money {1 1133 1 333 800 945 188}",
			"2026-11-23 USD: 1 placed, 0 confirmed, 0 delivered, 400 + 100 = 500; units {2 0 2 0 0 0}, goods {100 0 100 0 0 0}; money {0 0 0 0 0 0 0}",
		},
		"product": {
			"-1+2 The -1+2 =SUM(A1) USD: 1 with it; units {2 0 2 0 0 0}, goods {100 0 100 0 0 0}",
			"CUP The CUP cups EUR: 2 with it; units {3 0 0 1 0 3}, goods {1500 0 0 500 0 1500}",
			"TEA The TEA tea EUR: 3 with it; units {105 100 1 4 1 3}, goods {34932 33300 333 1299 333 966}",
		},
		"category": {
			"=SUM(A1) USD: 0 with it; units {2 0 2 0 0 0}, goods {100 0 100 0 0 0}",
			"cups EUR: 0 with it; units {3 0 0 1 0 3}, goods {1500 0 0 500 0 1500}",
			"tea EUR: 0 with it; units {105 100 1 4 1 3}, goods {34932 33300 333 1299 333 966}",
		},
		"status": {
			"cancelled USD: 1 placed, 0 confirmed, 0 delivered, 400 + 100 = 500; units {2 0 2 0 0 0}, goods {100 0 100 0 0 0}",
			"confirmed EUR: 1 placed, 1 confirmed, 0 delivered, 400 + 1333 = 1733; units {3 0 1 0 0 2}, goods {1333 0 333 0 0 1000}",
			"delivered EUR: 1 placed, 1 confirmed, 1 delivered, 400 + 1799 = 2199; units {5 0 0 5 1 4}, goods {1799 0 0 1799 333 1466}",
			"rejected EUR: 1 placed, 0 confirmed, 0 delivered, 400 + 33300 = 33700; units {100 100 0 0 0 0}, goods {33300 33300 0 0 0 0}",
		},
	} {
		list := w.sales("?from=2026-11-22&by=" + by)
		if got := texts(list.Items); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("by %s:\n%s\nwant\n%s", by, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		summary, err := encode(list.Summary)
		if err != nil {
			t.Fatal(err)
		}
		isGolden(t, "by "+by, "summary.json", string(summary)+"\n")
	}
}

func TestAnOrderIsDeliveredWhenItsRestIsCancelled(t *testing.T) {
	for _, status := range []ordering.Status{ordering.StatusDelivered, ordering.StatusReturned} {
		t.Run(string(status), func(t *testing.T) {
			w := newWorld(t)
			w.Fold(
				w.placed("o-1", "EUR", noon, ordered("TEA", 1, 100), ordered("CUP", 1, 100)), w.confirmed("o-1", noon),
				w.shipped("o-1", true, noon, units(1, 1)), w.delivered("o-1", true, noon.Add(time.Hour), units(1, 1)),
			)
			if status == ordering.StatusReturned {
				w.Fold(w.returned("o-1", ordering.StatusPartiallyShipped, noon.Add(90*time.Minute), units(1, 1)))
			}
			if s := w.sales(""); s.Items[0].Orders.Delivered != 0 || s.Summary.DeliveryTime != nil {
				t.Errorf("it is delivered in part: %v, delivery time %+v", texts(s.Items), s.Summary.DeliveryTime)
			}
			w.Fold(w.cancelled("o-1", status, noon.Add(2*time.Hour), 2))
			s := w.sales("?by=status")
			if s.Items[0].Status != string(status) || s.Items[0].Orders.Delivered != 1 {
				t.Errorf("the rest is cancelled: %v", texts(s.Items))
			}
			if d := s.Summary.DeliveryTime; d == nil || *d != (DeliveryTime{1, 3600, 3600, 3600}) {
				t.Errorf("delivery time %+v, though it arrived after an hour", d)
			}
			w.now = noon.Add(100 * time.Minute)
			if o := w.overview(); o.Happened.Delivered != 1 || o.LastHour.Delivered != 1 || o.Happened.Cancelled != 0 {
				t.Errorf("the overview tells of %+v, and in the last hour of %+v", o.Happened, o.LastHour)
			}
		})
	}
}

func texts(items []Sales) (list []string) {
	for _, s := range items {
		name := s.Day + s.Status
		if s.Category != nil {
			name = strings.TrimSpace(s.SKU + " " + s.Name + " " + *s.Category)
		}
		text := fmt.Sprintf("%d with it", s.ProductOrders)
		if o := s.Orders; o != nil {
			text = fmt.Sprintf("%d placed, %d confirmed, %d delivered, %d + %d = %d", o.Placed, o.Confirmed, o.Delivered, o.DeliveryFees, s.Goods.Ordered, o.Total)
		}
		text = fmt.Sprintf("%s %s: %s; units %v, goods %v", name, s.Currency, text, s.Units, s.Goods)
		if s.Money != nil {
			text += fmt.Sprintf("; money %v", *s.Money)
		}
		list = append(list, text)
	}
	return list
}

func TestTheSummaryIsOfTheWholePeriod(t *testing.T) {
	w := newWorld(t)
	w.story()
	s := w.sales("?from=2026-11-22&limit=1").Summary
	want := "EUR: 3 placed, 2 confirmed, 1 delivered, 1200 + 36432 = 37632; units {108 100 1 5 1 6}, goods {36432 33300 333 1799 333 2466}; money {2 2199 1 333 1866 1834 365}\n" +
		"USD: 1 placed, 0 confirmed, 0 delivered, 400 + 100 = 500; units {2 0 2 0 0 0}, goods {100 0 100 0 0 0}; money {0 0 0 0 0 0 0}"
	if got := strings.ReplaceAll(strings.Join(texts(s.Totals), "\n"), " EUR", "EUR"); strings.ReplaceAll(got, " USD", "USD") != want {
		t.Errorf("totals\n%s\nwant\n%s", got, want)
	}
	c := s.Conversion
	if c.Rate == nil || *c.Rate != 0.5 || c.Placed != 4 || c.Confirmed != 2 || c.Rejected != 1 || c.Cancelled != 1 || c.Undecided != 0 {
		t.Errorf("conversion %+v", c)
	}
	if fmt.Sprint(s.Rejections) != "[{out_of_stock 1}]" {
		t.Errorf("rejections %v", s.Rejections)
	}
	if d := s.DeliveryTime; d == nil || *d != (DeliveryTime{1, 86490, 86490, 86490}) {
		t.Errorf("delivery time %+v", d)
	}
	if s := w.sales("?from=2026-11-22&to=2026-11-22").Summary; s.DeliveryTime != nil || s.Conversion.Placed != 1 {
		t.Errorf("the day before: %+v", s)
	}
}

func TestACSVIsAsItsGolden(t *testing.T) {
	w := newWorld(t)
	w.story()
	for _, by := range []string{"day", "product", "category", "status"} {
		a := w.api.Get(staff, "/v1/insights/sales?from=2026-11-22&by="+by, "Accept", "text/csv")
		if a.Status != 200 || a.Header.Get("Content-Type") != "text/csv; charset=utf-8; header=present" {
			t.Fatalf("%d %v", a.Status, a.Header)
		}
		if got := a.Header.Get("Content-Disposition"); got != `attachment; filename="sales-by-`+by+`.csv"` || a.Header.Values("Stale-Since") != nil {
			t.Errorf("by %s: %v", by, a.Header)
		}
		isGolden(t, "by "+by, "by_"+by+".csv", a.Body)
	}
}

// isGolden compares a text with that of a file, or writes it with ORDERLANE_UPDATE=1.
func isGolden(t *testing.T, what, name, got string) {
	t.Helper()
	file := "testdata/" + name
	if os.Getenv("ORDERLANE_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("%s:\n%s\nwant (%v)\n%s", what, got, err, want)
	}
}

func TestWhatMakesNoSenseIsRefusedAndSaysWhy(t *testing.T) {
	w := newWorld(t)
	for query, want := range map[string]string{
		"?from=2026-11-24":                         "422 from_in_future",
		"?from=2026-11-23&to=2026-11-22":           "422 to_before_from",
		"?from=2026-11-23&to=2026-11-23T00:00:00Z": "422 to_before_from",
		"?from=2020-01-01":                         "422 period_too_long",
		"?from=yesterday":                          "422 malformed_time",
		"?to=2026-13-01":                           "422 malformed_time",
		"?from=1815-12-10":                         "422 malformed_time",
		"?to=2026-11-23T25:00:00Z":                 "422 malformed_time",
		"?by=customer":                             "422 validation_failed",
		"?currency=EUR":                            "422 validation_failed",
		"?limit=0":                                 "422 validation_failed",
		"?cursor=abc":                              "400 bad_cursor",
	} {
		if a := w.api.Get(staff, "/v1/insights/sales"+query); fmt.Sprint(a.Status, " ", a.Code()) != want {
			t.Errorf("%s: %d %s, want %s", query, a.Status, a.Body, want)
		}
	}
	for _, path := range []string{"/v1/insights/sales", "/v1/insights/overview"} {
		if a := w.api.Get(customer, path); a.Status != 403 {
			t.Errorf("a customer sees %s: %d", path, a.Status)
		}
		if a := w.api.Get(httpapi.Caller{ID: "ordering", Role: httpapi.RoleService}, path); a.Status != 200 {
			t.Errorf("a service does not see %s: %d %s", path, a.Status, a.Body)
		}
		if a := w.api.Get(staff, path, "Consistency-Token", "nonsense"); a.Status != 400 {
			t.Errorf("%s with a malformed token: %d %s", path, a.Status, a.Body)
		}
		if a := w.api.Get(staff, path, "Consistency-Token", "order-o-1@1", "Prefer", "wait=0"); a.Code() != "not_yet_consistent" {
			t.Errorf("%s of what is not there yet: %d %s", path, a.Status, a.Body)
		}
		if a := w.api.Get(staff, path, "Consistency-Token", "stock-TEA@7", "Prefer", "wait=0"); a.Status != 200 {
			t.Errorf("%s waits for what it never shows: %d %s", path, a.Status, a.Body)
		}
	}
	if a := w.api.Get(staff, "/v1/insights/sales?cursor=abc", "Accept", "text/csv"); a.Code() != "cursor_with_csv" {
		t.Errorf("a CSV with a cursor: %d %s", a.Status, a.Body)
	}
}

func TestTheFormIsTheOneThatTheClientPrefers(t *testing.T) {
	w := newWorld(t)
	for accept, want := range map[string]string{
		"": jsonType, "*/*": jsonType, "text/*": csvType, "text/csv": csvType, "TEXT/CSV; charset=utf-8": csvType,
		"text/csv;q=0.5, application/json": jsonType, "text/csv, application/json;q=0.9": csvType, "text/csv, */*;q=0.1": csvType,
		"application/json;q=0, */*": csvType, "text/html, application/xhtml+xml": "406", "application/xml": "406", "text/csv;q=0": "406", "text/csv;q=NaN": "406",
		"text/html, */*;q=0.8": jsonType, ";;;": "406",
	} {
		a := w.api.Get(staff, "/v1/insights/sales", "Accept", accept)
		got, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
		if a.Status != 200 {
			got = fmt.Sprint(a.Status)
		}
		if got != want {
			t.Errorf("%q is answered with %s, want %s", accept, got, want)
		}
	}
	if a := w.api.Get(staff, "/v1/insights/overview", "Accept", "text/csv"); a.Status != 406 || a.Code() != "not_acceptable" {
		t.Errorf("an overview as CSV: %d %s", a.Status, a.Body)
	}
}
