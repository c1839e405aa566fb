package insights

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
)

func (w *world) overview() Overview {
	w.t.Helper()
	var o Overview
	w.api.Get(staff, "/v1/insights/overview").Into(&o)
	return o
}

func TestTheOverviewTellsOfTodayAndOfTheMoment(t *testing.T) {
	w := newWorld(t)
	w.story()
	w.Fold(w.placed("o-5", "EUR", noon.Add(-30*time.Minute), ordered("CUP", 1, 500)))
	w.now = noon.Add(30 * time.Second)
	o := w.overview()
	got := fmt.Sprintf("%v %v %v %v %v", o.Happened, o.LastHour, o.LastMinute, o.Orders, o.Payments)
	// The time of o-1's delivery is a minute and a half ahead of the clock.
	want := "{4 1 1 1 1} {4 1 1 1 1} {3 1 1 1 1} [{cancelled 1} {confirmed 1} {delivered 1} {placed 1} {rejected 1}] [{partially_refunded 1}]"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if c := o.Summary.Conversion; c.Placed != 4 || c.Undecided != 1 || *c.Rate != 0.25 {
		t.Errorf("conversion %+v", c)
	}
	if d := o.Summary.DeliveryTime; d == nil || d.P50 != 86490 {
		t.Errorf("delivery time %+v", d)
	}
	if !o.At.Equal(w.now) || o.Today.From.Day() != 23 || o.Today.To.Day() != 24 || o.Today.TimeZone != "UTC" {
		t.Errorf("at %v, today %+v", o.At, o.Today)
	}
	w.now = noon.AddDate(0, 0, 1)
	o = w.overview()
	if o.Happened != (Activity{}) || o.LastHour != (Activity{}) || o.Summary.Conversion.Placed != 0 || o.Summary.Conversion.Rate != nil {
		t.Errorf("the next day: %+v", o)
	}
}

func TestAnUnchangedAnswerIsNotSentAgainUnlessItIsStale(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.placed("o-1", "EUR", noon, ordered("TEA", 1, 100)))
	for _, path := range []string{"/v1/insights/sales", "/v1/insights/overview"} {
		etag := w.api.Get(staff, path).Header.Get("ETag")
		w.now = w.now.Add(time.Second)
		if a := w.api.Get(staff, path, "If-None-Match", etag); a.Status != 304 || etag == "" {
			t.Errorf("%s that has not changed: %d", path, a.Status)
		}
		w.Fold(w.placed(path[len(path)-1:], "EUR", noon, ordered("TEA", 1, 100)))
		if a := w.api.Get(staff, path, "If-None-Match", etag); a.Status != 200 {
			t.Errorf("%s that has changed: %d", path, a.Status)
		}
	}
	broken := w.confirmed("o-1", noon)
	broken.Value = []byte("{")
	w.Fold(broken)
	for _, path := range []string{"/v1/insights/sales", "/v1/insights/overview"} {
		a := w.api.Get(staff, path)
		if a.Status != 200 || !strings.Contains(a.Body, `"stale":{`) {
			t.Errorf("%s says nothing of what it lacks: %s", path, a.Body)
		}
		if a := w.api.Get(staff, path, "If-None-Match", a.Header.Get("ETag")); a.Status != 200 {
			t.Errorf("a stale %s is said to be as it was: %d", path, a.Status)
		}
	}
	a := w.api.Get(staff, "/v1/insights/sales", "Accept", "text/csv")
	since, err := time.Parse(time.RFC3339Nano, a.Header.Get("Stale-Since"))
	if err != nil || !since.Equal(noon) || !strings.Contains(a.Header.Get("Content-Disposition"), `"sales-by-day.incomplete.csv"`) {
		t.Errorf("a CSV says nothing of what it lacks: %v, %v", a.Header, err)
	}
	if a := w.api.Get(staff, "/v1/insights/sales", "Accept", "text/csv", "If-None-Match", a.Header.Get("ETag")); a.Status != 200 {
		t.Errorf("a stale CSV is said to be as it was: %d", a.Status)
	}
}

func TestAQueryThatMustCountAnEventWaitsForIt(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.placed("o-1", "EUR", noon, ordered("TEA", 1, 100)), w.taken("o-1", "EUR", noon, 500), w.defined("TEA", "tea"))
	for token, want := range map[string]int{"order-o-1@1": 200, "payment-o-1@1, product-TEA@1": 200, "order-o-1@2": 503, "payment-o-1@2": 503, "product-TEA@2": 503} {
		if a := w.api.Get(staff, "/v1/insights/sales", "Consistency-Token", token, "Prefer", "wait=0"); a.Status != want {
			t.Errorf("%s: %d %s", token, a.Status, a.Body)
		}
	}
}

