package orderview

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
)

// after is a moment of the story, in seconds after noon.
func after(seconds float64) string {
	return servicetest.Noon.Add(time.Duration(seconds * float64(time.Second))).Format(time.RFC3339Nano)
}

func (w *world) asOf(as httpapi.Caller, n int, moment string) *servicetest.Answer {
	return w.api.Get(as, "/v1/orders/"+orderID(n)+"?as_of="+url.QueryEscape(moment))
}

// but is an answer without what only says of which moment it is.
func but(t testing.TB, a *servicetest.Answer, members ...string) string {
	t.Helper()
	var all map[string]any
	if a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	a.Into(&all)
	for _, m := range members {
		delete(all, m)
	}
	data, err := json.Marshal(all, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestAnOrderAsOfATimeIsWhatAViewOfThatTimeShowed compares the answer with that of a view that has
// folded what had happened by then, and nothing else.
func TestAnOrderAsOfATimeIsWhatAViewOfThatTimeShowed(t *testing.T) {
	w := newWorld(t)
	story := append([]kafka.Record{w.personal(1, 1, "12 St James Square")}, w.story(1)...)
	w.Fold(story...)
	views := make(map[int]*world)
	rapid.Check(t, func(rt *rapid.T) {
		seconds := rapid.Float64Range(0, 14).Draw(rt, "seconds after noon")
		if rapid.Bool().Draw(rt, "at an event") {
			seconds = float64(int(seconds))
		}
		then, version := w.earlier(views, seconds)
		for _, as := range []httpapi.Caller{staff, ada} {
			want := but(t, then.api.Get(as, "/v1/orders/"+orderID(1)), "next_actions")
			if got := but(t, w.asOf(as, 1, after(seconds)), "as_of", "next_actions"); got != want {
				rt.Errorf("as of %s, %s sees\n%s\nwant\n%s", after(seconds), as.ID, got, want)
			}
			var o Order
			w.asOf(as, 1, fmt.Sprint("@", version)).Into(&o)
			if o.Version != version || o.AsOf == nil || o.AsOf.Time.Sub(servicetest.Noon).Seconds() > seconds {
				rt.Errorf("as of version %d: version %d, as of %+v", version, o.Version, o.AsOf)
			}
		}
	})
}

// earlier is a view that has folded the story up to some seconds after noon, and the order's version
// by then. Views are kept by how much they have folded.
func (w *world) earlier(views map[int]*world, seconds float64) (then *world, version int64) {
	w.t.Helper()
	var by []kafka.Record
	for _, r := range append([]kafka.Record{w.personal(1, 1, "12 St James Square")}, w.story(1)...) {
		e, err := bus.EnvelopeOf(&r)
		if err != nil {
			w.t.Fatal(err)
		}
		if e.Time.Sub(servicetest.Noon).Seconds() > seconds {
			continue
		}
		by = append(by, r)
		if e.Subject == "order-"+orderID(1) {
			version = max(version, e.StreamVersion)
		}
	}
	if views[len(by)] == nil {
		views[len(by)] = newWorld(w.t)
		views[len(by)].Fold(by...)
	}
	return views[len(by)], version
}

func TestAnOrderAsOfAVersionHasWhatHadHappenedByThen(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) { asOfVersions(t, newWorldIn(t, open(t))) })
	}
}

func asOfVersions(t *testing.T, w *world) {
	w.Fold(w.personal(1, 1, "12 St James Square"))
	w.Fold(w.story(1)...)
	for version, moment := range map[int]float64{1: 0, 2: 7, 3: 12} {
		got, want := but(t, w.asOf(staff, 1, fmt.Sprint("@", version))), but(t, w.asOf(staff, 1, after(moment)))
		if got != want {
			t.Errorf("as of version %d:\n%s\nwant\n%s", version, got, want)
		}
	}
	now, last := w.api.Get(ada, "/v1/orders/"+orderID(1)), w.asOf(ada, 1, "@3")
	if but(t, now, "next_actions") != but(t, last, "as_of", "next_actions") {
		t.Errorf("as of its last version it is\n%s\nand now\n%s", last.Body, now.Body)
	}
	if first := w.asOf(ada, 1, "@1"); !strings.Contains(first.Body, `"next_actions":[]`) {
		t.Errorf("what is past can be acted on: %s", first.Body)
	}
	if a := w.asOf(ada, 1, "@2"); a.Header.Get("ETag") == last.Header.Get("ETag") {
		t.Errorf("two moments have the ETag %s", a.Header.Get("ETag"))
	}
}

