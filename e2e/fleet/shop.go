//go:build unix

package fleet

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/pkg/money"
)

// Insist sends a command as a client does that must get through: whatever the platform goes
// through, it sends the command again with the same key, until its outcome is known. It
// returns the answer with the outcome: 200, or the refusal.
func (c *Client) Insist(t testing.TB, method, path string, body any) *Answer {
	t.Helper()
	key := uuid.NewString()
	deadline := time.Now().Add(Patience)
	for {
		a, err := c.Try(context.Background(), method, path, body, "Idempotency-Key", key, "Prefer", "wait=5")
		switch {
		case err == nil && a.Status != http.StatusAccepted && a.Status != http.StatusServiceUnavailable:
			return a
		case time.Now().After(deadline):
			t.Fatalf("%s %s has no outcome within %s: %v %v", method, path, Patience, a, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Succeed is Insist that fails the test unless the command succeeds.
func (c *Client) Succeed(t testing.TB, method, path string, body any) *Accepted {
	t.Helper()
	a := c.Insist(t, method, path, body)
	if a.Status != http.StatusOK {
		t.Fatalf("%s %s is answered %s", method, path, a)
	}
	var accepted Accepted
	a.Decode(t, &accepted)
	return &accepted
}

// Refused is Insist that fails the test unless the command is refused with a code.
func (c *Client) Refused(t testing.TB, code, method, path string, body any) {
	t.Helper()
	if a := c.Insist(t, method, path, body); a.Code() != code {
		t.Errorf("%s %s is answered %s, and was to be refused with %s", method, path, a, code)
	}
}

// Life is an order with all that belongs to it, as the view shows it.
type Life struct {
	OrderShown
	Reason        string `json:"reason"`
	PaymentStatus string `json:"payment_status"`
	WaitingFor    string `json:"waiting_for"`
	Attention     string `json:"attention"`
	Shipments     []struct {
		ID       string `json:"id"`
		Status   string `json:"status"`
		Location string `json:"location"`
	} `json:"shipments"`
	Returns []struct {
		ID     string `json:"id"`
		Status string `json:"status"`
	} `json:"returns"`
}

// Money is an order's payment as staff sees it.
type Money struct {
	Status  string `json:"status"`
	Amount  int64  `json:"amount"`
	Balance struct {
		Authorized int64 `json:"authorized"`
		Captured   int64 `json:"captured"`
		Refunded   int64 `json:"refunded"`
	} `json:"balance"`
	Ledger       map[string]int64 `json:"ledger"`
	ClientSecret string           `json:"client_secret"`
}

// Look reads a resource until the condition says that nothing is missing any more.
func Look[T any](t testing.TB, c *Client, path, what string, missing func(*T) string) *T {
	t.Helper()
	var found *T
	Wait(t, path+": "+what, func() string {
		a, err := c.Try(context.Background(), http.MethodGet, path, nil)
		if err != nil {
			return err.Error()
		}
		if a.Status != http.StatusOK {
			return a.String()
		}
		found = new(T)
		if err := json.Unmarshal(a.Body, found); err != nil {
			return err.Error()
		}
		return missing(found)
	})
	return found
}

// AwaitOrder waits until an order is in one of some statuses.
func (c *Client) AwaitOrder(t testing.TB, id string, statuses ...string) *Life {
	t.Helper()
	return Look(t, c, "/v1/orders/"+id, fmt.Sprint("is ", statuses), func(l *Life) string {
		for _, s := range statuses {
			if l.Status == s {
				return ""
			}
		}
		return fmt.Sprintf("it is %s (%s), pays %s, and waits for %q", l.Status, l.Reason, l.PaymentStatus, l.WaitingFor)
	})
}

// AwaitMoney waits until an order's payment is in a status.
func (c *Client) AwaitMoney(t testing.TB, order, status string) *Money {
	t.Helper()
	return Look(t, c, "/v1/payments/"+order, "is "+status, func(m *Money) string {
		if m.Status == status {
			return ""
		}
		return fmt.Sprintf("it is %s: %+v", m.Status, m.Balance)
	})
}

// Define is Offer of a product at a price in euro cents.
func (c *Client) Define(t testing.TB, sku string, cents int64) (token string) {
	t.Helper()
	return c.Offer(t, sku, Product(cents))
}

// Offer defines a product, whatever the platform goes through, waits until it can be ordered, and returns its consistency token.
func (c *Client) Offer(t testing.TB, sku string, details catalog.Details) (token string) {
	t.Helper()
	token = c.Succeed(t, http.MethodPut, "/v1/products/"+sku, details).ConsistencyToken
	c.fleet.defined.Store(sku, token)
	c.awaitPriced(t, sku)
	return token
}

// probes are how many orders ask in a real fleet whether a product is known. Chance says which of two instances is asked, so that one
// of them is left out once in 128 times.
const probes = 8

// awaitPriced waits until those who price orders know a product. They wait for it themselves, but for 2 s at the most, and refuse the
// order then. They are asked by orders at a total that none has: who knows the product refuses those as price_changed.
func (c *Client) awaitPriced(t testing.TB, sku string) {
	t.Helper()
	probe := struct {
		NewOrder
		ExpectedTotal money.Amount `json:"expected_total"`
	}{Order("c-1", sku, 1), money.Of(0, "EUR")}
	n := probes
	if c.fleet.Kind == Embedded {
		n = 1
	}
	Wait(t, "orders of "+sku+" are priced", func() string {
		for ; n > 0; n-- {
			if a := c.Insist(t, http.MethodPost, "/v1/orders", probe); a.Code() != "price_changed" {
				return a.String()
			}
		}
		return ""
	})
}

// Stocked offers a product and takes some of it in.
func (c *Client) Stocked(t testing.TB, sku string, cents, quantity int64) {
	t.Helper()
	c.Offer(t, sku, Product(cents))
	c.Receive(t, sku, "main", quantity)
}

// Receive takes goods in.
func (c *Client) Receive(t testing.TB, sku, location string, quantity int64) {
	t.Helper()
	c.Succeed(t, http.MethodPost, "/v1/stock/"+sku+"/receive", map[string]any{"location": location, "quantity": quantity})
}
