//go:build unix

package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// The products that a load orders: one that is defined, and one that never is.
const (
	LoadSKU    = "LOAD-001"
	MissingSKU = "NOT-THERE"
)

// pace is how soon a worker of a load starts on its next order at the earliest. It keeps the
// load below what a busy machine of two cores takes, with all processes on it.
const pace = 20 * time.Millisecond

// Sent is a command of a load that was accepted.
type Sent struct {
	Command string
	Order   string
	Status  string // that it must come to
	Version int64  // of the order after it, if it succeeds
	Street  string // that the order goes to after it
}

// Load places orders in the background, until it is stopped. What could not be accepted for
// a broken connection or a 503 is sent again with the same idempotency key, as clients
// should, until it is accepted: so whatever the platform goes through, every order of a load
// must be there in the end, once.
type Load struct {
	client *Client
	token  string // of LoadSKU, so that every order is decided by who knows the product
	run    string // makes idempotency keys unlike those of other loads
	stop   chan struct{}
	done   sync.WaitGroup

	mu      sync.Mutex
	sent    []Sent
	retried int
	err     error
}

// StartLoad defines LoadSKU and starts a load of some workers. It is stopped at the test's
// end, if not before.
func (c *Client) StartLoad(t testing.TB, workers int) *Load {
	t.Helper()
	token := c.Define(t, LoadSKU, 1299)
	l := &Load{client: c, token: token, run: uuid.NewString(), stop: make(chan struct{})}
	for w := range workers {
		l.done.Go(func() { l.work(w) })
	}
	t.Cleanup(func() { l.end() })
	return l
}

func (l *Load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.done.Wait()
}

// Token is the consistency token of LoadSKU.
func (l *Load) Token() string { return l.token }

// Stop ends the load when what it has begun is accepted, and returns all that it has sent.
func (l *Load) Stop(t testing.TB) []Sent {
	t.Helper()
	l.end()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		t.Fatal(l.err)
	}
	t.Logf("load: %d commands accepted, %d requests sent again", len(l.sent), l.retried)
	return l.sent
}

// Accepted is how many commands were accepted so far.
func (l *Load) Accepted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sent)
}

// Await waits until n more commands are accepted.
func (l *Load) Await(t testing.TB, n int) {
	t.Helper()
	target := l.Accepted() + n
	Wait(t, fmt.Sprintf("%d more commands are accepted", n), func() string {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch {
		case l.err != nil:
			t.Fatal(l.err)
		case len(l.sent) < target:
			return fmt.Sprintf("%d are missing", target-len(l.sent))
		}
		return ""
	})
}

func (l *Load) work(worker int) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-l.stop:
			return
		case <-ticker.C:
		}
		if err := l.order(fmt.Sprintf("%s-%d-%d", l.run, worker, i), i); err != nil {
			l.mu.Lock()
			l.err = errors.Join(l.err, err)
			l.mu.Unlock()
			return
		}
	}
}

// order places one order. Some are changed before anybody knows that they were placed, some
// are refused, some are placed once more by a client that has lost the answer.
func (l *Load) order(key string, i int) error {
	body := Order("c-"+key[:8], LoadSKU, int64(i%9+1))
	body.ShipTo.Street = key
	s := Sent{Status: "succeeded", Version: 1, Street: key}
	if i%8 == 7 {
		body.Lines[0].SKU, s.Status, s.Version = MissingSKU, "refused", 0
	}
	placed, err := l.send("/v1/orders", key, body, s)
	if err != nil {
		return err
	}
	if i%8 == 3 {
		again, err := l.retry("/v1/orders", key, body)
		if err != nil {
			return err
		}
		if again.CommandID != placed.CommandID || again.Resource.ID != placed.Resource.ID {
			return fmt.Errorf("the key %s stood for the command %s, and now for %s", key, placed.CommandID, again.CommandID)
		}
	}
	if i%4 == 1 {
		street := "moved " + key
		_, err := l.send("/v1/orders/"+placed.Resource.ID+"/address", key+"-address",
			map[string]any{"ship_to": Address(street)}, Sent{Status: "succeeded", Version: 2, Street: street})
		return err
	}
	return nil
}

// send sends a command until it is accepted, and remembers it.
func (l *Load) send(path, key string, body any, s Sent) (*Accepted, error) {
	accepted, err := l.retry(path, key, body)
	if err != nil {
		return nil, err
	}
	s.Command, s.Order = accepted.CommandID, accepted.Resource.ID
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, s)
	return accepted, nil
}

// retry sends a request again until it is answered with 202.
func (l *Load) retry(path, key string, body any) (*Accepted, error) {
	deadline := time.Now().Add(Patience)
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		a, err := l.client.Try(context.Background(), http.MethodPost, path, body, "Idempotency-Key", key, "Consistency-Token", l.token)
		if err == nil && a.Status == http.StatusAccepted {
			var accepted Accepted
			return &accepted, json.Unmarshal(a.Body, &accepted)
		}
		if err == nil && a.Status != http.StatusServiceUnavailable {
			return nil, fmt.Errorf("load: POST %s is answered %s", path, a)
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("load: POST %s is not accepted within %s: %v %w", path, Patience, a, err)
		}
		l.mu.Lock()
		l.retried++
		l.mu.Unlock()
		<-time.After(pause)
	}
}
