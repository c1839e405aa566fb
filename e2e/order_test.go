//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/e2e/fleet"
)

const (
	orders = "/v1/orders"
	wait   = "wait=30" // in the Prefer header: long enough for a busy machine
)

// TestAnOrderGoesFromPostToView follows clients from their first product on. Its parts share a
// fleet and build on each other only in that the products are there.
func TestAnOrderGoesFromPostToView(t *testing.T) {
	onBoth(t, fleet.Options{}, func(t *testing.T, f *fleet.Fleet) {
		c := f.Client("")
		for _, part := range []struct {
			name string
			test func(*testing.T, *fleet.Client)
		}{
			{"a product just defined can be ordered at once", ordersWhatWasJustDefined},
			{"whoever waits gets the outcome", waitsForTheOutcome},
			{"whoever does not wait finds the outcome at the location", followsTheLocation},
			{"a refusal names what is wrong and is the command's status", isRefused},
			{"the same idempotency key has one effect", repeatsAKey},
			{"an idempotency key with another body is refused", reusesAKey},
			{"a view is as fresh as the token asks", readsWithATokens},
			{"an order changes only as it was seen", changesWithIfMatch},
			{"an order that has not changed is not sent again", readsWithIfNoneMatch},
			{"an expected total protects from a price that has changed", expectsATotal},
			{"lists go on where the page before ended", listsPageByPage},
			{"products are shown, priced anew and withdrawn", sellsProducts},
			{"the documents describe the API", readsTheDocuments},
		} {
			t.Run(strings.ReplaceAll(part.name, " ", "_"), func(t *testing.T) { part.test(t, c) })
		}
		c.Check(t, nil)
	})
}

func ordersWhatWasJustDefined(t *testing.T, c *fleet.Client) {
	for i := range 5 {
		sku := fmt.Sprintf("NEW-%d", i)
		// No more than the outcome is waited for: those who price the order wait for the rest.
		token := c.Accept(t, http.StatusOK, http.MethodPut, "/v1/products/"+sku, fleet.Product(1299), "Prefer", wait).ConsistencyToken
		if token != "product-"+sku+"@1" {
			t.Errorf("the token of a new product is %q", token)
		}
		a := c.Accept(t, http.StatusOK, http.MethodPost, orders, fleet.Order("c-1", sku, 2), "Consistency-Token", token, "Prefer", wait)
		if a.Status != "succeeded" {
			t.Errorf("an order of a product just defined is %s", a.Status)
		}
	}
}

func waitsForTheOutcome(t *testing.T, c *fleet.Client) {
	token := c.Define(t, "TEA-001", 1299)
	a := c.Do(t, http.MethodPost, orders, fleet.Order("c-42", "TEA-001", 2), "Prefer", wait, "Consistency-Token", token)
	var placed fleet.Accepted
	a.Decode(t, &placed)
	if a.Status != http.StatusOK || placed.Status != "succeeded" || placed.Version != 1 {
		t.Fatalf("the order is answered %s", a)
	}
	if got := a.Header.Get("Preference-Applied"); got != wait {
		t.Errorf("Preference-Applied is %q", got)
	}
	if got := a.Header.Get("Consistency-Token"); got != placed.ConsistencyToken || got != "order-"+placed.Resource.ID+"@1" {
		t.Errorf("Consistency-Token is %q, and in the body %q", got, placed.ConsistencyToken)
	}
	o := getOrder(t, c, placed.Resource.ID, placed.ConsistencyToken)
	if o.CustomerID != "c-42" || o.Status != "placed" || o.Version != 1 || o.Number == "" || o.ShipTo == nil || o.ShipTo.Street != "1 First Street" {
		t.Errorf("the order is shown as %+v", o)
	}
	// 2 x 12.99 and 4.00 for delivery, with the price from the catalogue.
	if o.Totals.Lines != 2598 || o.Totals.Delivery != 400 || o.Totals.Total != 2998 {
		t.Errorf("the order's totals are %+v", o.Totals)
	}
}