func TestEveryListIsPagedAndComesToTheWhole(t *testing.T) {
	w := newWorld(t)
	w.story()
	for _, by := range []string{"day", "product", "category", "status"} {
		path := "?from=2026-11-22&by=" + by
		whole := w.sales(path)
		var items []Sales
		for list, pages := w.sales(path+"&limit=1"), 1; ; pages++ {
			items = append(items, list.Items...)
			if (list.Summary != nil) != (pages == 1) || pages > 9 {
				t.Fatalf("by %s: page %d has the summary %v", by, pages, list.Summary)
			}
			if list.NextCursor == "" {
				break
			}
			foreign := w.api.Get(staff, "/v1/insights/sales?from=2026-11-21&by="+by+"&cursor="+list.NextCursor)
			if foreign.Code() != "bad_cursor" {
				t.Errorf("by %s: the cursor of another period is answered %d", by, foreign.Status)
			}
			list = w.sales(path + "&limit=1&cursor=" + list.NextCursor)
		}
		if got, want := texts(items), texts(whole.Items); len(want) < 3 || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("by %s, page by page:\n%s\nwant\n%s", by, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestAListThatIsReadOverMidnightKeepsItsPeriod(t *testing.T) {
	w := newWorld(t)
	w.story()
	for _, query := range []string{"?limit=1&by=product", "?limit=1&by=day&from=2026-11-22", "?limit=1&to=2026-11-23"} {
		w.now = time.Date(2026, 11, 23, 23, 59, 59, 0, time.UTC)
		first := w.sales(query)
		w.now = w.now.Add(2 * time.Second)
		next := w.sales(query + "&cursor=" + first.NextCursor)
		if next.Period != first.Period || len(next.Items) != 1 || strings.Join(texts(next.Items), "") == strings.Join(texts(first.Items), "") {
			t.Errorf("%s: after %v of %v come %v of %v", query, texts(first.Items), first.Period, texts(next.Items), next.Period)
		}
		next = w.sales(query + "&cursor=" + next.NextCursor) // whose page before was of the day before
		if next.Period != first.Period || next.NextCursor != "" {
			t.Errorf("%s: the last page is %v of %v", query, texts(next.Items), next.Period)
		}
	}
	for _, day := range []string{"-1", "99999999", "today"} {
		made := httpapi.EncodeCursor("product\x00\x00", day, "A", "EUR")
		if a := w.api.Get(staff, "/v1/insights/sales?by=product&cursor="+made); a.Code() != "bad_cursor" {
			t.Errorf("a cursor of day %s is answered %d %s", day, a.Status, a.Body)
		}
	}
}

func TestSalesMoveWithTheirProductToItsCategory(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.placed("o-1", "EUR", noon, ordered("TEA", 1, 100)))
	for _, category := range []string{"", "tea", "drinks"} {
		if category != "" {
			w.Fold(w.defined("TEA", category))
		}
		list := w.sales("?by=category")
		if len(list.Items) != 1 || *list.Items[0].Category != category || list.Items[0].Goods.Net != 100 {
			t.Errorf("in %q: %v", category, texts(list.Items))
		}
	}
	w.Fold(w.record("product-TEA", "orderlane.catalog.product_withdrawn.v1", struct{}{}), w.record("discount-TENOFF", ordering.TypeDiscountDefined, struct{}{}))
	if list := w.sales("?by=product"); list.Items[0].Name != "The TEA" || *list.Items[0].Category != "drinks" {
		t.Errorf("withdrawn: %v", texts(list.Items))
	}
}

func TestWhatNeverHappenedIsNotCounted(t *testing.T) {
	w := newWorld(t)
	fold := func(r kafka.Record) {
		r.Partition = 0
		w.Fold(r)
	}
	first := w.placed("o-1", "EUR", noon, ordered("TEA", 1, 100))
	fold(first)
	fold(w.confirmed("o-1", noon))
	fold(w.placed("o-2", "EUR", noon, ordered("TEA", 7, 100), ordered("CUP", 1, 100)))
	// The log is restored to where it was after the first event.
	w.epoch, w.position, w.versions = "e2", 1, map[string]int64{"order-o-1": 1}
	begins := bus.Envelope{ID: "e2", Type: bus.TypeEpochBegan, Time: noon, Position: 1, Epoch: "e2"}
	fold(begins.Record(first.Topic, []byte(bus.EpochKey), []byte("{}")))
	fold(w.rejected("o-1", "timed_out", noon))
	if list := w.sales("?by=product&limit=1"); len(list.Items) != 1 || list.Items[0].SKU != "TEA" || list.NextCursor != "" {
		t.Errorf("by product %v, and %q follows", texts(list.Items), list.NextCursor)
	}
	list := w.sales("?by=status")
	want := "[rejected EUR: 1 placed, 0 confirmed, 0 delivered, 400 + 100 = 500; units {1 1 0 0 0 0}, goods {100 100 0 0 0 0}]"
	if got := fmt.Sprint(texts(list.Items)); got != want {
		t.Errorf("by status %s, want %s", got, want)
	}
	if o := w.overview(); o.Happened != (Activity{Placed: 1, Rejected: 1}) || o.LastMinute != o.Happened || fmt.Sprint(o.Orders) != "[{rejected 1}]" {
		t.Errorf("the overview still tells of it: %+v", o)
	}
}
