// Package servicetest lets tests of a service ask it over its API as any caller, and keep its
// view from records that they publish, step by step and with nothing else around.
package servicetest

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"

	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/kafka/memkafka"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/pkg/projection/sqlitestore"
	"github.com/orderlane/orderlane/pkg/service"
)

// Noon is the time at which tests run.
var Noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// Clock always says Noon.
func Clock() time.Time { return Noon }

const (
	secret   = "a secret of at least 32 bytes, for tests"
	issuer   = "https://issuer.test"
	audience = "orderlane"
)

// notRandom always reads the same. It is safe for concurrent use.
type notRandom struct{}

func (notRandom) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		n += copy(p[n:], "not random at all")
	}
	return len(p), nil
}

// API is a public API with authentication on.
type API struct {
	*httpapi.API
	t testing.TB
}

// NewAPI returns an API without operations.
func NewAPI(t testing.TB) *API {
	t.Helper()
	verifier, err := httpapi.NewVerifier(t.Context(), httpapi.AuthConfig{Issuer: issuer, Audience: audience, HS256Secret: secret}, Clock, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	api, err := httpapi.New(httpapi.Options{
		Title: "test", Version: "1", Addr: "127.0.0.1:0", Verifier: verifier, Clock: Clock,
		Random: notRandom{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &API{api, t}
}

// Answer is an answer of the API.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	t      testing.TB
}

// Into decodes the body, which must be JSON.
func (a *Answer) Into(v any) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.Body), v); err != nil {
		a.t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
}

// Code is the code of a problem, or "".
func (a *Answer) Code() string {
	var problem struct {
		Code string `json:"code"`
	}
	if json.Unmarshal([]byte(a.Body), &problem) != nil {
		return ""
	}
	return problem.Code
}

// Get asks as a caller, with headers as names and values.
func (a *API) Get(as httpapi.Caller, path string, header ...string) *Answer {
	a.t.Helper()
	return a.Do(as, http.MethodGet, path, "", header...)
}

// Do asks as a caller, with headers as names and values.
func (a *API) Do(as httpapi.Caller, method, path, body string, header ...string) *Answer {
	a.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(a.t.Context(), method, path, content)
	r.Header.Set("Authorization", "Bearer "+a.Token(as))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return &Answer{Status: w.Code, Header: w.Result().Header, Body: w.Body.String(), t: a.t}
}

// Token is a caller's bearer token, for requests that Do is not for.
func (a *API) Token(as httpapi.Caller) string {
	a.t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": issuer, "aud": audience, "sub": as.ID, "role": string(as.Role), "exp": Noon.Add(time.Hour).Unix(),
	}).SignedString([]byte(secret))
	if err != nil {
		a.t.Fatal(err)
	}
	return token
}

// View is a view in a SQLite store, kept from a broker in memory.
type View struct {
	*service.Reader
	Projection *projection.Projection
	Broker     *memkafka.Broker
	consumer   *memkafka.Consumer
	t          testing.TB
}

// NewView returns an empty view whose topics have two partitions each.
func NewView(t testing.TB, view projection.View) *View {
	t.Helper()
	store, err := sqlitestore.Open(filepath.Join(t.TempDir(), "view.db"), sqlitestore.Options{Readers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return NewViewIn(t, view, store)
}

// NewViewIn is NewView in a store of the caller's, such as one in PostgreSQL.
func NewViewIn(t testing.TB, view projection.View, store projection.Store) *View {
	t.Helper()
	var topics []kafka.TopicSpec
	for _, s := range view.Sources() {
		topics = append(topics, kafka.TopicSpec{Name: s.Topic, Partitions: 2})
	}
	broker := memkafka.New(Clock, topics...)
	p, err := projection.New(t.Context(), projection.Options{View: view, Store: store, Clock: Clock, Replay: broker.ReadRange})
	if err != nil {
		t.Fatal(err)
	}
	v := &View{Reader: &service.Reader{Store: store, Answers: p.Answers}, Projection: p, Broker: broker, consumer: broker.Consumer(p), t: t}
	if err := v.consumer.Assign(t.Context(), broker.Partitions(p.Topics()...)...); err != nil {
		t.Fatal(err)
	}
	return v
}

// Fold publishes records one after the other and folds each before the next, so that they
// arrive in this order also where their topics differ.
func (v *View) Fold(records ...kafka.Record) {
	v.t.Helper()
	for i := range records {
		if err := v.Broker.Producer().Publish(v.t.Context(), records[i:i+1]); err != nil {
			v.t.Fatal(err)
		}
		if n, err := v.consumer.StepAny(-1); n != 1 || err != nil {
			v.t.Fatalf("%d records are delivered, %v", n, err)
		}
		if _, err := v.Projection.Step(v.t.Context()); err != nil {
			v.t.Fatal(err)
		}
	}
}

// foldBatch is how many records FoldAll takes from a partition at once.
const foldBatch = 4000

// FoldAll publishes records and folds them in batches, for tests that need many: in the order of
// their partitions, and in none between them.
func (v *View) FoldAll(records ...kafka.Record) {
	v.t.Helper()
	if err := v.Broker.Producer().Publish(v.t.Context(), records); err != nil {
		v.t.Fatal(err)
	}
	for {
		n, err := v.consumer.StepAny(foldBatch)
		if err != nil {
			v.t.Fatal(err)
		}
		if _, err := v.Projection.Step(v.t.Context()); err != nil {
			v.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}
