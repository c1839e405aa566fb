package load_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderlane/orderlane/bench/load"
)

func TestAReaderReadsAnswersOfAnyLength(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &n)
		if r.Header.Get("Known") != "" {
			w.Header().Set("Content-Length", fmt.Sprint(n))
		}
		for rest := n; rest > 0; rest -= 3000 { // more than the server keeps back: without a length they go in chunks
			_, _ = w.Write([]byte(strings.Repeat("x", min(rest, 3000))))
		}
	}))
	defer server.Close()
	lengths := []int{0, 1, 100, 2047, 2048, 2049, 4096, 5000, 100_000}
	var asked atomic.Int64
	r := load.Reader{
		Addr: server.Listener.Addr().String(), Connections: 3, Lasting: 10 * time.Second,
		Ask: func(b []byte, connection, n int) []byte {
			b = append(fmt.Appendf(b, "/%d", lengths[n%len(lengths)]), load.HTTP11...)
			if connection == 0 {
				b = append(b, "Known: yes\r\n"...)
			}
			return b
		},
	}
	ended := make(chan struct{})
	r.Until = ended
	r.Check = func(_, n, status int, body []byte) error {
		if want := lengths[n%len(lengths)]; status != http.StatusOK || string(body) != strings.Repeat("x", want) {
			return fmt.Errorf("%d: %d bytes instead of %d", status, len(body), want)
		}
		if asked.Add(1) == 300 {
			close(ended)
		}
		return nil
	}
	a, err := r.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := a.Times.TotalCount(); n != asked.Load() || n < 300 || n > 303 || a.Took > 9*time.Second {
		t.Errorf("%d answers of %d in %v", n, asked.Load(), a.Took)
	}
}

func TestAReaderFailsAtAnAnswerThatIsNotRight(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	r := load.Reader{
		Addr: server.Listener.Addr().String(), Connections: 2, Lasting: 10 * time.Second,
		Ask: func(b []byte, _, _ int) []byte { return append(append(b, "/nothing"...), load.HTTP11...) },
	}
	if _, err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a load of 404s: %v", err)
	}
}

func TestAReaderKeepsToItsRate(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
	defer server.Close()
	r := load.Reader{
		Addr: server.Listener.Addr().String(), Connections: 4, Lasting: time.Second, Rate: 200,
		Ask: func(b []byte, _, _ int) []byte { return append(append(b, "/"...), load.HTTP11...) },
	}
	a, err := r.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := a.Times.TotalCount(); n != 200 {
		t.Errorf("%d answers in a second at 200/s", n)
	}
}
