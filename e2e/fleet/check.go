//go:build unix

package fleet

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// readers is how many requests Check has under way.
const readers = 8

// Check waits until everything that was accepted is settled, and then fails the test unless
//   - every accepted command has one final outcome, the one it must have, on the topic and in
//     the view;
//   - each log's positions have no gap, and each of its events is on the topic, and no other;
//   - on the topics, the versions of each stream are 1..n in the order of their first
//     occurrences, and repeats are the same message;
//   - every order is in the list once, and is the fold of what the topics say of it.
//
// sent is what loads have sent. Orders that were placed otherwise are checked but for their
// outcomes.
func (c *Client) Check(t testing.TB, sent []Sent) {
	t.Helper()
	c.checkStatuses(t, sent)
	c.checkOutcomes(t, sent)
	c.fleet.checkLog(t, catalog.Service)
	orders := c.fleet.checkLog(t, ordering.Service)
	c.checkOrders(t, orders, sent)
}

// each calls check for every item, some at a time, and returns the first error.
func each[T any](items []T, check func(T) error) error {
	next, failed := make(chan T), make(chan error, readers)
	var done sync.WaitGroup
	for range readers {
		done.Go(func() {
			var first error
			for item := range next {
				if first == nil {
					first = check(item)
				}
			}
			failed <- first
		})
	}
	for _, item := range items {
		next <- item
	}
	close(next)
	done.Wait()
	for range readers {
		if err := <-failed; err != nil {
			return err
		}
	}
	return nil
}

