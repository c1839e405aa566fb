//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/orderlane/orderlane/e2e/fleet"
)

const (
	secret   = "a secret of the tests, of more than 32 bytes"
	issuer   = "https://issuer.test"
	audience = "orderlane"
)

// authenticated are the settings with which callers must show a token.
var authenticated = fleet.Options{Env: []string{
	"ORDERLANE_AUTH_HS256_SECRET=" + secret, "ORDERLANE_AUTH_ISSUER=" + issuer, "ORDERLANE_AUTH_AUDIENCE=" + audience,
}}

// token signs a caller's token that expires after a while.
func token(t *testing.T, key, subject, role string, valid time.Duration) string {
	t.Helper()
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": issuer, "aud": audience, "sub": subject, "role": role, "exp": time.Now().Add(valid).Unix(),
	}).SignedString([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestBadInputIsRefusedAndNeverAFaultOfOurs(t *testing.T) {
	onBoth(t, authenticated, func(t *testing.T, f *fleet.Fleet) {
		staff := f.Client(token(t, secret, "s-1", "staff", time.Hour))
		staff.Define(t, "TEA-001", 1299)
		ada := f.Client(token(t, secret, "ada", "customer", time.Hour))
		t.Run("bodies", func(t *testing.T) { badBodies(t, staff) })
		t.Run("headers and queries", func(t *testing.T) { badHeaders(t, staff) })
		t.Run("callers", func(t *testing.T) { badCallers(t, f, staff) })
		t.Run("foreign orders", func(t *testing.T) { foreignOrders(t, f, ada) })
		t.Run("no HTTP at all", func(t *testing.T) { noHTTP(t, f.Process(fleet.CommandAPI).Public) })
		staff.Accept(t, http.StatusOK, http.MethodPost, orders, fleet.Order("c-1", "TEA-001", 1), "Prefer", wait)
		staff.Check(t, nil)
	})
}

// order is the body of a good order, in which a test replaces a part.
const order = `{"customer_id": "c-1", "currency": "EUR", "lines": [{"sku": "TEA-001", "quantity": 1}],
	"ship_to": {"name": "Ada", "street": "1 First Street", "city": "London", "country": "GB"}}`

func changed(old, part string) string {
	if !strings.Contains(order, old) {
		panic("the order has no " + old)
	}
	return strings.Replace(order, old, part, 1)
}

func badBodies(t *testing.T, c *fleet.Client) {
	line := `{"sku": "TEA-001", "quantity": 1}`
	product := func(part string) string {
		return `{"name": "Tea", "price": {"amount": 1, "currency": "EUR"}` + part + `}`
	}
	for _, test := range []struct {
		name, method, path, body string
		status                   int
		code                     string
	}{
		{"no JSON", "POST", orders, `{"customer_id": `, 400, "malformed_body"},
		{"no object", "POST", orders, `[]`, 422, "validation_failed"},
		{"no body", "POST", orders, ``, 400, ""},
		{"two values", "POST", orders, order + order, 400, "malformed_body"},
		{"a member twice", "POST", orders, changed(`"currency"`, `"currency": "USD", "currency"`), 400, "malformed_body"},
		{"no UTF-8", "POST", orders, changed("Ada", "A\xffda"), 400, "malformed_body"},
		{"a NUL", "POST", orders, changed("Ada", `A\u0000da`), 422, ""},
		{"text for a number", "POST", orders, changed(`"quantity": 1`, `"quantity": "1"`), 422, "validation_failed"},
		{"a number for text", "POST", orders, changed(`"EUR"`, `978`), 422, "validation_failed"},
		{"an object for a list", "POST", orders, changed("["+line+"]", line), 422, "validation_failed"},
		{"null for lines", "POST", orders, changed("["+line+"]", "null"), 422, "validation_failed"},
		{"an unknown field", "POST", orders, changed(`"currency"`, `"colour": "red", "currency"`), 422, "validation_failed"},
		{"an unknown field of a line", "POST", orders, changed(`"quantity": 1`, `"quantity": 1, "price": 1`), 422, "validation_failed"},
		{"no lines", "POST", orders, changed(line, ``), 422, "validation_failed"},
		{"101 lines", "POST", orders, changed(line, line+strings.Repeat(", "+line, 100)), 422, "validation_failed"},
		{"nothing of a line", "POST", orders, changed(`"quantity": 1`, `"quantity": 0`), 422, "validation_failed"},
		{"less than nothing", "POST", orders, changed(`"quantity": 1`, `"quantity": -1`), 422, "validation_failed"},
		{"half of one", "POST", orders, changed(`"quantity": 1`, `"quantity": 0.5`), 422, "validation_failed"},
		{"10001 of a line", "POST", orders, changed(`"quantity": 1`, `"quantity": 10001`), 422, "validation_failed"},
		{"more than 64 bits", "POST", orders, changed(`"quantity": 1`, `"quantity": 100000000000000000000`), 422, ""},
		{"a huge exponent", "POST", orders, changed(`"quantity": 1`, `"quantity": 1e400`), 400, "malformed_body"},
		{"a SKU that can't be", "POST", orders, changed("TEA-001", "TEA 001"), 422, "validation_failed"},
		{"an unknown SKU", "POST", orders, changed("TEA-001", "TEA-999"), 422, "unknown_product"},
		{"no currency of ISO", "POST", orders, changed("EUR", "EUX"), 422, "unknown_currency"},
		{"another currency", "POST", orders, changed("EUR", "USD"), 422, "wrong_currency"},
		{"no country", "POST", orders, changed("GB", "Great Britain"), 422, "validation_failed"},
		{"no address", "POST", orders, changed(`, "country": "GB"`, ``), 422, "validation_failed"},
		{"no customer", "POST", orders, changed(`"customer_id": "c-1", `, ``), 422, "validation_failed"},
		{"an invisible customer", "POST", orders, changed("c-1", "c 1"), 422, "validation_failed"},
		{"no mail address", "POST", orders, changed(`"currency"`, `"email": "ada", "currency"`), 422, "validation_failed"},
		{"no delivery that we know", "POST", orders, changed(`"currency"`, `"delivery": "pigeon", "currency"`), 422, "unknown_delivery"},
		{"no discount that we know", "POST", orders, changed(`"currency"`, `"discount_code": "FREE", "currency"`), 422, "unknown_discount_code"},
		{"1 MB", "POST", orders, changed("Ada", strings.Repeat("A", 1<<20)), 413, "body_too_large"},
		{"deep nesting", "POST", orders, strings.Repeat("[", 100_000), 400, "malformed_body"},
		{"an order that is no id", "POST", orders + "/42/address", `{"ship_to": {}}`, 422, "validation_failed"},
		{"a product without a name", "PUT", "/v1/products/TEA-002", `{"price": {"amount": 1, "currency": "EUR"}}`, 422, "validation_failed"},
		{"a product below nothing", "PUT", "/v1/products/TEA-002", `{"name": "Tea", "price": {"amount": -1, "currency": "EUR"}}`, 422, ""},
		{"an unknown tax class", "PUT", "/v1/products/TEA-002", product(`, "tax_class": "none"`), 422, "validation_failed"},
		{"a SKU too long", "PUT", "/v1/products/" + strings.Repeat("A", 65), product(``), 422, "validation_failed"},
		{"a price of no product", "POST", "/v1/products/NO-SUCH/price", `{"price": {"amount": 1, "currency": "EUR"}}`, 404, ""},
		{"a price in another currency", "POST", "/v1/products/TEA-001/price", `{"price": {"amount": 1, "currency": "USD"}}`, 409, "currency_differs"},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
			a := c.Do(t, test.method, test.path, test.body, "Prefer", wait)
			refused(t, a, test.status, test.code)
		})
	}
}

