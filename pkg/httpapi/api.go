package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/httprate"
	"go.opentelemetry.io/otel/trace"
)

// Defaults and bounds of an API.
const (
	DefaultMaxBody     = 256 << 10 // bytes of a request body
	DefaultMaxInFlight = 10_000    // requests at once; more get a 429
)

// Options are what an API is made of. Addr, Clock and Random are required.
type Options struct {
	Title       string // of the OpenAPI document
	Version     string
	Description string // Markdown

	Addr     string    // where it will listen; authentication may be off on loopback only
	Verifier *Verifier // nil: authentication is off, and every caller is staff

	MaxBody     int64 // bytes; DefaultMaxBody if 0
	MaxInFlight int   // DefaultMaxInFlight if 0
	RateLimit   RateLimit

	MaxStreams          int           // event streams at once; DefaultMaxStreams if 0
	MaxStreamsPerCaller int           // of one customer or one of the staff; DefaultMaxStreamsPerCaller if 0
	StreamWrite         time.Duration // for a client to take in events; DefaultStreamWrite if 0

	Log      *slog.Logger // slog.DiscardHandler if nil
	Observer Observer     // told of every request; may be nil
	Tracer   trace.Tracer // starts a span for every request; may be nil
	Clock    func() time.Time
	Random   io.Reader // where trace ids come from; safe for concurrent use
}

// RateLimit is how many requests one caller may make in any window. The zero value is no limit.
type RateLimit struct {
	Requests int
	Window   time.Duration // one second if 0
}

// Observer hears of every request that was answered. The route is the pattern that matched,
// such as /v1/orders/{id}, or "unmatched"; the method is one of HTTP's own, or "other": so
// both can be labels. It is called on the request's goroutine and must be fast.
type Observer interface {
	Observe(method, route string, status int, took time.Duration)
}

// API is a huma.API on a chi router: services register operations on it with huma.Register,
// and a server serves it. Registering is for the time before it serves; serving is safe for
// concurrent use.
type API struct {
	huma.API
	// Router takes routes that are no operations. They get admission (limits, a caller where
	// one is named) but no guard: use RequireCaller in them.
	Router chi.Router

	opts     Options
	log      *slog.Logger
	cross    *http.CrossOriginProtection
	rate     *httprate.RateLimiter
	inFlight atomic.Int64
	streams  streams
	routes   sync.Pool // of *chi.Context
	bodies   sync.Pool // of *body
	draining context.Context
	drain    context.CancelFunc
	openapi  func() ([]byte, error)
	maxBody  map[string]int64 // bytes, by method and path; while operations are registered
}

// New returns an API with no operations. It refuses options under which anyone could act as staff.
func New(o Options) (*API, error) {
	if o.Clock == nil || o.Random == nil {
		return nil, errors.New("httpapi: a clock and a source of randomness are required")
	}
	if o.Verifier == nil && !isLoopback(o.Addr) {
		return nil, fmt.Errorf("httpapi: authentication is off, which is for loopback addresses only: "+
			"set up authentication, or listen on 127.0.0.1 instead of %q", o.Addr)
	}
	huma1.Do(configureHuma)
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = DefaultMaxInFlight
	}
	if o.MaxStreams <= 0 {
		o.MaxStreams = DefaultMaxStreams
	}
	if o.MaxStreamsPerCaller <= 0 {
		o.MaxStreamsPerCaller = DefaultMaxStreamsPerCaller
	}
	if o.StreamWrite <= 0 {
		o.StreamWrite = DefaultStreamWrite
	}
	a := &API{opts: o, log: o.Log, maxBody: map[string]int64{}}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if o.Verifier == nil {
		a.cross = http.NewCrossOriginProtection()
	}
	if a.opts.RateLimit.Window <= 0 {
		a.opts.RateLimit.Window = time.Second
	}
	if o.RateLimit.Requests > 0 {
		a.rate = httprate.NewRateLimiter(o.RateLimit.Requests, a.opts.RateLimit.Window,
			httprate.WithResponseHeaders(httprate.ResponseHeaders{}))
	}
	a.routes.New = func() any { return chi.NewRouteContext() }
	a.bodies.New = func() any { return new(body) }
	a.draining, a.drain = context.WithCancel(context.Background())

	router := chi.NewRouter()
	router.NotFound(a.notFound)
	router.MethodNotAllowed(a.methodNotAllowed)
	a.Router = router
	a.API = huma.NewAPI(a.config(), adapter{a})
	a.openapi = sync.OnceValues(func() ([]byte, error) { return a.OpenAPI().MarshalJSON() })
	a.serveDocs()
	return a, nil
}

