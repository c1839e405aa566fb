package httpapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/go-json-experiment/json"
)

const orderBody = `{"customer_id": "c-42", "email": "ada@example.com", "currency": "EUR",
 "lines": [{"sku": "TEA-001", "quantity": 2}, {"sku": "CUP.white_1", "quantity": 1}],
 "ship_to": {"name": "Ada Lovelace", "street": "12 St James Square", "postal_code": "SW1Y 4JH", "city": "London", "country": "GB"},
 "delivery": "standard", "discount_code": null, "payment": {"method": "sandbox_approve"},
 "expected_total": {"amount": 2998, "currency": "EUR"}}`

type orderLine struct {
	SKU      string `json:"sku" pattern:"^[A-Za-z0-9._-]{1,64}$"`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"1000000"`
}

type orderAddress struct {
	Name       string `json:"name" minLength:"1" maxLength:"200"`
	Street     string `json:"street" minLength:"1" maxLength:"200"`
	PostalCode string `json:"postal_code" maxLength:"20"`
	City       string `json:"city" minLength:"1" maxLength:"100"`
	Country    string `json:"country" pattern:"^[A-Z]{2}$"`
}

type orderAmount struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency" pattern:"^[A-Z]{3}$"`
}

type orderRequest struct {
	CustomerID   string       `json:"customer_id,omitempty" pattern:"^[!-~]{1,64}$"`
	Email        string       `json:"email,omitempty" format:"email" maxLength:"254"`
	Currency     string       `json:"currency" pattern:"^[A-Z]{3}$"`
	Lines        []orderLine  `json:"lines" minItems:"1" maxItems:"100"`
	ShipTo       orderAddress `json:"ship_to"`
	Delivery     string       `json:"delivery,omitempty" enum:"standard,express"`
	DiscountCode string       `json:"discount_code,omitempty" maxLength:"64"`
	Payment      *struct {
		Method string `json:"method" maxLength:"64"`
	} `json:"payment,omitempty"`
	ExpectedTotal *orderAmount `json:"expected_total,omitempty"`
}

type placed struct {
	CommandID string            `json:"command_id"`
	Status    string            `json:"status"`
	Resource  placedResource    `json:"resource"`
	Links     map[string]string `json:"links"`
}

type placedResource struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

type orderOutput struct {
	Status   int
	Location string `header:"Location"`
	Body     placed
}

var placedAnswer = placed{
	"0198c1f0-0000-7000-8000-000000000001", "accepted",
	placedResource{"order", "0198c1f0-0000-7000-8000-000000000002"},
	map[string]string{"status": "/v1/commands/0198c1f0-0000-7000-8000-000000000001"},
}

type orderInput struct {
	CommandParams
	Body orderRequest
}

type plainOrderInput struct {
	IdempotencyKey string `header:"Idempotency-Key"`
	Prefer         string `header:"Prefer"`
	IfMatch        string `header:"If-Match"`
	Tokens         string `header:"Consistency-Token"`
	Body           orderRequest
}

func orderOperation() huma.Operation {
	return huma.Operation{OperationID: "place-order", Method: http.MethodPost, Path: "/v1/orders", DefaultStatus: http.StatusAccepted}
}

// sink is a response writer that costs nothing, so that what is measured is the handler.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }

func benchmarkOrders(b *testing.B, h http.Handler) {
	b.Helper()
	b.ReportAllocs()
	w := &sink{header: http.Header{}}
	body := bytes.NewReader(nil)
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://localhost/v1/orders", nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", "0198c1f0-0000-7000-8000-00000000000a")
	r.RequestURI, r.RemoteAddr = "/v1/orders", "127.0.0.1:1"
	for b.Loop() {
		body.Reset([]byte(orderBody))
		r.Body, r.ContentLength = io.NopCloser(body), int64(len(orderBody))
		clear(w.header)
		h.ServeHTTP(w, r)
		if w.status != http.StatusAccepted {
			b.Fatalf("status %d", w.status)
		}
	}
}

