package mix_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/bench/mix"
	"github.com/orderlane/orderlane/bench/mix/mixtest"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/service/servicetest"
	"github.com/orderlane/orderlane/services/insights"
	"github.com/orderlane/orderlane/services/orderview"
	"github.com/orderlane/orderlane/services/storefront"
)

func data(t testing.TB, seed uint64, orders int) *mix.Data {
	lives, _ := mixtest.Learn(t)
	return lives.Data(mix.Options{Seed: seed, Orders: orders, Begins: mixtest.Began.AddDate(1, 0, 0)})
}

func messages(d *mix.Data) (all []kafka.Record) {
	for m := d.Messages(); ; {
		r, ok := m.Next()
		if !ok {
			return all
		}
		all = append(all, r)
	}
}

func number(t testing.TB, r *kafka.Record, header string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(r.Header(header), 10, 64)
	if err != nil {
		t.Fatalf("%s of %s: %v", header, r.Key, err)
	}
	return n
}

func TestEveryStreamHasVersionsFromOneOnAndEveryLogPositions(t *testing.T) {
	const orders = 300
	versions, positions, times := make(map[string]int64), make(map[string]int64), make(map[string]time.Time)
	for _, r := range messages(data(t, 1, orders)) {
		version, position := number(t, &r, bus.HeaderStreamVersion), number(t, &r, bus.HeaderPosition)
		service, _, _ := strings.Cut(r.Topic, ".")
		if id := fmt.Sprintf("%s/%d", r.Key, version); r.Header(bus.HeaderID) != id || r.Header(bus.HeaderSubject) != string(r.Key) {
			t.Fatalf("%s says it is %s of %s", id, r.Header(bus.HeaderID), r.Header(bus.HeaderSubject))
		}
		if r.Topic == bus.PersonalTopic("ordering") {
			if versions[string(r.Key)] != version || positions[service] != position {
				t.Fatalf("what is personal of %s/%d is not that of its event", r.Key, version)
			}
			continue
		}
		if versions[string(r.Key)]++; versions[string(r.Key)] != version {
			t.Fatalf("%s has version %d after %d", r.Key, version, versions[string(r.Key)]-1)
		}
		if positions[service]++; positions[service] != position {
			t.Fatalf("%s has position %d after %d", service, position, positions[service]-1)
		}
		var body struct {
			Version int64 `json:"version"`
		}
		if err := bus.Decode(r.Value, &body); err != nil || body.Version != version {
			t.Fatalf("%s/%d: %s, %v", r.Key, version, r.Value, err)
		}
		if late := times[service].Sub(r.Time); late > time.Second { // what happens at one go, for one order, stays together
			t.Fatalf("%s/%d happened %v before what %s published last", r.Key, version, late, service)
		}
		times[service] = r.Time
	}
}

var uuids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

func text(r *kafka.Record) string {
	s := string(r.Key) + " " + string(r.Value)
	for _, h := range r.Headers {
		s += " " + string(h.Value)
	}
	return s
}

func TestNothingOfAnOrderIsAnothers(t *testing.T) {
	lives, learnedFrom := mixtest.Learn(t)
	old := make(map[string]bool)
	for i := range learnedFrom {
		for _, id := range uuids.FindAllString(text(&learnedFrom[i]), -1) {
			old[id] = true
		}
	}
	d := lives.Data(mix.Options{Seed: 1, Orders: 300, Begins: mixtest.Began.AddDate(1, 0, 0)})
	ids, numbers := make(map[string]bool), make(map[string]bool)
	for i := range 300 {
		o := d.Order(i)
		if ids[o.ID] || numbers[o.Number] || old[o.ID] || o.ID[14] != '7' {
			t.Fatalf("order %d is %s, %s", i, o.ID, o.Number)
		}
		ids[o.ID], numbers[o.Number] = true, true
	}
	owner := make(map[string]string)
	for _, r := range messages(d) {
		order := ""
		of := uuids.FindAllString(text(&r), -1)
		for _, id := range of {
			if old[id] {
				t.Fatalf("%s names %s, of the order that it was learned from", r.Key, id)
			}
			if ids[id] {
				order = id
			}
		}
		for _, id := range of {
			if order != "" && owner[id] != "" && owner[id] != order {
				t.Fatalf("%s is named by %s and %s", id, owner[id], order)
			}
			owner[id] = order
		}
		for _, word := range []string{"c-ada", `"RZEM-VZR6"`, `"TEA-001"`, "2026-03-01T12:00:00.0", "\x00"} {
			if strings.Contains(text(&r), word) {
				t.Fatalf("%s still says %q: %s", r.Key, word, text(&r))
			}
		}
	}
	if len(owner) < 300*3 {
		t.Fatalf("%d ids in all", len(owner))
	}
}