func getOrder(t *testing.T, c *fleet.Client, id, token string) fleet.OrderShown {
	t.Helper()
	a := c.Get(t, orders+"/"+id, "Consistency-Token", token, "Prefer", wait)
	if a.Status != http.StatusOK {
		t.Fatalf("the order is answered %s", a)
	}
	var o fleet.OrderShown
	a.Decode(t, &o)
	return o
}

func followsTheLocation(t *testing.T, c *fleet.Client) {
	a := c.Do(t, http.MethodPost, orders, fleet.Order("c-1", "TEA-001", 1))
	var placed fleet.Accepted
	a.Decode(t, &placed)
	location := "/v1/commands/" + placed.CommandID
	if a.Status != http.StatusAccepted || placed.Status != "accepted" || a.Header.Get("Location") != location || placed.Links["command"] != location {
		t.Fatalf("the order is answered %s at %q", a, a.Header.Get("Location"))
	}
	if strings.Contains(string(a.Body), `"version"`) {
		t.Errorf("a command that is accepted tells of a version: %s", a)
	}
	// Known at once: the status of a command that is on its way is waited for.
	var s fleet.CommandShown
	known := c.Get(t, location, "Prefer", wait)
	known.Decode(t, &s)
	if known.Status != http.StatusOK || s.Status != "accepted" && s.Status != "succeeded" {
		t.Errorf("the command's status is answered %s", known)
	}
	done := c.AwaitStatus(t, placed.CommandID, "succeeded")
	o := getOrder(t, c, placed.Resource.ID, done.ConsistencyToken)
	if a := c.Get(t, placed.Links["resource"]); a.Status != http.StatusOK || o.ID != placed.Resource.ID {
		t.Errorf("the link to the order is answered %s", a)
	}
	if a := c.Get(t, "/v1/commands/"+uuid.NewString()); a.Status != http.StatusNotFound {
		t.Errorf("a command that never was is answered %s", a)
	}
}

func isRefused(t *testing.T, c *fleet.Client) {
	a := c.Do(t, http.MethodPost, orders, fleet.Order("c-1", "NO-SUCH", 1), "Prefer", wait)
	if a.Status != http.StatusUnprocessableEntity || a.Code() != "unknown_product" || !strings.Contains(string(a.Body), "NO-SUCH") {
		t.Errorf("an unknown product is answered %s", a)
	}
	later := c.Accept(t, http.StatusAccepted, http.MethodPost, orders, fleet.Order("c-1", "NO-SUCH", 1))
	s := c.AwaitStatus(t, later.CommandID, "refused")
	if s.Problem == nil || s.Problem.Code != "unknown_product" || s.Problem.Status != http.StatusUnprocessableEntity {
		t.Errorf("the command's problem is %+v", s.Problem)
	}
	if a := c.Get(t, orders+"/"+later.Resource.ID); a.Status != http.StatusNotFound {
		t.Errorf("an order that was refused is answered %s", a)
	}
}

func repeatsAKey(t *testing.T, c *fleet.Client) {
	key, body := uuid.NewString(), fleet.Order("c-key", "TEA-001", 3)
	first := c.Accept(t, http.StatusOK, http.MethodPost, orders, body, "Prefer", wait, "Idempotency-Key", key)
	for _, prefer := range []string{wait, ""} {
		status := http.StatusAccepted
		if prefer != "" {
			status = http.StatusOK
		}
		again := c.Accept(t, status, http.MethodPost, orders, body, "Prefer", prefer, "Idempotency-Key", key)
		if again.CommandID != first.CommandID || again.Resource != first.Resource {
			t.Errorf("the key is answered with command %s and order %s, and first with %s and %s",
				again.CommandID, again.Resource.ID, first.CommandID, first.Resource.ID)
		}
		if status == http.StatusOK && again.ConsistencyToken != first.ConsistencyToken {
			t.Errorf("the outcome is %+v, and was %+v", again, first)
		}
	}
	if o := getOrder(t, c, first.Resource.ID, first.ConsistencyToken); o.Version != 1 {
		t.Errorf("the order is at version %d", o.Version)
	}
	// The key belongs to the operation: elsewhere it is another one.
	other := c.Accept(t, http.StatusOK, http.MethodPost, orders+"/"+first.Resource.ID+"/address",
		map[string]any{"ship_to": fleet.Address("2 Second Street")}, "Prefer", wait, "Idempotency-Key", key)
	if other.CommandID == first.CommandID || other.Version != 2 {
		t.Errorf("the key on another path is answered with command %s at version %d", other.CommandID, other.Version)
	}
}