// BenchmarkOrderAPI is the whole of this package: admission, guard, huma, answer.
func BenchmarkOrderAPI(b *testing.B) {
	a, err := New(Options{Addr: "127.0.0.1:0", Clock: time.Now, Random: rand.Reader})
	if err != nil {
		b.Fatal(err)
	}
	huma.Register(a, orderOperation(), func(context.Context, *orderInput) (*orderOutput, error) {
		return &orderOutput{Status: http.StatusAccepted, Location: placedAnswer.Links["status"], Body: placedAnswer}, nil
	})
	benchmarkOrders(b, a)
}

// BenchmarkOrderPlainHuma is huma over chi as its documentation sets it up.
func BenchmarkOrderPlainHuma(b *testing.B) {
	router := chi.NewRouter()
	api := humachi.New(router, huma.DefaultConfig("plain", "1"))
	huma.Register(api, orderOperation(), func(context.Context, *plainOrderInput) (*orderOutput, error) {
		return &orderOutput{Status: http.StatusAccepted, Location: placedAnswer.Links["status"], Body: placedAnswer}, nil
	})
	benchmarkOrders(b, router)
}

// BenchmarkOrderHumaFastJSON is the same with our JSON as its format, which validates a
// generic tree first and decodes again.
func BenchmarkOrderHumaFastJSON(b *testing.B) {
	router := chi.NewRouter()
	cfg := huma.DefaultConfig("fast", "1")
	cfg.CreateHooks = nil
	format := huma.Format{Marshal: marshal, Unmarshal: unmarshal}
	cfg.Formats = map[string]huma.Format{"application/json": format, "json": format}
	api := humachi.New(router, cfg)
	huma.Register(api, orderOperation(), func(context.Context, *plainOrderInput) (*orderOutput, error) {
		return &orderOutput{Status: http.StatusAccepted, Location: placedAnswer.Links["status"], Body: placedAnswer}, nil
	})
	benchmarkOrders(b, router)
}

// BenchmarkOrderBareChi decodes and validates by hand: the least that a handler can do.
func BenchmarkOrderBareChi(b *testing.B) {
	router := chi.NewRouter()
	router.Post("/v1/orders", func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, DefaultMaxBody))
		var in orderRequest
		if err == nil {
			err = json.Unmarshal(data, &in, strict)
		}
		if err != nil || !validByHand(&in) {
			http.Error(w, "bad order", http.StatusUnprocessableEntity)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Location", placedAnswer.Links["status"])
		w.WriteHeader(http.StatusAccepted)
		_ = json.MarshalWrite(w, placedAnswer, output)
	})
	benchmarkOrders(b, router)
}

func validByHand(in *orderRequest) bool {
	upper := func(s string, n int) bool {
		for i := range len(s) {
			if s[i] < 'A' || s[i] > 'Z' {
				return false
			}
		}
		return len(s) == n
	}
	within := func(s string, least, most int) bool { return len(s) >= least && len(s) <= most }
	if !upper(in.Currency, 3) || !upper(in.ShipTo.Country, 2) || !within(in.CustomerID, 0, 64) || len(in.Lines) < 1 || len(in.Lines) > 100 ||
		in.Email != "" && !isPlainEmail([]byte(in.Email)) || !within(in.ShipTo.Name, 1, 200) || !within(in.ShipTo.Street, 1, 200) || !within(in.ShipTo.City, 1, 100) ||
		!within(in.ShipTo.PostalCode, 0, 20) || in.Delivery != "" && in.Delivery != "standard" && in.Delivery != "express" {
		return false
	}
	for _, l := range in.Lines {
		if l.Quantity < 1 || l.Quantity > 1_000_000 || !within(l.SKU, 1, 64) {
			return false
		}
		for i := range len(l.SKU) {
			if c := l.SKU[i]; !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-') {
				return false
			}
		}
	}
	return in.ExpectedTotal == nil || upper(in.ExpectedTotal.Currency, 3)
}
