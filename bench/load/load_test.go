package load_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/orderlane/orderlane/bench/load"
)

// server answers as the API does, with the ids of orders that it counts up.
func server(t *testing.T, status func(n int64) int, before func(n int64)) (addr string, placed *atomic.Int64) {
	t.Helper()
	placed = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := placed.Add(1)
		before(n)
		data, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/orders" || !strings.Contains(string(data), `"quantity": 2`) {
			t.Errorf("%s %s: %s (%v)", r.Method, r.URL, data, err)
		}
		w.WriteHeader(status(n))
		fmt.Fprintf(w, `{"command_id":%q,"resource":{"type":"order","id":%q}}`, uuid.NewString(), id(n))
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), placed
}

func id(n int64) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func accepted(int64) int { return http.StatusAccepted }

func TestEveryAcceptedOrderIsNamedOnce(t *testing.T) {
	addr, placed := server(t, accepted, func(int64) {})
	r, err := load.Count(t.Context(), load.Target{Addr: addr}, 4, 100, &load.Backlog{})
	if err != nil || r.Accepted() != 100 || placed.Load() != 100 {
		t.Fatalf("%v: %d of %d orders", err, r.Accepted(), placed.Load())
	}
	seen := make(map[load.ID]bool)
	for _, o := range r.Orders {
		seen[o.ID] = true
	}
	for n := range int64(100) {
		want, err := load.ParseID("order-" + id(n+1))
		if err != nil || !seen[want] {
			t.Fatalf("order %d is missing (%v)", n+1, err)
		}
	}
}

func TestAnOrderThatIsNotAcceptedEndsTheLoad(t *testing.T) {
	addr, _ := server(t, func(n int64) int {
		if n == 10 {
			return http.StatusServiceUnavailable
		}
		return http.StatusAccepted
	}, func(int64) {})
	_, err := load.Count(t.Context(), load.Target{Addr: addr}, 2, 100, &load.Backlog{})
	if err == nil || !strings.Contains(err.Error(), "503") {
		t.Fatalf("got %v", err)
	}
}

// A server that stalls must not make the load look as if the orders behind the stall had been
// due later.
func TestAnOpenLoadCountsFromWhenAnOrderWasDue(t *testing.T) {
	const stall = 200 * time.Millisecond
	addr, _ := server(t, accepted, func(n int64) {
		if n == 5 {
			<-time.After(stall)
		}
	})
	r, err := load.Open(t.Context(), load.Target{Addr: addr}, 1, 100, 300*time.Millisecond)
	if err != nil || r.Accepted() != 30 {
		t.Fatalf("%v: %d orders", err, r.Accepted())
	}
	for i, o := range r.Orders {
		if want := time.Duration(i) * 10 * time.Millisecond; o.Planned != want {
			t.Fatalf("order %d was due after %v, not %v", i, o.Planned, want)
		}
	}
}

func TestABacklogHoldsTheLoadBack(t *testing.T) {
	addr, placed := server(t, accepted, func(int64) {})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	backlog := &load.Backlog{Limit: 20}
	done := make(chan error, 1)
	go func() {
		_, err := load.Count(ctx, load.Target{Addr: addr}, 1, 50, backlog)
		done <- err
	}()
	for visible := int64(0); visible < 50; visible += 10 {
		for placed.Load() < min(50, visible+20) {
			if ctx.Err() != nil {
				t.Fatalf("%d orders are placed with %d visible", placed.Load(), visible)
			}
			<-time.After(time.Millisecond)
		}
		if n := placed.Load(); n > visible+20 {
			t.Fatalf("%d orders are placed with %d visible", n, visible)
		}
		backlog.Visible(visible + 10)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestCommandsAreSentUntilTheChannelIsClosed(t *testing.T) {
	var mu sync.Mutex
	got := make(map[string]int)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		if err != nil || string(data) != "{}" {
			t.Errorf("%s: %s (%v)", r.URL, data, err)
		}
		mu.Lock()
		got[r.URL.Path]++
		mu.Unlock()
		if r.URL.Path == "/refused" {
			w.WriteHeader(http.StatusConflict)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer s.Close()
	addr := strings.TrimPrefix(s.URL, "http://")
	requests := make(chan load.Request, 101)
	for i := range 100 {
		requests <- load.Request{Path: fmt.Sprintf("/v1/shipments/%d/deliver", i), Body: "{}"}
	}
	close(requests)
	if err := load.Post(t.Context(), addr, 4, requests); err != nil || len(got) != 100 {
		t.Fatalf("%v: %d commands were sent", err, len(got))
	}
	refused := make(chan load.Request, 1) // never closed
	refused <- load.Request{Path: "/refused", Body: "{}"}
	if err := load.Post(t.Context(), addr, 4, refused); err == nil || !strings.Contains(err.Error(), "409") {
		t.Fatalf("a refusal is %v", err)
	}
}

func TestAnOrderHasLinesOfSeveralProducts(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var order struct {
			Lines []struct {
				SKU string `json:"sku"`
			} `json:"lines"`
			Payment struct {
				Method string `json:"method"`
			} `json:"payment"`
		}
		if err := json.UnmarshalRead(r.Body, &order); err != nil || len(order.Lines) != 2 || order.Lines[0].SKU == order.Lines[1].SKU ||
			order.Payment.Method != "sandbox_slow" {
			t.Errorf("%+v (%v)", order, err)
		}
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"resource":{"type":"order","id":%q}}`, id(1))
	}))
	defer s.Close()
	target := load.Target{Addr: strings.TrimPrefix(s.URL, "http://"), Lines: 2, Method: "sandbox_slow"}
	if _, err := load.Count(t.Context(), target, 2, 20, &load.Backlog{}); err != nil {
		t.Fatal(err)
	}
}
