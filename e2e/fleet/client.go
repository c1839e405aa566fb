//go:build unix

package fleet

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/pkg/money"
)

// Client talks to a fleet as any client does. It is safe for concurrent use.
type Client struct {
	fleet *Fleet
	http  *http.Client
	token string // bearer
}

// Client returns a client; token is its bearer token, "" for none.
func (f *Fleet) Client(token string) *Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	f.t.Cleanup(transport.CloseIdleConnections)
	return &Client{fleet: f, http: &http.Client{Transport: transport, Timeout: 60 * time.Second}, token: token}
}

// Answer is what a request was answered with.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// String is the status and the body.
func (a *Answer) String() string { return fmt.Sprintf("%d %s", a.Status, a.Body) }

// Decode reads the body into v, and fails the test if it can't be read.
func (a *Answer) Decode(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(a.Body, v); err != nil {
		t.Fatalf("read the answer %s: %v", a, err)
	}
}

// Code is the code of a problem; "" if the answer is none.
func (a *Answer) Code() string {
	var p struct {
		Code string `json:"code"`
	}
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "application/problem+json") || json.Unmarshal(a.Body, &p) != nil {
		return ""
	}
	return p.Code
}

// Address is that of the process that serves a request, as a router in front of a real fleet
// would choose it: host:port.
func (c *Client) Address(method, path string) string {
	name := CommandAPI
	switch read := method == http.MethodGet; {
	case strings.HasPrefix(path, "/v1/payments/webhooks/"):
		name = Payments
	case read && (strings.HasPrefix(path, "/v1/products") || strings.HasPrefix(path, "/v1/stock")):
		name = Storefront
	case read && strings.HasSuffix(path, "/mails"):
		name = Notifications
	case read && strings.HasPrefix(path, "/v1/insights/"):
		name = Insights
	case read:
		name = OrderView
	}
	return c.fleet.Process(name).Public
}

