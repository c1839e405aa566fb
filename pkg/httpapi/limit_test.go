package httpapi

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/golang-jwt/jwt/v5"
)

func TestACallerWhoAsksTooOftenWaitsAndOthersDoNot(t *testing.T) {
	a := guarded(t, func(o *Options) {
		o.Verifier = newVerifier(t, AuthConfig{HS256Secret: testSecret}, atNoon)
		o.RateLimit = RateLimit{Requests: 3, Window: time.Hour}
	})
	as := func(sub string) []string {
		return []string{"Authorization", "Bearer " + sign(t, jwt.SigningMethodHS256, []byte(testSecret), claims(func(m jwt.MapClaims) { m["sub"] = sub }), "")}
	}
	for range 3 {
		if w := send(a, newRequest("GET", "/private", "", as("ada")...)); w.Code != 200 || strings.Contains(strings.ToLower(header(w.Header())), "ratelimit") {
			t.Fatal(w.Code, w.Header())
		}
	}
	w := send(a, newRequest("GET", "/private", "", as("ada")...))
	wantProblem(t, w, 429, "rate_limited")
	if w.Header().Get("Retry-After") != "3600" {
		t.Error(w.Header())
	}
	if w := send(a, newRequest("GET", "/private", "", as("bob")...)); w.Code != 200 {
		t.Error(w.Code)
	}
	for i := range 5 { // guessing tokens counts by address
		w = send(a, newRequest("GET", "/private", "", "Authorization", "Bearer "+strings.Repeat("x", i)))
	}
	wantProblem(t, w, 429, "rate_limited")
}

func header(h http.Header) string {
	var b strings.Builder
	_ = h.Write(&b)
	return b.String()
}

func TestThereIsNoRateLimitByDefault(t *testing.T) {
	a := guarded(t)
	for range 1000 {
		if w := send(a, newRequest("GET", "/private", "")); w.Code != 200 {
			t.Fatal(w.Code)
		}
	}
}

func TestRequestsUnderWayAreBounded(t *testing.T) {
	a := newTestAPI(t, func(o *Options) { o.MaxInFlight = 2 })
	entered, leave := make(chan struct{}), make(chan struct{})
	huma.Register(a, huma.Operation{OperationID: "slow", Method: "GET", Path: "/slow"}, func(context.Context, *struct{}) (*struct{}, error) {
		entered <- struct{}{}
		<-leave
		return nil, nil
	})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { send(a, newRequest("GET", "/slow", "")) })
		<-entered
	}
	w := send(a, newRequest("GET", "/slow", ""))
	wantProblem(t, w, 429, "rate_limited")
	if w.Header().Get("Retry-After") != "1" {
		t.Error(w.Header())
	}
	close(leave)
	wg.Wait()
	go func() { <-entered }()
	if w := send(a, newRequest("GET", "/slow", "")); w.Code != http.StatusNoContent {
		t.Error("places are not given back: ", w.Code)
	}
}