// refused fails the test unless the answer is a problem with the status and, if given, the code.
func refused(t *testing.T, a *fleet.Answer, status int, code string) {
	t.Helper()
	if a.Status != status || a.Code() == "" || code != "" && a.Code() != code {
		t.Errorf("it is answered %s (%s), not %d %s", a, a.Header.Get("Content-Type"), status, code)
	}
}

func badHeaders(t *testing.T, c *fleet.Client) {
	placed := c.Accept(t, http.StatusOK, http.MethodPost, orders, order, "Prefer", wait)
	path := orders + "/" + placed.Resource.ID
	for _, test := range []struct {
		name, method, path string
		header             []string
		status             int
		code               string
	}{
		{"another media type", "POST", orders, []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type"},
		{"a compressed body", "POST", orders, []string{"Content-Encoding", "gzip"}, 415, "unsupported_media_type"},
		{"a key too long", "POST", orders, []string{"Idempotency-Key", strings.Repeat("k", 256)}, 400, "malformed_idempotency_key"},
		{"an empty key", "POST", orders, []string{"Idempotency-Key", ""}, 400, "malformed_idempotency_key"},
		{"a key with a space", "POST", orders, []string{"Idempotency-Key", "a b"}, 400, "malformed_idempotency_key"},
		{"a token that is none", "POST", orders, []string{"Consistency-Token", "yesterday"}, 400, "malformed_consistency_token"},
		{"a tag without quotes", "POST", path + "/address", []string{"If-Match", "1"}, 400, "malformed_if_match"},
		{"a token that is none, to a view", "GET", path, []string{"Consistency-Token", "order-1@x"}, 400, "malformed_consistency_token"},
		{"a cursor that is none", "GET", orders + "?cursor=AAAA", nil, 400, "bad_cursor"},
		{"a cursor with bad letters", "GET", orders + "?cursor=%00%ff", nil, 422, ""},
		{"a limit of none", "GET", orders + "?limit=0", nil, 422, "validation_failed"},
		{"a limit too high", "GET", orders + "?limit=201", nil, 422, "validation_failed"},
		{"a limit that is no number", "GET", orders + "?limit=many", nil, 422, "validation_failed"},
		{"an unknown parameter", "GET", orders + "?sort=price", nil, 422, "validation_failed"},
		{"an unknown status", "GET", orders + "?status=lost", nil, 422, "validation_failed"},
		{"a time that is none", "GET", orders + "?placed_from=monday", nil, 422, "validation_failed"},
		{"an order that is no id", "GET", orders + "/42", nil, 422, "validation_failed"},
		{"a command that is no id", "GET", "/v1/commands/42", nil, 422, "validation_failed"},
		{"a product that is none", "GET", "/v1/products/NO-SUCH", nil, 404, ""},
		{"a path that is none", "GET", "/v1/nothing", nil, 404, "route_not_found"},
		{"a method that is none", "DELETE", orders, nil, 405, "method_not_allowed"},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
			var body any
			switch {
			case strings.HasSuffix(test.path, "/address"):
				body = `{"ship_to": {"name": "Ada", "street": "2", "city": "London", "country": "GB"}}`
			case test.method == "POST":
				body = order
			}
			refused(t, c.Do(t, test.method, test.path, body, test.header...), test.status, test.code)
		})
	}
	t.Run("a_wait_that_is_none_is_ignored", func(t *testing.T) { // by RFC 7240
		c.Accept(t, http.StatusAccepted, http.MethodPost, orders, order, "Prefer", "wait=soon")
	})
	t.Run("a_trace_context_that_is_none_is_ignored", func(t *testing.T) {
		c.Accept(t, http.StatusAccepted, http.MethodPost, orders, order, "Traceparent", "00-zz-zz-zz")
	})
}