func reusesAKey(t *testing.T, c *fleet.Client) {
	key := uuid.NewString()
	first := c.Accept(t, http.StatusOK, http.MethodPost, orders, fleet.Order("c-1", "TEA-001", 3), "Prefer", wait, "Idempotency-Key", key)
	other := fleet.Order("c-1", "TEA-001", 4)
	a := c.Do(t, http.MethodPost, orders, other, "Prefer", wait, "Idempotency-Key", key)
	if a.Status != http.StatusUnprocessableEntity || a.Code() != "idempotency_key_reused" {
		t.Errorf("a key with another body is answered %s", a)
	}
	// Without waiting, the 202 points at the first command's status, which stands.
	late := c.Accept(t, http.StatusAccepted, http.MethodPost, orders, other, "Idempotency-Key", key)
	if late.CommandID != first.CommandID {
		t.Errorf("the key points at command %s, not at %s", late.CommandID, first.CommandID)
	}
	if s := c.AwaitStatus(t, first.CommandID, "succeeded"); s.Version != 1 {
		t.Errorf("the first command is at version %d", s.Version)
	}
	if o := getOrder(t, c, first.Resource.ID, first.ConsistencyToken); o.Lines[0].Quantity != 3 {
		t.Errorf("the order has a quantity of %d", o.Lines[0].Quantity)
	}
}

func readsWithATokens(t *testing.T, c *fleet.Client) {
	for i := range 10 { // not by chance: each read comes at once
		a := c.Accept(t, http.StatusOK, http.MethodPost, orders, fleet.Order("c-fresh", "TEA-001", 1), "Prefer", wait)
		if i%2 == 0 {
			getOrder(t, c, a.Resource.ID, a.ConsistencyToken)
			continue
		}
		list := c.Get(t, orders+"?customer_id=c-fresh", "Consistency-Token", a.ConsistencyToken, "Prefer", wait)
		if list.Status != http.StatusOK || !strings.Contains(string(list.Body), a.Resource.ID) {
			t.Fatalf("the list as of %s is answered %s", a.ConsistencyToken, list)
		}
	}
	a := c.Accept(t, http.StatusOK, http.MethodPost, orders, fleet.Order("c-fresh", "TEA-001", 1), "Prefer", wait)
	never := strings.TrimSuffix(a.ConsistencyToken, "1") + "7"
	stale := c.Get(t, orders+"/"+a.Resource.ID, "Consistency-Token", never, "Prefer", "wait=1")
	if stale.Status != http.StatusServiceUnavailable || stale.Code() != "not_yet_consistent" || stale.Header.Get("Retry-After") == "" {
		t.Errorf("a token of a version to come is answered %s", stale)
	}
	if other := c.Get(t, "/v1/products/TEA-001", "Consistency-Token", a.ConsistencyToken); other.Status != http.StatusOK {
		t.Errorf("a token of a stream that the view does not hold is answered %s", other)
	}
}

