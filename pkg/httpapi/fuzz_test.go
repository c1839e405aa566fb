package httpapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
)

// fuzzAPI has one operation of each kind; handlers answer, so that every 5xx is ours.
func fuzzAPI(t testing.TB) *API {
	a := newTestAPI(t)
	withOrders(a)
	huma.Register(a, huma.Operation{OperationID: "everything", Method: "POST", Path: "/everything"},
		func(_ context.Context, in *struct{ Body everything }) (*struct{ Body everything }, error) {
			return &struct{ Body everything }{in.Body}, nil
		})
	huma.Register(a, huma.Operation{OperationID: "list", Method: "GET", Path: "/v1/orders/{id}"}, func(_ context.Context, in *struct {
		ReadParams
		PageParams
		ID     string   `path:"id" maxLength:"64"`
		Status []string `query:"status" enum:"placed,delivered"`
		Big    uint64   `query:"big"`
		Ratio  float64  `query:"ratio"`
		Yes    bool     `query:"yes"`
	},
	) (*struct{ Body List[string] }, error) {
		_, err := in.After(in.ID, 2)
		return &struct{ Body List[string] }{List[string]{Items: []string{in.ID, in.Tokens.String()}}}, err
	})
	return a
}

// wantNoFaultOfOurs checks that whatever came in, the answer is well-formed and no 5xx.
func wantNoFaultOfOurs(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code >= http.StatusInternalServerError || w.Code < http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	if w.Code >= http.StatusBadRequest {
		var p Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code == "" || p.Status != w.Code || p.TraceID == "" {
			t.Fatalf("%v: %s", err, w.Body)
		}
	}
}

func FuzzBodies(f *testing.F) {
	for _, s := range []string{
		orderBody, good, "", "{}", "null", "[]", "1", `"x"`, `{"lines":[{"quantity":1e400}]}`, `{"a":1,"a":2}`, `{"text":"\ud800"}`, `{"labels":{"":null}}`,
		`{"nested":{"nested":{"nested":null}}}`, "\xef\xbb\xbf{}", strings.Repeat(`{"nested":`, 70), `{"count":-0}`, `{"at":"2026-11-23T25:00:00Z"}`, `{"list":[[[]]]}`,
	} {
		f.Add([]byte(s))
	}
	a, g := fuzzAPI(f), guardFor(f, everything{})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, path := range []string{"/v1/orders", "/everything"} {
			r := newRequest("POST", path, string(data))
			r.Header.Set("Content-Type", "application/json")
			wantNoFaultOfOurs(t, send(a, r))
		}
		var n int
		checkAgreement(t, g, data, &n)
	})
}

func FuzzRequestLines(f *testing.F) {
	for _, s := range [][2]string{
		{"/v1/orders/1", "limit=5&cursor=x"},
		{"/v1/orders/%2F", "status=placed,delivered&yes"},
		{"//", ";"},
		{"/v1/orders/%zz", "%"},
		{"/v1/orders/é", "big=-1&ratio=NaN"},
		{"/v1/orders/\x00", "yes=perhaps&ratio=1e999"},
		{"/v1/orders/" + strings.Repeat("x", 65), "limit=&limit="},
		{"/docs/../..", "="},
		{"*", "&&&"},
		{"/v1/orders/.", "cursor=" + EncodeCursor("1", "a", "b")},
	} {
		f.Add("GET", s[0], s[1])
	}
	f.Add("HEAD", "/openapi.json", "")
	f.Add("OPTIONS", "*", "")
	a := fuzzAPI(f)
	f.Fuzz(func(t *testing.T, method, path, query string) {
		r := newRequest("GET", "/", "")
		r.Method, r.URL.Path, r.URL.RawQuery = method, path, query
		wantNoFaultOfOurs(t, send(a, r))
		r.URL.RawPath = path
		wantNoFaultOfOurs(t, send(a, r))
	})
}

func FuzzHeaders(f *testing.F) {
	for _, v := range []string{
		"", "wait=5", `"order-1@3"`, "order-1@3, product-x@1", "a;b,", "application/json;q=", "Bearer x", "*", "W/", `"`, ",,,", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"application/json; charset", "+;+", "identity", "é\xff", "gzip", "localhost:x",
	} {
		f.Add(v, v)
	}
	a := fuzzAPI(f)
	names := []string{
		"Prefer", "If-Match", "If-None-Match", "Consistency-Token", "Idempotency-Key", "Accept", "Content-Type", "Content-Encoding", "Traceparent", "Tracestate", "Authorization", "Origin",
		"Accept-Encoding", "Cookie", "Sec-Fetch-Site",
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		for _, name := range names {
			for _, r := range []*http.Request{newRequest("POST", "/v1/orders", orderBody), newRequest("GET", "/v1/orders/1", ""), newRequest("GET", "/docs", "")} {
				r.Header[name] = []string{one, two}
				wantNoFaultOfOurs(t, send(a, r))
			}
		}
		r := newRequest("GET", "/v1/orders/1", "")
		r.Host = one
		wantNoFaultOfOurs(t, send(a, r))
	})
}