// Try sends a request and returns its answer, or why there was none. header is name, value,
// name, value; body is JSON text, or a value to be encoded, or nil.
func (c *Client) Try(ctx context.Context, method, path string, body any, header ...string) (*Answer, error) {
	var data []byte
	switch b := body.(type) {
	case nil:
	case string:
		data = []byte(b)
	default:
		var err error
		if data, err = json.Marshal(b); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.Address(method, path)+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if method == http.MethodPost && path == "/v1/orders" {
		// Whichever instance takes the order: it knows the products of this test.
		c.fleet.defined.Range(func(sku, token any) bool {
			if bytes.Contains(data, []byte(`"`+sku.(string)+`"`)) {
				r.Header.Add("Consistency-Token", token.(string))
			}
			return true
		})
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err = io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: data}, nil
}

// Do is Try that fails the test when there is no answer. A command is sent again, with the same key, while the broker is taken for
// away, which a second without an answer from it is enough for: a busy machine has those.
func (c *Client) Do(t testing.TB, method, path string, body any, header ...string) *Answer {
	t.Helper()
	if method != http.MethodGet && !slices.Contains(header, "Idempotency-Key") {
		header = append(slices.Clone(header), "Idempotency-Key", uuid.NewString())
	}
	var answer *Answer
	Wait(t, method+" "+path+" is answered", func() string {
		a, err := c.Try(t.Context(), method, path, body, header...)
		switch {
		case err != nil:
			t.Fatalf("%s %s: %v", method, path, err)
		case a.Code() == "broker_unavailable":
			return a.String()
		}
		answer = a
		return ""
	})
	return answer
}

// Get is Do of a GET.
func (c *Client) Get(t testing.TB, path string, header ...string) *Answer {
	t.Helper()
	return c.Do(t, http.MethodGet, path, nil, header...)
}

// Accepted is the answer to a command.
type Accepted struct {
	CommandID string `json:"command_id"`
	Status    string `json:"status"`
	Resource  struct {
		Type string `json:"type"`
		ID   string `json:"id"`
	} `json:"resource"`
	Version          int64             `json:"version"`
	ConsistencyToken string            `json:"consistency_token"`
	Links            map[string]string `json:"links"`
}

// Accept sends a command and fails the test unless it is answered with the status.
func (c *Client) Accept(t testing.TB, status int, method, path string, body any, header ...string) *Accepted {
	t.Helper()
	a := c.Do(t, method, path, body, header...)
	if a.Status != status {
		t.Fatalf("%s %s is answered %s, not with %d", method, path, a, status)
	}
	var accepted Accepted
	a.Decode(t, &accepted)
	return &accepted
}

// Product is the body of a product at a price in euro cents.
func Product(cents int64) catalog.Details {
	return catalog.Details{Name: "Tea at " + money.Of(cents, "EUR").String(), Category: "tea", Price: money.Of(cents, "EUR")}
}

// NewOrder is the body of an order.
type NewOrder struct {
	CustomerID string            `json:"customer_id,omitzero"`
	Currency   string            `json:"currency"`
	Lines      []ordering.Wanted `json:"lines"`
	ShipTo     ordering.Address  `json:"ship_to"`
}

// Order is the body of an order of some of one product.
func Order(customer, sku string, quantity int64) NewOrder {
	return NewOrder{CustomerID: customer, Currency: "EUR", Lines: []ordering.Wanted{{SKU: sku, Quantity: quantity}}, ShipTo: Address("1 First Street")}
}

// Address is an address in a street.
func Address(street string) ordering.Address {
	return ordering.Address{Name: "Ada Lovelace", Street: street, PostalCode: "SW1Y 4JH", City: "London", Country: "GB"}
}

// OrderShown is an order as the view shows it.
type OrderShown struct {
	ID         string            `json:"id"`
	Number     string            `json:"number"`
	CustomerID string            `json:"customer_id"`
	Status     string            `json:"status"`
	Version    int64             `json:"version"`
	ShipTo     *ordering.Address `json:"ship_to"`
	Lines      []ordering.Line   `json:"lines"`
	Totals     ordering.Totals   `json:"totals"`
	Stale      *struct {
		Reason string `json:"reason"`
	} `json:"stale"`
}

// CommandShown is a command as the view shows it.
type CommandShown struct {
	CommandID        string `json:"command_id"`
	Status           string `json:"status"`
	Version          int64  `json:"version"`
	ConsistencyToken string `json:"consistency_token"`
	Problem          *struct {
		Status int    `json:"status"`
		Code   string `json:"code"`
	} `json:"problem"`
}

// Status is a command's status as the view shows it; "" if it shows none.
func (c *Client) Status(ctx context.Context, id string) (*CommandShown, error) {
	a, err := c.Try(ctx, http.MethodGet, "/v1/commands/"+id, nil)
	switch {
	case err != nil:
		return nil, err
	case a.Status != http.StatusOK:
		return nil, fmt.Errorf("the status of command %s is answered %s", id, a)
	}
	var s CommandShown
	return &s, json.Unmarshal(a.Body, &s)
}

// AwaitStatus waits until the view shows a command in a status and returns it.
func (c *Client) AwaitStatus(t testing.TB, id, status string) *CommandShown {
	t.Helper()
	var shown *CommandShown
	Wait(t, "command "+id+" is "+status, func() string {
		s, err := c.Status(t.Context(), id)
		switch {
		case err != nil:
			return err.Error()
		case s.Status == status:
		case s.Status == "accepted" || s.Status == "parked":
			return "it is " + s.Status
		default: // for good
			t.Fatalf("command %s is %s, not %s: %+v", id, s.Status, status, s.Problem)
		}
		shown = s
		return ""
	})
	return shown
}

// Orders returns all orders that the list shows, page by page.
func (c *Client) Orders(ctx context.Context) ([]OrderShown, error) {
	var all []OrderShown
	for cursor := ""; ; {
		a, err := c.Try(ctx, http.MethodGet, "/v1/orders?limit=200&cursor="+cursor, nil)
		if err != nil {
			return nil, err
		}
		if a.Status != http.StatusOK {
			return nil, fmt.Errorf("the list of orders is answered %s", a)
		}
		var page struct {
			Items      []OrderShown `json:"items"`
			NextCursor string       `json:"next_cursor"`
		}
		if err := json.Unmarshal(a.Body, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			return all, nil
		}
	}
}