func changesWithIfMatch(t *testing.T, c *fleet.Client) {
	placed := c.Accept(t, http.StatusOK, http.MethodPost, orders, fleet.Order("c-1", "TEA-001", 1), "Prefer", wait)
	path := orders + "/" + placed.Resource.ID
	seen := c.Get(t, path, "Consistency-Token", placed.ConsistencyToken, "Prefer", wait).Header.Get("ETag")
	change := func(street, ifMatch string) *fleet.Answer {
		t.Helper()
		return c.Do(t, http.MethodPost, path+"/address", map[string]any{"ship_to": fleet.Address(street)}, "Prefer", wait, "If-Match", ifMatch)
	}
	a := change("2 Second Street", seen)
	if a.Status != http.StatusOK {
		t.Fatalf("a change with the right tag %s is answered %s", seen, a)
	}
	token := a.Header.Get("Consistency-Token")
	if a := change("3 Third Street", seen); a.Status != http.StatusPreconditionFailed {
		t.Errorf("a change with an old tag is answered %s", a)
	}
	if a := change("4 Fourth Street", "*"); a.Status != http.StatusOK {
		t.Errorf("a change with If-Match: * is answered %s", a)
	} else {
		token = a.Header.Get("Consistency-Token")
	}
	if o := getOrder(t, c, placed.Resource.ID, token); o.Version != 3 || o.ShipTo.Street != "4 Fourth Street" {
		t.Errorf("the order is at version %d and goes to %s", o.Version, o.ShipTo.Street)
	}
	gone := c.Do(t, http.MethodPost, orders+"/"+uuid.NewString()+"/address", map[string]any{"ship_to": fleet.Address("5 Fifth Street")}, "Prefer", wait)
	if gone.Status != http.StatusNotFound {
		t.Errorf("a change of an order that is not there is answered %s", gone)
	}
}

func readsWithIfNoneMatch(t *testing.T, c *fleet.Client) {
	placed := c.Accept(t, http.StatusOK, http.MethodPost, orders, fleet.Order("c-1", "TEA-001", 1), "Prefer", wait)
	path := orders + "/" + placed.Resource.ID
	first := c.Get(t, path, "Consistency-Token", placed.ConsistencyToken, "Prefer", wait)
	etag := first.Header.Get("ETag")
	again := c.Get(t, path, "If-None-Match", etag)
	if again.Status != http.StatusNotModified || len(again.Body) != 0 || again.Header.Get("ETag") != etag {
		t.Errorf("the same order is answered %s with the tag %s", again, again.Header.Get("ETag"))
	}
	changed := c.Accept(t, http.StatusOK, http.MethodPost, path+"/address", map[string]any{"ship_to": fleet.Address("2 Second Street")}, "Prefer", wait)
	if a := c.Get(t, path, "If-None-Match", etag, "Consistency-Token", changed.ConsistencyToken, "Prefer", wait); a.Status != http.StatusOK {
		t.Errorf("an order that has changed is answered %s", a)
	}
}

func expectsATotal(t *testing.T, c *fleet.Client) {
	body := func(cents int) string {
		return fmt.Sprintf(`{"customer_id": "c-1", "currency": "EUR", "lines": [{"sku": "TEA-001", "quantity": 2}],
			"ship_to": {"name": "Ada", "street": "1", "city": "London", "country": "GB"}, "expected_total": {"amount": %d, "currency": "EUR"}}`, cents)
	}
	if a := c.Do(t, http.MethodPost, orders, body(2998), "Prefer", wait); a.Status != http.StatusOK {
		t.Errorf("an order at its expected total is answered %s", a)
	}
	if a := c.Do(t, http.MethodPost, orders, body(2997), "Prefer", wait); a.Status != http.StatusConflict || a.Code() != "price_changed" {
		t.Errorf("an order at another total is answered %s", a)
	}
}