// Drain tells waiting requests to answer with what they have, since the process is about to
// stop; see WaitContext. Other requests are served as before.
func (a *API) Drain() { a.drain() }

// config is huma's, without what this package does itself: documents, negotiation, JSON.
func (a *API) config() huma.Config {
	format := huma.Format{Marshal: marshal, Unmarshal: unmarshal}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: a.opts.Title, Version: a.opts.Version, Description: a.opts.Description},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", schemaNamer()),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					bearer: {Type: "http", Scheme: "bearer", BearerFormat: "JWT"},
				},
			},
		},
		Formats:       map[string]huma.Format{jsonType: format, "json": format},
		DefaultFormat: jsonType,
		Transformers:  []huma.Transformer{completeProblem},
	}
}

// schemaNamer names schemas after their types; where two packages have a type of the same
// name, the later one is prefixed with its package's name (huma would panic).
func schemaNamer() func(reflect.Type, string) string {
	owner := map[string]reflect.Type{}
	return func(t reflect.Type, hint string) string {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		name := huma.DefaultSchemaNamer(t, hint)
		if other, ok := owner[name]; ok && other != t && t.PkgPath() != "" {
			pkg := t.PkgPath()[strings.LastIndexByte(t.PkgPath(), '/')+1:]
			name = strings.ToUpper(pkg[:1]) + pkg[1:] + name
		}
		owner[name] = t
		return name
	}
}

// Negotiate returns JSON whatever the client accepts: it is all there is, and huma's own
// negotiation panics on headers such as "a;b,".
func (a *API) Negotiate(string) (string, error) { return jsonType, nil }

// Marshal writes v as JSON; problems and results alike.
func (a *API) Marshal(w io.Writer, _ string, v any) error { return marshal(w, v) }

// Unmarshal reads strict JSON into v. The guard has checked the content type.
func (a *API) Unmarshal(_ string, data []byte, v any) error { return unmarshal(data, v) }

// DocumentOperation prepares an operation that is being registered and adds it to the
// OpenAPI document: a caller is required unless Security is Public, a body that may be {} may
// be left out, and the guard takes over what huma would do with the body. huma.Register calls it.
func (a *API) DocumentOperation(op *huma.Operation) {
	if op.Security == nil {
		op.Security = []map[string][]string{{bearer: {}}}
	}
	// The guard reads and checks bodies before huma does (see guard.go).
	op.SkipValidateBody = true
	limit := a.opts.MaxBody
	if op.MaxBodyBytes > 0 && op.MaxBodyBytes != humaDefaultMaxBody {
		limit = op.MaxBodyBytes
	}
	op.MaxBodyBytes = noLimit
	a.maxBody[op.Method+" "+op.Path] = limit
	// huma would set a read deadline when the body has been read already. net/http then waits
	// for the client to go away, takes the deadline for that, and ends the request's context:
	// a caller who waits longer than 5 s would be cut off. The server has its own deadline.
	op.BodyReadTimeout = 0
	if mayBeEmpty(a.OpenAPI().Components.Schemas, op.RequestBody) {
		op.RequestBody.Required = false
	}
	if !op.Hidden {
		a.OpenAPI().AddOperation(op)
	}
}

// Public is the Security of an operation that anyone may call, such as a signed webhook.
var Public = []map[string][]string{}

const (
	bearer             = "bearer"
	jsonType           = "application/json"
	humaDefaultMaxBody = 1 << 20
	noLimit            = -1
)

// adapter puts huma's operations on the router, each behind its guard.
type adapter struct{ api *API }

// Handle registers one operation. It panics on one that did not come through
// DocumentOperation: a huma.Group with a prefix registers copies, which would miss what is
// set there.
func (ad adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	if op.MaxBodyBytes != noLimit {
		panic("httpapi: register " + op.Method + " " + op.Path + " on the API itself, not on a huma.Group")
	}
	g := ad.api.newGuard(op)
	ad.api.Router.MethodFunc(op.Method, op.Path, func(w http.ResponseWriter, r *http.Request) {
		b, ok := g.pass(w, r)
		if ok {
			handler(humachi.NewContext(op, r, w))
		}
		if b != nil {
			ad.api.release(b)
		}
	})
}

// ServeHTTP serves the router, for callers that have an adapter only.
func (ad adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { ad.api.ServeHTTP(w, r) }

// huma1 guards huma's package variables, which are the process's.
var huma1 sync.Once

func configureHuma() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return newProblem(nil, status, msg, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		return newProblem(ctx, status, msg, errs)
	}
	huma.ValidateStrictCasing = true  // a field in another case is an unknown field
	huma.DefaultArrayNullable = false // we write [] for nil slices and accept no null
}
