//go:build unix

package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/e2e/fleet"
)

// The load of BenchmarkLiveStreams.
const (
	liveStreams   = 5000 // of single orders
	liveOverviews = 20   // of all orders
	liveOrders    = 500
	liveRate      = 100 // events a second
	liveFor       = 20 * time.Second
)

// BenchmarkLiveStreams opens 5,000 streams of orders and 20 of all orders at one process, has 100 events
// happen in a second, and measures how long it takes from the moment that an event is decided on until
// each client has it, and the memory of the process. Then the process is stopped while all are open, and all
// clients come back at once to the next one, with what they got last.
func BenchmarkLiveStreams(b *testing.B) {
	f := fleet.Start(b, fleet.Embedded, fleet.Options{})
	c, p := f.Client(""), f.Process(fleet.All)
	c.Offer(b, "LIVE-1", fleet.Product(1000))
	orders := make([]string, liveOrders)
	parallel(liveOrders, func(i int) {
		orders[i] = c.Succeed(b, http.MethodPost, "/v1/orders", fleet.Order("c-live", "LIVE-1", 1)).Resource.ID
	})
	before := p.Memory(b)
	l := &listeners{tb: b, delays: make([]time.Duration, 0, 1<<20)}
	opening := time.Now()
	opened := l.openAll(p, orders, opening)
	idle := p.Memory(b)
	cpu := processCPU(b, p)
	tick := time.NewTicker(time.Second / liveRate)
	defer tick.Stop()
	events := int(liveFor.Seconds() * liveRate)
	var sent sync.WaitGroup
	for i := range events {
		<-tick.C
		sent.Go(func() {
			address := map[string]any{"ship_to": fleet.Address(fmt.Sprint(i, " Live Street"))}
			c.Accept(b, http.StatusAccepted, http.MethodPost, "/v1/orders/"+orders[i%liveOrders]+"/address", address)
		})
	}
	sent.Wait()
	want := events * (liveOverviews + liveStreams/liveOrders)
	fleet.Wait(b, "every client has been told", func() string {
		if n := l.count(); n != want {
			return fmt.Sprintf("%d of %d", n, want)
		}
		return ""
	})
	busy := processCPU(b, p) - cpu
	loaded := p.Memory(b)
	stopping := time.Now()
	p.Signal(syscall.SIGTERM)
	p.Exited(fleet.Patience)
	stopped := time.Since(stopping)
	l.wg.Wait()
	p.Start()
	back := l.openAll(p, orders, time.Now())
	if n := l.resets.Load(); n > 0 {
		b.Errorf("%d clients had to read anew", n)
	}
	if n := l.count(); n != want {
		b.Errorf("clients were told %d events more than once", n-want)
	}
	p.Kill()
	l.wg.Wait()

	slices.Sort(l.delays)
	for name, at := range map[string]float64{"p50": .5, "p99": .99, "max": 1} {
		b.ReportMetric(float64(l.delays[int(at*float64(len(l.delays)-1))].Microseconds())/1000, name+"-ms")
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(before)/(1<<20), "MB-before")
	b.ReportMetric(float64(idle)/(1<<20), "MB-open")
	b.ReportMetric(float64(loaded)/(1<<20), "MB-loaded")
	b.ReportMetric(busy/liveFor.Seconds(), "cores")
	b.ReportMetric(opened.Seconds(), "s-opening")
	b.ReportMetric(stopped.Seconds(), "s-stopping")
	b.ReportMetric(back.Seconds(), "s-resuming")
	b.ReportMetric(float64(want)/liveFor.Seconds(), "told/s")
}

// parallel calls do for 0..n-1, some at a time.
func parallel(n int, do func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}

// processCPU is the CPU time of a process in seconds.
func processCPU(b *testing.B, p *fleet.Process) float64 {
	for line := range strings.Lines(p.Metrics(b)) {
		if value, ok := strings.CutPrefix(line, "process_cpu_seconds_total "); ok {
			var s float64
			if _, err := fmt.Sscan(value, &s); err != nil {
				b.Fatal(err)
			}
			return s
		}
	}
	b.Fatal("the process does not tell its CPU time")
	return 0
}

// listeners are clients that read their streams and note how late each event is.
type listeners struct {
	tb     testing.TB
	wg     sync.WaitGroup
	begun  atomic.Int64
	resets atomic.Int64
	ids    sync.Map // what each stream got last
	mu     sync.Mutex
	delays []time.Duration
}

// openAll opens all streams, and returns how long it takes until they have begun.
func (l *listeners) openAll(p *fleet.Process, orders []string, from time.Time) time.Duration {
	l.begun.Store(0)
	parallel(liveStreams+liveOverviews, func(i int) {
		path := "/v1/orders/stream"
		if i >= liveOverviews {
			path = "/v1/orders/" + orders[i%liveOrders] + "/stream"
		}
		l.open(i, p.Public, path)
	})
	fleet.Wait(l.tb, "all streams have begun", func() string {
		if n := l.begun.Load(); n < liveStreams+liveOverviews {
			return fmt.Sprint(n, " have")
		}
		return ""
	})
	return time.Since(from)
}

func (l *listeners) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.delays)
}

// open opens a stream, on a connection of its own that costs little on this side.
func (l *listeners) open(i int, address, path string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		l.tb.Error(err)
		return
	}
	resume := ""
	if id, ok := l.ids.Load(i); ok {
		resume = "Last-Event-ID: " + id.(string) + "\r\n"
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, address, resume); err != nil {
		l.tb.Error(err)
	}
	l.wg.Go(func() {
		defer conn.Close()
		lines := bufio.NewReader(conn)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			switch id, ok := strings.CutPrefix(line, "id: "); {
			case ok:
				l.ids.Store(i, strings.TrimSpace(id))
			case strings.HasPrefix(line, "retry: "):
				l.begun.Add(1)
			case line == "event: reset\n":
				l.resets.Add(1)
			}
			data, ok := strings.CutPrefix(line, "data: ")
			if !ok {
				continue
			}
			var e struct {
				Time time.Time `json:"time"`
			}
			if json.Unmarshal([]byte(data), &e) == nil && !e.Time.IsZero() {
				late := time.Since(e.Time)
				l.mu.Lock()
				l.delays = append(l.delays, late)
				l.mu.Unlock()
			}
		}
	})
}