// checkStatuses waits until the view shows for every command what it must come to.
func (c *Client) checkStatuses(t testing.TB, sent []Sent) {
	t.Helper()
	err := each(sent, func(s Sent) error {
		var shown *CommandShown
		err := waitFor("command "+s.Command+" has its outcome", func() (missing string) {
			var err error
			if shown, err = c.Status(context.Background(), s.Command); err != nil {
				return err.Error()
			}
			if shown.Status == "accepted" || shown.Status == "parked" {
				return "it is " + shown.Status
			}
			return ""
		})
		if err == nil && (shown.Status != s.Status || shown.Version != s.Version) {
			err = fmt.Errorf("command %s is %s at version %d (%+v), not %s at %d", s.Command, shown.Status, shown.Version, shown.Problem, s.Status, s.Version)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkOutcomes reads the outcomes topic: each command has one outcome, however often that is said.
func (c *Client) checkOutcomes(t testing.TB, sent []Sent) {
	t.Helper()
	final := make(map[string]string) // by command
	repeats := 0
	for _, r := range c.fleet.Records(t, bus.OutcomesTopic) {
		status := r.Header(bus.HeaderStatus)
		if r.Header(bus.HeaderType) != bus.TypeOutcome || status == string(es.StatusParked) {
			continue
		}
		id := string(r.Key)
		said, known := final[id]
		switch {
		case !known:
			final[id] = string(r.Value)
		case said == string(r.Value):
			repeats++
		default:
			t.Fatalf("command %s has two outcomes: %s and %s", id, said, r.Value)
		}
	}
	for _, s := range sent {
		if final[s.Command] == "" {
			t.Fatalf("command %s has no outcome on the topic", s.Command)
		}
	}
	t.Logf("outcomes: %d, said again %d times", len(final), repeats)
}

// checkLog compares a service's log with its topic, and returns the topic's streams.
func (f *Fleet) checkLog(t testing.TB, service string) map[string]*stream {
	t.Helper()
	log, err := f.OpenLog(t.Context(), service)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var streams map[string]*stream
	var stored []es.Record
	Wait(t, "the topic of "+service+" holds what its log holds", func() string {
		if stored, err = readLog(t.Context(), log); err != nil {
			return err.Error()
		}
		records, err := f.ReadTopic(t.Context(), bus.EventsTopic(service))
		if err != nil {
			return err.Error()
		}
		if streams, err = streamsOf(records); err != nil {
			t.Fatal(err)
		}
		if held := countFirst(streams); held < len(stored) {
			return fmt.Sprintf("%d events of %d", held, len(stored))
		}
		return ""
	})
	if held := countFirst(streams); held != len(stored) {
		t.Fatalf("the topic of %s has %d events, its log %d", service, held, len(stored))
	}
	for i := range stored {
		e := &stored[i]
		s := streams[e.Stream]
		switch {
		case e.Position != int64(i)+1:
			t.Fatalf("the log of %s has a gap: event %d is at position %d", service, i+1, e.Position)
		case s == nil || int64(len(s.first)) < e.Version:
			t.Fatalf("%s is in the log of %s and not on its topic", e.ID(), service)
		case s.first[e.Version-1].Header(bus.HeaderPosition) != strconv.FormatInt(e.Position, 10):
			t.Fatalf("%s is at position %d of the log, and on the topic at %s", e.ID(), e.Position, s.first[e.Version-1].Header(bus.HeaderPosition))
		}
	}
	repeats := 0
	for _, s := range streams {
		repeats += s.repeats
	}
	t.Logf("%s: %d streams, %d events, published again %d times", service, len(streams), len(stored), repeats)
	return streams
}

func readLog(ctx context.Context, log es.Log) ([]es.Record, error) {
	var all []es.Record
	for {
		some, err := log.Read(ctx, int64(len(all)), es.MaxRead)
		if err != nil {
			return nil, err
		}
		if len(some) == 0 {
			return all, nil
		}
		all = append(all, some...)
	}
}

func countFirst(streams map[string]*stream) (n int) {
	for _, s := range streams {
		n += len(s.first)
	}
	return n
}

// checkOrders compares the view with the fold of the topics.
func (c *Client) checkOrders(t testing.TB, streams map[string]*stream, sent []Sent) {
	t.Helper()
	personal := c.latestPersonal(t)
	expected := make(map[string]OrderShown)
	for key, s := range streams {
		o, err := fold(s.first)
		if err != nil {
			t.Fatal(err)
		}
		var p ordering.Personal
		if err := json.Unmarshal(personal[key], &p); err != nil {
			t.Fatalf("read what is personal of %s: %v", key, err)
		}
		o.ShipTo = &p.ShipTo
		expected[o.ID] = o
	}
	c.checkEffects(t, expected, sent)
	Wait(t, "the list shows every order", func() string {
		listed, err := c.Orders(t.Context())
		if err != nil {
			return err.Error()
		}
		return compareList(t, expected, listed)
	})
	err := each(slices.Collect(maps.Values(expected)), func(want OrderShown) error {
		return waitFor("order "+want.ID+" is shown as it is", func() string {
			a, err := c.Try(context.Background(), "GET", "/v1/orders/"+want.ID, nil)
			if err != nil {
				return err.Error()
			}
			var got OrderShown
			if a.Status != 200 || json.Unmarshal(a.Body, &got) != nil {
				return a.String()
			}
			return difference(want, got)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkEffects checks that what was accepted had its effect, and nothing else had one.
func (c *Client) checkEffects(t testing.TB, orders map[string]OrderShown, sent []Sent) {
	t.Helper()
	last := make(map[string]Sent)
	for _, s := range sent {
		if s.Status == "succeeded" && s.Version > last[s.Order].Version {
			last[s.Order] = s
		}
	}
	for id, s := range last {
		switch o, ok := orders[id]; {
		case !ok:
			t.Errorf("order %s was accepted and has no event", id)
		case o.Version != s.Version || o.ShipTo.Street != s.Street:
			t.Errorf("order %s is at version %d and goes to %q, not at %d to %q", id, o.Version, o.ShipTo.Street, s.Version, s.Street)
		}
	}
	for _, s := range sent {
		if _, ok := orders[s.Order]; ok && s.Status == "refused" && s.Version == 0 {
			t.Errorf("order %s was refused and is there", s.Order)
		}
	}
}

// latestPersonal is the last that the topic says of what is personal, by stream.
func (c *Client) latestPersonal(t testing.TB) map[string][]byte {
	t.Helper()
	latest := make(map[string][]byte)
	versions := make(map[string]int64)
	for _, r := range c.fleet.Records(t, bus.PersonalTopic(ordering.Service)) {
		version, err := strconv.ParseInt(r.Header(bus.HeaderStreamVersion), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if key := string(r.Key); version >= versions[key] {
			latest[key], versions[key] = r.Value, version
		}
	}
	return latest
}

// fold is what an order's events come to; it is written anew here, since the view is what is tested.
func fold(events []kafka.Record) (OrderShown, error) {
	var o OrderShown
	for i := range events {
		r := &events[i]
		switch t := r.Header(bus.HeaderType); t {
		case ordering.TypeOrderPlaced:
			if i > 0 {
				return o, fmt.Errorf("order %s is placed twice", r.Key)
			}
			var e ordering.OrderPlaced
			if err := json.Unmarshal(r.Value, &e); err != nil {
				return o, err
			}
			o = OrderShown{
				ID: e.OrderID, Number: e.Number, CustomerID: e.CustomerID, Status: string(e.Status), Lines: e.Lines, Totals: e.Totals,
			}
		case ordering.TypeOrderAddressChanged:
		default:
			return o, fmt.Errorf("order %s has an event of the unknown type %s", r.Key, t)
		}
		o.Version++
	}
	return o, nil
}

// compareList says what the list lacks. What it has too much of it will not lose again, and
// fails the test.
func compareList(t testing.TB, expected map[string]OrderShown, listed []OrderShown) string {
	t.Helper()
	numbers := make(map[string]bool)
	seen := make(map[string]bool)
	for _, o := range listed {
		want, ok := expected[o.ID]
		switch {
		case !ok:
			t.Fatalf("the list has the order %s, of which the topic has no event", o.ID)
		case seen[o.ID]:
			t.Fatalf("the list has the order %s twice", o.ID)
		case numbers[o.Number]:
			t.Fatalf("the list has the order number %s twice", o.Number)
		}
		seen[o.ID], numbers[o.Number] = true, true
		want.ShipTo = nil // not in lists
		if d := difference(want, o); d != "" {
			return d
		}
	}
	if len(seen) != len(expected) {
		return fmt.Sprintf("%d orders of %d", len(seen), len(expected))
	}
	return ""
}

// difference says how an order that is shown differs from what it must be.
func difference(want, got OrderShown) string {
	w, err1 := json.Marshal(want, json.Deterministic(true))
	g, err2 := json.Marshal(got, json.Deterministic(true))
	if err1 != nil || err2 != nil || string(w) != string(g) {
		return fmt.Sprintf("%s is shown, not %s", g, w)
	}
	return ""
}