func TestADataSetIsTheSameForTheSameSeed(t *testing.T) {
	a, b, other := messages(data(t, 1, 50)), messages(data(t, 1, 50)), messages(data(t, 2, 50))
	if len(a) != len(b) {
		t.Fatalf("%d messages, then %d", len(a), len(b))
	}
	for i := range a {
		if text(&a[i]) != text(&b[i]) {
			t.Fatalf("message %d: %s, then %s", i, text(&a[i]), text(&b[i]))
		}
	}
	if text(&other[len(other)-1]) == text(&a[len(a)-1]) {
		t.Error("another seed makes the same messages")
	}
}

func TestOrdersArePlacedOverNinetyDaysAndDeliveredDaysLater(t *testing.T) {
	placed := make(map[string]time.Time)
	var first, last time.Time
	for _, r := range messages(data(t, 1, 400)) {
		switch at := r.Time; r.Header(bus.HeaderType) {
		case ordering.TypeOrderPlaced:
			placed[string(r.Key)] = at
			if first.IsZero() {
				first = at
			}
			last = at
		case ordering.TypeOrderShipped:
			if took := at.Sub(placed[string(r.Key)]); took < 4*time.Hour || took > 31*time.Hour {
				t.Fatalf("%s was shipped %v after it was placed", r.Key, took)
			}
		}
	}
	if days := last.Sub(first).Hours() / 24; days < 89 || days > 91 {
		t.Errorf("the last order was placed %.1f days after the first", days)
	}
}

func TestMoneyMovesInTheTablesWhenTheEventsSaySo(t *testing.T) {
	d := data(t, 1, 100)
	captured := make(map[string]time.Time)
	for _, r := range messages(d) {
		if r.Header(bus.HeaderType) == payments.TypePaymentCaptured {
			var e payments.PaymentCaptured
			if err := bus.Decode(r.Value, &e); err != nil {
				t.Fatal(err)
			}
			captured[e.OrderID] = e.At
		}
	}
	if len(captured) == 0 {
		t.Fatal("nothing is captured")
	}
	for i := range 100 {
		o := d.Order(i)
		at, ok := captured[o.ID]
		if ok != (len(o.Movements) == 1) || ok && !o.Movements[0].At.Equal(at) {
			t.Errorf("order %s: captured %v, but moved %+v", o.ID, at, o.Movements)
		}
	}
}

func TestMessagesOfTwoDataSetsFollowEachOther(t *testing.T) {
	lives, _ := mixtest.Learn(t)
	first := lives.Data(mix.Options{Seed: 1, Orders: 20, Begins: mixtest.Began})
	m := first.Messages()
	versions, positions := make(map[string]int64), make(map[string]int64)
	take := func(m *mix.Messages) (n int) {
		for {
			r, ok := m.Next()
			if !ok {
				return n
			}
			n++
			if strings.Contains(r.Topic, "personal") {
				continue
			}
			service, _, _ := strings.Cut(r.Topic, ".")
			versions[string(r.Key)]++
			positions[service]++
			if number(t, &r, bus.HeaderStreamVersion) != versions[string(r.Key)] || number(t, &r, bus.HeaderPosition) != positions[service] {
				t.Fatalf("%s comes with version %s at %s", r.Key, r.Header(bus.HeaderStreamVersion), r.Header(bus.HeaderPosition))
			}
		}
	}
	take(m)
	if n := take(lives.Data(mix.Options{Seed: 2, Orders: 20, Begins: mixtest.Began}).After(m)); n < 20*5 {
		t.Errorf("%d messages follow", n)
	}
}

// TestTheViewsTakeUpADataSet holds that no view has trouble with it, and that an order stands as it should.
func TestTheViewsTakeUpADataSet(t *testing.T) {
	d := data(t, 1, 40)
	all := messages(d)
	for _, view := range []projection.View{orderview.NewView(), insights.NewView(), storefront.NewView()} {
		v := servicetest.NewView(t, view)
		topics := make(map[string]bool)
		for _, s := range view.Sources() {
			topics[s.Topic] = true
		}
		folded := 0
		for i := range all {
			if topics[all[i].Topic] {
				v.Fold(all[i])
				folded++
			}
		}
		if broken, err := v.Projection.AllBroken(t.Context(), "", 10); len(broken) > 0 || err != nil || folded == 0 {
			t.Fatalf("%s, after %d messages: %+v, %v", view.Name(), folded, broken, err)
		}
		if view.Name() != orderview.Service {
			continue
		}
		statuses := make(map[string]string)
		err := v.Store.Query(t.Context(), "SELECT key, status FROM "+projection.TableName(view.Name(), view.Version(), "orders"), nil, func(row projection.Row) error {
			statuses[row.Text(0)] = row.Text(1)
			return nil
		})
		if err != nil || len(statuses) != 40 {
			t.Fatalf("%d orders, %v", len(statuses), err)
		}
		for i := range 40 {
			if o := d.Order(i); statuses["order-"+o.ID] != string(o.Status) {
				t.Errorf("order %s is %q, and should be %q", o.ID, statuses["order-"+o.ID], o.Status)
			}
		}
	}
}
