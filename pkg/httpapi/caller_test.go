package httpapi

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/golang-jwt/jwt/v5"

	"github.com/orderlane/orderlane/pkg/fault"
)

// guarded has a private, a public and a staff operation, and a route that is none.
func guarded(t testing.TB, change ...func(*Options)) *API {
	t.Helper()
	a := newTestAPI(t, change...)
	who := func(ctx context.Context, _ *struct{}) (*struct{ Body string }, error) {
		c := CallerOf(ctx)
		return &struct{ Body string }{string(c.Role) + " " + c.ID}, nil
	}
	huma.Register(a, huma.Operation{OperationID: "private", Method: "GET", Path: "/private"}, who)
	huma.Register(a, huma.Operation{OperationID: "public", Method: "GET", Path: "/public", Security: Public}, who)
	huma.Register(a, huma.Operation{OperationID: "staff", Method: "GET", Path: "/staff"}, func(ctx context.Context, _ *struct{}) (*struct{}, error) {
		_, err := RequireCaller(ctx, RoleStaff)
		return nil, err
	})
	a.Router.Get("/plain", func(w http.ResponseWriter, r *http.Request) {
		if _, err := RequireCaller(r.Context()); err != nil {
			a.WriteProblem(w, r, err)
		}
	})
	return a
}

func TestOperationsNeedACallerUnlessTheyArePublic(t *testing.T) {
	a := guarded(t, func(o *Options) {
		o.Addr, o.Verifier = ":8080", newVerifier(t, AuthConfig{HS256Secret: testSecret}, atNoon)
	})
	token := "Bearer " + sign(t, jwt.SigningMethodHS256, []byte(testSecret), claims(), "")
	for _, path := range []string{"/private", "/staff", "/plain"} {
		w := send(a, newRequest("GET", path, ""))
		wantProblem(t, w, 401, "authentication_required")
		if w.Header().Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: %v", path, w.Header())
		}
	}
	if w := send(a, newRequest("GET", "/public", "")); w.Code != 200 {
		t.Error(w.Code)
	}
	if w := send(a, newRequest("GET", "/private", "", "Authorization", token)); w.Body.String() != `"customer c-42"` {
		t.Error(w.Code, w.Body)
	}
	wantProblem(t, send(a, newRequest("GET", "/staff", "", "Authorization", token)), 403, "role_required")
	w := send(a, newRequest("GET", "/public", "", "Authorization", "Bearer nonsense"))
	wantProblem(t, w, 401, "invalid_token")
	if w.Header().Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
		t.Errorf("%v", w.Header())
	}
	for _, h := range []string{"Basic eDp5", "Bearer", "", "x"} {
		wantRefused(t, send(a, newRequest("GET", "/private", "", "Authorization", h)))
	}
	wantRefused(t, send(a, newRequest("GET", "/private", "", "Authorization", token, "Authorization", token)))
	if w := send(a, newRequest("GET", "/private", "", "Authorization", token)); w.Code != 200 || w.Header().Get("Traceparent") == "" {
		t.Error(w.Code)
	}
	spec := send(a, newRequest("GET", "/openapi.json", "")).Body.String()
	if strings.Count(spec, `"security":[{"bearer":[]}]`) != 2 {
		t.Error(spec)
	}
}

func wantRefused(t testing.TB, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code != 401 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestWithoutAuthenticationEveryCallerOnLoopbackIsStaff(t *testing.T) {
	a := guarded(t)
	if w := send(a, newRequest("GET", "/private", "")); w.Body.String() != `"staff local"` {
		t.Error(w.Code, w.Body)
	}
	for _, host := range []string{"localhost", "localhost:8080", "127.0.0.1:8080", "127.0.0.9", "[::1]:8080", "[::1]", "LOCALHOST"} {
		r := newRequest("GET", "/private", "")
		r.Host = host
		if w := send(a, r); w.Code != 200 {
			t.Errorf("%s: %d", host, w.Code)
		}
	}
}

func TestWithoutAuthenticationWebPagesAndOtherHostsAreRefused(t *testing.T) {
	a := guarded(t)
	for _, host := range []string{"evil.example", "evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1", "", "[", ":", "[]", "::", "[::2]:80"} {
		r := newRequest("GET", "/private", "")
		r.Host = host
		wantProblem(t, send(a, r), 403, "foreign_host")
	}
	withOrders(a)
	wantProblem(t, send(a, newRequest("POST", "/v1/orders", orderBody, "Sec-Fetch-Site", "cross-site")), 403, "cross_origin")
	wantProblem(t, send(a, newRequest("POST", "/v1/orders", orderBody, "Origin", "https://evil.example")), 403, "cross_origin")
	if w := send(a, newRequest("POST", "/v1/orders", orderBody, "Sec-Fetch-Site", "same-origin")); w.Code != 202 {
		t.Error(w.Code)
	}
}

func TestAuthenticationIsOffOnLoopbackOnly(t *testing.T) {
	for addr, ok := range map[string]bool{
		"127.0.0.1:8080": true, "localhost:0": true, "[::1]:8080": true,
		":8080": false, "0.0.0.0:8080": false, "[::]:8080": false, "10.1.2.3:80": false, "example.com:80": false, "": false,
	} {
		_, err := New(Options{Addr: addr, Clock: time.Now, Random: rand.Reader})
		if (err == nil) != ok {
			t.Errorf("%q: %v", addr, err)
		}
	}
	if _, err := New(Options{Addr: "127.0.0.1:0"}); err == nil {
		t.Error("no clock")
	}
}

func TestOutsideARequestThereIsNoCaller(t *testing.T) {
	if _, err := RequireCaller(t.Context()); !errors.Is(err, fault.Unauthenticated("authentication_required", "")) {
		t.Error(err)
	}
	if TraceID(t.Context()) != "" || Traceparent(t.Context()) != "" || RawBody(t.Context()) != nil {
		t.Error("something is there")
	}
	if !(Caller{"x", RoleService}).Staff() || (Caller{"x", RoleCustomer}).Staff() {
		t.Error("Staff")
	}
}