func TestWhereAnOrderWentIsLeftOutOnceThatHasChangedOrWasErased(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.placed(1, ada.ID), w.personal(1, 1, "12 St James Square"))
	street := func(moment string) string {
		var o Order
		w.asOf(ada, 1, moment).Into(&o)
		if o.ShipTo == nil {
			return fmt.Sprint("without ", o.AsOf.LeftOut)
		}
		return fmt.Sprint(o.ShipTo.Street, " ", o.AsOf.LeftOut)
	}
	if got := street("@1"); got != "12 St James Square []" {
		t.Errorf("unchanged: %s", got)
	}
	etag := w.asOf(ada, 1, "@1").Header.Get("ETag")
	later := w.addressChanged(1, 2)
	w.Fold(w.personal(1, 2, "1 rue de Rivoli")) // ahead of its event: nobody knows what it is about
	if got := street("@1"); got != "without [ship_to]" {
		t.Errorf("with an address of later: %s", got)
	}
	w.Fold(later)
	if got := street("@1") + ", " + street("@2"); got != "without [ship_to], 1 rue de Rivoli []" {
		t.Errorf("changed: %s", got)
	}
	a := w.api.Get(ada, "/v1/orders/"+orderID(1)+"?as_of=@1", "If-None-Match", etag)
	if a.Status != 200 || strings.Contains(a.Body, "St James") {
		t.Errorf("who has the old answer gets %d %s", a.Status, a.Body)
	}
	w.Fold(w.event(1, 3, "orderlane.ordering.order_personal_erased.v1", struct{}{}), w.personal(1, 3, ""))
	if got := street("@2"); got != "without [ship_to]" {
		t.Errorf("erased: %s", got)
	}
}

func TestAMomentThatCannotBeAskedForIsRefused(t *testing.T) {
	w := newWorld(t)
	w.Fold(w.personal(1, 1, "12 St James Square"))
	w.Fold(w.story(1)...)
	for moment, code := range map[string]string{
		"2030-01-01T00:00:00Z": "as_of_in_future", "yesterday": "malformed_as_of", "@0": "malformed_as_of", "@-1": "malformed_as_of",
		"@": "malformed_as_of", "@+1": "malformed_as_of", "@1.5": "malformed_as_of", "3": "malformed_as_of",
		"@4": "no_such_version", "@9223372036854775807": "no_such_version", after(-1): "as_of_before_placed",
	} {
		if a := w.asOf(staff, 1, moment); a.Status < 400 || a.Status > 499 || a.Code() != code || !strings.Contains(a.Body, "query.as_of") {
			t.Errorf("as of %s: %d %s, want %s", moment, a.Status, a.Body, code)
		}
	}
	for what, a := range map[string]*servicetest.Answer{"to another customer": w.asOf(bob, 1, "@1"), "of no order": w.asOf(staff, 9, "@1")} {
		if a.Status != 404 {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
	}
}

// TestWhatIsForgottenIsFoldedAnew: a repair takes back what a stream's events have written, and
// folds them again.
func TestWhatIsForgottenIsFoldedAnew(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) { forgetAndRefold(t, newWorldIn(t, open(t))) })
	}
}

func forgetAndRefold(t *testing.T, w *world) {
	w.Fold(w.personal(1, 1, "12 St James Square"))
	story := w.story(1)
	w.Fold(story...)
	ask := func() string {
		return strings.Join(w.told(w.api.Get(staff, "/v1/orders/"+orderID(1)+"/timeline")), "\n") + "\n" + but(t, w.asOf(staff, 1, "@3"))
	}
	want := ask()
	var keys []kafka.Record
	for _, r := range story {
		if !slices.ContainsFunc(keys, func(k kafka.Record) bool { return string(k.Key) == string(r.Key) }) {
			keys = append(keys, r)
		}
	}
	// The slot of an event that its log has lost may have another stream's now.
	w.exec("UPDATE "+historyTable+" SET stream = 'order-another' WHERE stream = $1 AND version = 2", "order-"+orderID(1))
	for _, r := range keys {
		if err := w.Store.Update(t.Context(), func(tx projection.Tx) error { return newView(0).Forget(t.Context(), tx, r.Topic, string(r.Key)) }); err != nil {
			t.Fatal(err)
		}
		if string(r.Key) == "order-"+orderID(1) {
			continue
		}
		if a := w.api.Get(staff, "/v1/orders/"+orderID(1)+"/timeline"); strings.Contains(a.Body, string(r.Key)+`","version"`) {
			t.Errorf("%s is still told of: %s", r.Key, a.Body)
		}
	}
	if a := w.asOf(staff, 1, "@1"); a.Status != 404 {
		t.Errorf("after all was forgotten: %d", a.Status)
	}
	var left []string
	if err := w.Store.Query(t.Context(), "SELECT stream FROM "+historyTable, nil, func(row projection.Row) error {
		left = append(left, row.Text(0))
		return nil
	}); err != nil || fmt.Sprint(left) != "[order-another]" {
		t.Errorf("what is left of the history is that of %s, %v", left, err)
	}
	for _, r := range keys {
		if err := w.Projection.Repair(t.Context(), string(r.Key)); err != nil {
			t.Fatal(err)
		}
	}
	if got := ask(); got != want {
		t.Errorf("folded anew:\n%s\nwant\n%s", got, want)
	}
}
