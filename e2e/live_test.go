//go:build unix

package e2e

import (
	"bufio"
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/e2e/fleet"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// liveTopics are what a live stream of an order tells of.
var liveTopics = []string{"ordering.events.v1", "payments.events.v1", "shipping.events.v1", "fulfilment.events.v1"}

// TestAnOrderIsFollowedLiveAcrossInstances follows an order from the moment that it is placed. The
// process that tells of it is killed in between, and the stream resumed: from the same one, started again,
// or from another instance.
func TestAnOrderIsFollowedLiveAcrossInstances(t *testing.T) {
	onBoth(t, fleet.Options{Whole: true, Static: true, Without: []string{fleet.OrderingB}}, func(t *testing.T, f *fleet.Fleet) {
		c := f.Client("")
		c.Stocked(t, "LIVE-1", 1000, 100)
		first := f.Process(fleet.OrderView)
		next := first
		if f.Kind == fleet.Real {
			next = fleet.NewProcess(t, "orderview-b", first.Env[2:], first.Args...) // without the first one's addresses
			next.Env = append(next.Env, "ORDERLANE_INSTANCE=orderview-b")
			next.Start()
		}
		all := &follower{t: t, process: first, path: "/v1/orders/stream"}
		all.connect()
		all.await("ready")

		placed := c.Succeed(t, http.MethodPost, "/v1/orders", fleet.Order("c-live", "LIVE-1", 2))
		one := &follower{t: t, process: first, path: "/v1/orders/" + placed.Resource.ID + "/stream", token: placed.ConsistencyToken}
		one.connect()
		if one.await("ready").Status == "" {
			t.Error("the stream does not say where the order stands")
		}
		all.await(ordering.TypeOrderPlaced)
		first.Kill()
		if next == first {
			next.Start()
		}
		for _, s := range []*follower{all, one} {
			s.process = next
			s.connect()
		}
		all.await(ordering.TypeOrderConfirmed)
		_, shipment, _ := strings.Cut(all.await(shipping.TypeShipmentCreated).Stream, "-")
		c.Succeed(t, http.MethodPost, "/v1/shipments/"+shipment+"/dispatch", map[string]string{"carrier": "DHL"})
		for _, s := range []*follower{all, one} {
			s.await(ordering.TypeOrderShipped)
			s.await(payments.TypePaymentCaptured)
		}
		all.missesNothing(f, placed.Resource.ID)
		// What the view showed when the stream began is not told; what comes after it is.
		one.missesNothing(f, placed.Resource.ID)
		one.readsWhatItWasTold()

		late := &follower{t: t, process: next, path: one.path}
		late.connect()
		late.await("ready")
		c.Succeed(t, http.MethodPost, "/v1/shipments/"+shipment+"/deliver", nil)
		late.await(shipping.TypeShipmentDelivered)
		if late.seen[0].Type == ordering.TypeOrderPlaced {
			t.Error("who comes late is told what the order shows already")
		}
	})
}

// liveEvent is an event of a live stream.
type liveEvent struct {
	name   string
	Type   string `json:"type"`
	Stream string `json:"stream"`
	Status string `json:"status"`
	Token  string `json:"consistency_token"`

	Version int64 `json:"version"`
}

// follower is a client of a live stream, who resumes it.
type follower struct {
	t       *testing.T
	process *fleet.Process
	path    string
	token   string // of the order, which the view may not know yet

	id     string
	events chan liveEvent
	seen   []liveEvent
}

// connect opens the stream, behind the last event that was seen. Its end is told by none.
func (s *follower) connect() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), fleet.Patience)
	s.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.process.Public+s.path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.id != "" {
		r.Header.Set("Last-Event-ID", s.id)
	}
	if s.token != "" {
		r.Header.Set("Consistency-Token", s.token)
		r.Header.Set("Prefer", wait)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s is answered %d", s.path, resp.StatusCode)
	}
	events := make(chan liveEvent, 1000)
	s.events = events
	go func() {
		defer close(events)
		var e liveEvent
		lines := bufio.NewScanner(resp.Body)
		var id string
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				id = value
			case "event":
				e.name = value
			case "data":
				if json.Unmarshal([]byte(value), &e) != nil {
					return
				}
			case "":
				if e.name != "" {
					e.Token = id + " " + e.Token
					events <- e
				}
				e = liveEvent{}
			}
		}
	}()
}

// await reads the stream up to an event of that type or name, and returns it.
func (s *follower) await(what string) liveEvent {
	s.t.Helper()
	for _, e := range s.seen {
		if e.Type == what {
			return e
		}
	}
	deadline := time.After(fleet.Patience)
	for {
		select {
		case e, ok := <-s.events:
			if !ok {
				s.t.Fatalf("%s ended before %s", s.path, what)
			}
			s.id, e.Token, _ = strings.Cut(e.Token, " ")
			if e.name == "reset" {
				s.t.Fatalf("%s begins anew", s.path)
			}
			if e.Type != "" {
				s.seen = append(s.seen, e)
			}
			if e.Type == what || e.name == what {
				return e
			}
		case <-deadline:
			s.t.Fatalf("%s does not tell of %s, but of %v", s.path, what, s.seen)
		}
	}
}

// missesNothing compares what was told with the topics: of each stream of the order, versions without
// gaps and in their order, from the first that was told up to the last.
func (s *follower) missesNothing(f *fleet.Fleet, order string) {
	s.t.Helper()
	last := make(map[string]int64)
	for _, e := range s.seen {
		if was, ok := last[e.Stream]; ok && e.Version != was+1 {
			s.t.Errorf("%s tells of version %d of %s after %d", s.path, e.Version, e.Stream, was)
		}
		last[e.Stream] = e.Version
	}
	var records []kafka.Record
	for _, topic := range liveTopics {
		records = slices.Concat(records, f.Records(s.t, topic))
	}
	for _, stream := range []string{"order-" + order, "payment-" + order, "fulfilment-" + order} {
		n := int64(0)
		for _, r := range records {
			if string(r.Key) == stream {
				n++
			}
		}
		if n == 0 || last[stream] == 0 || last[stream] > n {
			s.t.Errorf("%s tells of %s up to %d; the topic has %d", s.path, stream, last[stream], n)
		}
	}
}

// readsWhatItWasTold reads the order with the token of the last event.
func (s *follower) readsWhatItWasTold() {
	s.t.Helper()
	e := s.seen[len(s.seen)-1]
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.process.Public+strings.TrimSuffix(s.path, "/stream"), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Consistency-Token", e.Token)
	r.Header.Set("Prefer", "wait=10")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		s.t.Errorf("with %s: %d", e.Token, resp.StatusCode)
	}
}
