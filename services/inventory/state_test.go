package inventory

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// sale is a stock with so many lines in a state.
func sale(lines int, allocated bool) *Stock {
	s := fold(Received{"main", 1_000_000, after("main", 1_000_000, 0, 1_000_000)})
	for i := range lines {
		l := Line{orderID(i), 1}
		for _, c := range []Command{Reserve{l, 1, false, noon, hold}, Allocate{l, 1, noon, hold}} {
			events, _ := c.decide(s)
			for _, e := range events {
				e.evolve(s)
			}
			if !allocated {
				break
			}
		}
	}
	return s
}

func orderID(i int) string { return fmt.Sprintf("0f1e2d3c-4b5a-5968-8776-%012x", i) }

func TestAStateThatCannotBeReadIsAnError(t *testing.T) {
	const levels = `"levels":[{"location":"main","on_hand":9,"reserved":4}],`
	for text, want := range map[string]string{
		`{"safety":"x"}`:                             "decode a stock",
		`{"reserved":["o-1"]}`:                       "too short",
		`{"reserved":["o-1 x 17 0:4"]}`:              "invalid syntax",
		`{"reserved":["o-1 1 17 0:4"]}`:              "no location 0",
		`{` + levels + `"allocated":["o-1 1 -1:4"]}`: "no location -1",
		`{` + levels + `"allocated":["o-1 1 0"]}`:    "invalid syntax",
		`{"waiting":["o-1 1 5 6"]}`:                  "too long",
		`{"done":["o-1 1 5"]}`:                       "too long",
		`{"back":["o-1 1"]}`:                         "too short",
	} {
		s := NewStock()
		if err := json.Unmarshal([]byte(text), &s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestALongDecisionIsGoneOnWithByWakes(t *testing.T) {
	const lines = 2*maxEvents + 100
	s := fold(Received{"main", lines, after("main", lines, 0, lines)})
	for i := range lines {
		evolve(t, s, Reserve{Line{orderID(i), 1}, 1, false, noon, hold})
	}
	for i := range lines {
		evolve(t, s, Reserve{Line{orderID(i), 2}, 1, true, noon, hold})
	}
	due, wakes := s.deadline(), 0
	for now := expires; !due.IsZero() && !due.After(now.Add(time.Second)); wakes++ {
		at := now
		if at.Before(due) {
			at = due
		}
		if n := evolve(t, s, Wake{at, hold}); n == 0 || n > maxEvents {
			t.Fatalf("wake %d decided %d events", wakes, n)
		}
		next := s.deadline()
		if next.Equal(due) {
			t.Fatalf("the deadline stays %s", due)
		}
		due = next
	}
	if n := len(s.expiring.claims); n != lines || s.queue.waiting.Len() != 0 || !due.Equal(expires.Add(hold+time.Second)) {
		t.Errorf("%d reserved and %d waiting until %s after %d wakes", n, s.queue.waiting.Len(), due, wakes)
	}
}

func TestGoodsForManyWhoWaitAreReservedAtOnceAsFarAsTheBoundAllows(t *testing.T) {
	s := NewStock()
	for i := range maxEvents + 10 {
		evolve(t, s, Reserve{Line{orderID(i), 1}, 1, true, noon, hold})
	}
	if n := evolve(t, s, Receive{"main", maxEvents + 20, noon, hold}); n != maxEvents {
		t.Fatalf("%d events", n)
	}
	if at := s.deadline(); !at.Equal(epoch) {
		t.Fatalf("the rest is to be done at %s", at)
	}
	if n := evolve(t, s, Reserve{Line{orderID(maxEvents + 10), 1}, 1, true, noon, hold}); n != 1 || s.queue.waiting.Len() != 12 {
		t.Fatalf("%d events, %d waiting", n, s.queue.waiting.Len())
	}
	if n := evolve(t, s, Wake{noon, hold}); n != 12 || !s.deadline().Equal(expires) {
		t.Errorf("%d events, deadline %s", n, s.deadline())
	}
}

// evolve decides a command and returns how many events it came to.
func evolve(t *testing.T, s *Stock, c Command) int {
	t.Helper()
	events, err := c.decide(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		e.evolve(s)
	}
	return len(events)
}

// BenchmarkAReservationAmong10000 decides, stores and evolves a reservation of a flash sale,
// and then its release, so that there are always 10,000.
func BenchmarkAReservationAmong10000(b *testing.B) {
	s := sale(10_000, false)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for _, c := range []Command{
			Reserve{Line{orderID(10_000 + i), 1}, 1, false, noon, hold}, Release{Line{orderID(i), 1}, "declined", noon, hold},
		} {
			events, err := c.decide(s)
			if err != nil || len(events) != 1 {
				b.Fatal(events, err)
			}
			if _, err := Stocks.Codec.Encode(events[0]); err != nil {
				b.Fatal(err)
			}
			events[0].evolve(s)
		}
	}
}

// BenchmarkReserveAmong10000 decides, stores and evolves one reservation.
func BenchmarkReserveAmong10000(b *testing.B) {
	s := sale(10_000, false)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%10_000 == 9_999 {
			b.StopTimer()
			s = sale(10_000, false)
			b.StartTimer()
		}
		events, err := Reserve{Line{orderID(10_000 + i), 1}, 1, false, noon, hold}.decide(s)
		if err != nil || len(events) != 1 {
			b.Fatal(events, err)
		}
		if _, err := Stocks.Codec.Encode(events[0]); err != nil {
			b.Fatal(err)
		}
		events[0].evolve(s)
	}
}

// BenchmarkStoreTheStateOf10000 encodes a state of a flash sale, as the engine does every 50 events.
func BenchmarkStoreTheStateOf10000(b *testing.B) {
	for name, s := range map[string]*Stock{"reserved": sale(10_000, false), "allocated": sale(10_000, true)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				data, err := json.Marshal(s)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(data)))
			}
		})
	}
}

// BenchmarkLoadTheStateOf10000 decodes it.
func BenchmarkLoadTheStateOf10000(b *testing.B) {
	data, err := json.Marshal(sale(10_000, false))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		s := NewStock()
		if err := json.Unmarshal(data, &s); err != nil {
			b.Fatal(err)
		}
	}
}