func listsPageByPage(t *testing.T, c *fleet.Client) {
	var placed []string
	var token string
	for range 5 {
		a := c.Accept(t, http.StatusOK, http.MethodPost, orders, fleet.Order("c-pages", "TEA-001", 1), "Prefer", wait)
		placed, token = append(placed, a.Resource.ID), a.ConsistencyToken
		getOrder(t, c, a.Resource.ID, token)
	}
	slices.Reverse(placed) // newest first
	var listed []string
	for cursor, pages := "", 1; ; pages++ {
		a := c.Get(t, orders+"?customer_id=c-pages&status=placed&placed_from=2020-01-01T00:00:00Z&limit=2&cursor="+cursor)
		if a.Status != http.StatusOK {
			t.Fatalf("the list is answered %s", a)
		}
		var page struct {
			Items      []fleet.OrderShown `json:"items"`
			NextCursor string             `json:"next_cursor"`
		}
		a.Decode(t, &page)
		for _, o := range page.Items {
			listed = append(listed, o.ID)
		}
		if cursor = page.NextCursor; cursor == "" {
			if pages != 3 {
				t.Errorf("5 orders come in %d pages of 2", pages)
			}
			break
		}
		if other := c.Get(t, orders+"?customer_id=c-other&cursor="+cursor); other.Status != http.StatusBadRequest || other.Code() != "bad_cursor" {
			t.Errorf("the cursor of another list is answered %s", other)
		}
	}
	if !slices.Equal(listed, placed) {
		t.Errorf("listed are %v, placed were %v", listed, placed)
	}
}

func sellsProducts(t *testing.T, c *fleet.Client) {
	token := c.Define(t, "POT-001", 5900)
	show := func(token string) (a *fleet.Answer) {
		t.Helper()
		a = c.Get(t, "/v1/products/POT-001", "Consistency-Token", token, "Prefer", wait)
		if a.Status != http.StatusOK {
			t.Fatalf("the product is answered %s", a)
		}
		return a
	}
	if a := show(token); !strings.Contains(string(a.Body), "5900") {
		t.Errorf("the product is shown as %s", a.Body)
	}
	if a := c.Get(t, "/v1/products?category=tea"); a.Status != http.StatusOK || !strings.Contains(string(a.Body), "POT-001") {
		t.Errorf("the list of products is %s", a)
	}
	dearer := c.Accept(t, http.StatusOK, http.MethodPost, "/v1/products/POT-001/price", `{"price": {"amount": 6100, "currency": "EUR"}}`, "Prefer", wait)
	if a := show(dearer.ConsistencyToken); !strings.Contains(string(a.Body), "6100") {
		t.Errorf("the product is shown as %s", a.Body)
	}
	order := c.Accept(t, http.StatusOK, http.MethodPost, orders, fleet.Order("c-1", "POT-001", 1), "Prefer", wait, "Consistency-Token", dearer.ConsistencyToken)
	if o := getOrder(t, c, order.Resource.ID, order.ConsistencyToken); o.Totals.Lines != 6100 {
		t.Errorf("the order is priced %+v", o.Totals)
	}
	withdrawn := c.Accept(t, http.StatusOK, http.MethodPost, "/v1/products/POT-001/withdraw", `{}`, "Prefer", wait)
	refused := c.Do(t, http.MethodPost, orders, fleet.Order("c-1", "POT-001", 1), "Prefer", wait, "Consistency-Token", withdrawn.ConsistencyToken)
	if refused.Status != http.StatusConflict || refused.Code() != "product_withdrawn" {
		t.Errorf("an order of a withdrawn product is answered %s", refused)
	}
	show(withdrawn.ConsistencyToken)
	if a := c.Get(t, "/v1/products?category=tea"); strings.Contains(string(a.Body), "POT-001") {
		t.Errorf("the list still has the withdrawn product: %s", a)
	}
}

func readsTheDocuments(t *testing.T, c *fleet.Client) {
	for path, want := range map[string]string{"/docs": "<html", "/openapi.json": `"openapi": "3.1`} {
		if a := c.Get(t, path); a.Status != http.StatusOK || !strings.Contains(string(a.Body), want) {
			t.Errorf("%s is answered %d, without %s", path, a.Status, want)
		}
	}
}