func badCallers(t *testing.T, f *fleet.Fleet, staff *fleet.Client) {
	ada := f.Client(token(t, secret, "ada", "customer", time.Hour))
	for name, test := range map[string]struct {
		client *fleet.Client
		path   string
		status int
	}{
		"no token":             {f.Client(""), orders, 401},
		"no JWT":               {f.Client("let me in"), orders, 401},
		"another's signature":  {f.Client(token(t, strings.Repeat("x", 40), "eve", "staff", time.Hour)), orders, 401},
		"an expired token":     {f.Client(token(t, secret, "ada", "customer", -time.Hour)), orders, 401},
		"an unknown role":      {f.Client(token(t, secret, "ada", "king", time.Hour)), orders, 403},
		"an order for another": {ada, orders, 403},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			a := test.client.Do(t, http.MethodPost, test.path, order, "Prefer", wait)
			refused(t, a, test.status, "")
			if test.status == http.StatusUnauthorized && !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("WWW-Authenticate is %q", a.Header.Get("WWW-Authenticate"))
			}
			if test.status == http.StatusUnauthorized {
				refused(t, test.client.Get(t, orders), test.status, "")
			}
		})
	}
	t.Run("a_product_of_a_customer", func(t *testing.T) {
		refused(t, ada.Do(t, http.MethodPut, "/v1/products/TEA-001", fleet.Product(1)), http.StatusForbidden, "role_required")
	})
	t.Run("the_same_key_of_another_caller", func(t *testing.T) {
		key := uuid.NewString()
		first := staff.Accept(t, http.StatusOK, http.MethodPost, orders, order, "Prefer", wait, "Idempotency-Key", key)
		body := strings.Replace(order, `"customer_id": "c-1", `, ``, 1)
		second := ada.Accept(t, http.StatusOK, http.MethodPost, orders, body, "Prefer", wait, "Idempotency-Key", key)
		if first.CommandID == second.CommandID || first.Resource.ID == second.Resource.ID {
			t.Errorf("two callers share the command %s of a key", first.CommandID)
		}
	})
}

