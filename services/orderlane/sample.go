package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/api/catalog"
	"github.com/orderlane/orderlane/pkg/money"
)

// sample is the catalogue of a shop that has none.
var sample = map[string]catalog.Details{
	"TEA-001": {
		Name: "Assam tea, 250 g", Description: "Malty and strong", Category: "tea", Price: money.Of(1299, "EUR"),
		TaxClass: catalog.TaxReduced, Attributes: map[string]string{"origin": "India"},
	},
	"TEA-002": {
		Name: "Sencha, 100 g", Description: "Green, from the first flush", Category: "tea", Price: money.Of(1450, "EUR"),
		TaxClass: catalog.TaxReduced, Attributes: map[string]string{"origin": "Japan"},
	},
	"POT-001": {Name: "Cast-iron teapot, 0.8 l", Category: "teaware", Price: money.Of(5900, "EUR"), TaxClass: catalog.TaxStandard},
	"CUP-001": {Name: "Porcelain cup", Category: "teaware", Price: money.Of(990, "EUR"), TaxClass: catalog.TaxStandard},
	"BOOK-01": {Name: "The Book of Tea", Category: "books", Price: money.Of(1200, "EUR"), TaxClass: catalog.TaxReduced},
}

// sampleStock is how many of each product come in.
const sampleStock = 1000

// sampleWait is how long the sample may take until it is visible.
const sampleWait = 30 * time.Second

// loadSample defines the sample products if there are none, as any client would, and says
// where everything is and how to place an order.
func loadSample(ctx context.Context, public, operator string, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, sampleWait)
	defer cancel()
	var list struct {
		Items []struct{} `json:"items"`
	}
	if _, err := call(ctx, http.MethodGet, public+"/v1/products?limit=1", "", nil, &list); err != nil {
		return fmt.Errorf("look for products: %w", err)
	}
	if len(list.Items) == 0 {
		for sku, details := range sample {
			token, err := call(ctx, http.MethodPut, public+"/v1/products/"+sku, "", details, nil)
			if err != nil {
				return fmt.Errorf("define product %s: %w", sku, err)
			}
			if _, err := call(ctx, http.MethodGet, public+"/v1/products/"+sku, token, nil, nil); err != nil {
				return fmt.Errorf("see product %s: %w", sku, err)
			}
			receipt := map[string]any{"location": "main", "quantity": sampleStock}
			if err := post(ctx, public+"/v1/stock/"+sku+"/receive", receipt); err != nil {
				return fmt.Errorf("take product %s in: %w", sku, err)
			}
		}
	}
	_, err := fmt.Fprintf(w, `
Orderlane is running.
  API        %[1]s/v1        documented at %[1]s/docs
  operators  %[2]s/readyz, /metrics

Place an order, and wait for its outcome:

  curl -s %[1]s/v1/orders -H 'Content-Type: application/json' -H 'Prefer: wait=5' -d '{
    "customer_id": "c-42", "currency": "EUR", "lines": [{"sku": "TEA-001", "quantity": 2}],
    "ship_to": {"name": "Ada Lovelace", "street": "12 St James Square", "postal_code": "SW1Y 4JH", "city": "London", "country": "GB"}}'

Then look at the orders:

  curl -s %[1]s/v1/orders

`, public, operator)
	return err
}

// post sends a command, and does not wait until it is decided.
func post(ctx context.Context, url string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(data))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		got, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20)) // says why, if it can be read
		return fmt.Errorf("POST %s: %s: %s", url, resp.Status, got)
	}
	return nil
}

// call sends a request and returns the consistency token of its answer.
func call(ctx context.Context, method, url, token string, body, answer any) (string, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return "", err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Prefer", "wait=20")
	if token != "" {
		r.Header.Set("Consistency-Token", token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, got)
	}
	if answer != nil {
		err = json.Unmarshal(got, answer)
	}
	return resp.Header.Get("Consistency-Token"), err
}