// foreignOrders checks that another's order, and everything about it, is not there.
func foreignOrders(t *testing.T, f *fleet.Fleet, ada *fleet.Client) {
	eve := f.Client(token(t, secret, "eve", "customer", time.Hour))
	staff := f.Client(token(t, secret, "s-1", "staff", time.Hour))
	body := strings.Replace(order, `"customer_id": "c-1", `, ``, 1)
	placed := ada.Accept(t, http.StatusOK, http.MethodPost, orders, body, "Prefer", wait)
	path, fresh := orders+"/"+placed.Resource.ID, placed.ConsistencyToken
	if a := ada.Get(t, path, "Consistency-Token", fresh, "Prefer", wait); a.Status != http.StatusOK || !strings.Contains(string(a.Body), `"ada"`) {
		t.Errorf("her own order is answered %s", a)
	}
	ada.AwaitStatus(t, placed.CommandID, "succeeded")
	if a := staff.Get(t, path); a.Status != http.StatusOK {
		t.Errorf("staff is answered %s", a)
	}
	refused(t, eve.Get(t, path), http.StatusNotFound, "")
	refused(t, eve.Get(t, "/v1/commands/"+placed.CommandID, "Prefer", "wait=0"), http.StatusNotFound, "")
	address := map[string]any{"ship_to": fleet.Address("666 Eve Street")}
	refused(t, eve.Do(t, http.MethodPost, path+"/address", address, "Prefer", wait), http.StatusNotFound, "")
	if a := eve.Get(t, orders); a.Status != http.StatusOK || strings.Contains(string(a.Body), placed.Resource.ID) {
		t.Errorf("the list of another is answered %s", a)
	}
	if a := eve.Get(t, orders+"?customer_id=ada"); a.Status != http.StatusOK || strings.Contains(string(a.Body), placed.Resource.ID) {
		t.Errorf("the list of ada's orders is answered %s", a)
	}
	if o := getOrder(t, ada, placed.Resource.ID, fresh); o.Version != 1 || o.ShipTo.Street != "1 First Street" {
		t.Errorf("the order is at version %d and goes to %s", o.Version, o.ShipTo.Street)
	}
}

// noHTTP sends what no client of ours would; the server must answer 4xx or hang up, and go on.
func noHTTP(t *testing.T, address string) {
	for name, raw := range map[string]string{
		"garbage":                 "\x00\x01\x02\x03 garbage\r\n\r\n",
		"no host":                 "GET /v1/orders HTTP/1.1\r\n\r\n",
		"a header too large":      "GET /v1/orders HTTP/1.1\r\nHost: localhost\r\nX-Large: " + strings.Repeat("x", 128<<10) + "\r\n\r\n",
		"two lengths":             "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
		"a length below nothing":  "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n{}",
		"control letters in path": "GET /v1/orders/%00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			conn, err := net.DialTimeout("tcp", address, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(fleet.Patience)); err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, raw) // it may hang up before all is sent
			answer, _ := io.ReadAll(conn)
			if len(answer) > 0 && !bytes.HasPrefix(answer, []byte("HTTP/1.1 4")) {
				t.Errorf("it is answered %.200q", answer)
			}
		})
	}
	resp, err := http.Get(fmt.Sprintf("http://%s/openapi.json", address))
	if err != nil {
		t.Fatalf("the server has gone: %v", err)
	}
	defer resp.Body.Close()
}
