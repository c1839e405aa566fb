package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/pkg/fault"
)

// maxPooledBody is the largest body buffer that is kept for the next request.
const maxPooledBody = 64 << 10

// guard stands before one operation: it asks for a caller, reads the body once and checks
// it, so that what huma does afterwards cannot fail for reasons that it reports badly (it
// answers 500 to a body that was cut off, and has one global code for everything).
type guard struct {
	api      *API
	op       *huma.Operation
	public   bool
	hasBody  bool
	required bool
	empty    bool            // no body is as good as {}
	limit    int64           // bytes of a body
	schema   *huma.Schema    // nil: the body is not JSON
	shape    *shape          // the quick check; nil if the schema is beyond it
	query    map[string]bool // the parameters that it knows, and whether they may be repeated
}

func (a *API) newGuard(op *huma.Operation) *guard {
	g := &guard{
		api: a, op: op, public: op.Security != nil && len(op.Security) == 0, query: map[string]bool{},
		limit: a.maxBody[op.Method+" "+op.Path],
	}
	for _, p := range op.Parameters {
		if p.In == "query" {
			g.query[p.Name] = p.Explode != nil && *p.Explode
		}
	}
	if op.RequestBody != nil {
		g.hasBody, g.required = true, op.RequestBody.Required
		g.empty = mayBeEmpty(a.OpenAPI().Components.Schemas, op.RequestBody)
		if m := op.RequestBody.Content[jsonType]; m != nil && m.Schema != nil && m.Schema.Format != "binary" {
			g.schema = m.Schema
			g.shape = newShape(a.OpenAPI().Components.Schemas, m.Schema)
		}
	}
	return g
}

// pass reports whether the operation may run; if not it has answered. The body, if not nil,
// is to be released when the operation is done.
func (g *guard) pass(w http.ResponseWriter, r *http.Request) (*body, bool) {
	q := requestOf(r.Context())
	if !g.public && !q.caller.known() {
		return nil, g.refuse(w, r, fault.Unauthenticated("authentication_required", "send a bearer token in the Authorization header"))
	}
	if r.URL.RawQuery != "" {
		if p := g.checkQuery(r.URL.RawQuery); p != nil {
			return nil, g.refuse(w, r, p)
		}
	}
	if !g.hasBody {
		return nil, true
	}
	p := g.checkMedia(r)
	if p != nil && (g.required || r.ContentLength > 0) {
		return nil, g.refuse(w, r, p)
	}
	b := g.api.bodies.Get().(*body)
	if p := b.read(r, g.limit); p != nil {
		return b, g.refuse(w, r, p)
	}
	if p != nil && len(b.data) > 0 { // it was not said how long it is
		return b, g.refuse(w, r, p)
	}
	if g.empty && len(b.data) == 0 {
		b.data = append(b.data, emptyObject...)
	}
	if p := g.checkBody(b.data); p != nil {
		return b, g.refuse(w, r, p)
	}
	q.body = b.data
	b.reader.Reset(b.data)
	r.Body = b
	return b, true
}

// emptyObject is the body of a request without one, where it may be left out.
const emptyObject = "{}"

// mayBeEmpty reports whether a body is a JSON object that may be without fields.
func mayBeEmpty(r huma.Registry, b *huma.RequestBody) bool {
	if b == nil || len(b.Content) != 1 || b.Content[jsonType] == nil || b.Content[jsonType].Schema == nil {
		return false
	}
	s := b.Content[jsonType].Schema
	for s.Ref != "" {
		s = r.SchemaFromRef(s.Ref)
	}
	return s.Type == huma.TypeObject && len(s.Required) == 0 && (s.MinProperties == nil || *s.MinProperties == 0)
}

func (g *guard) refuse(w http.ResponseWriter, r *http.Request, err error) bool {
	g.api.refuse(w, r, err)
	return false
}

// checkQuery refuses what huma would ignore or read as "not set": unknown parameters, broken
// escapes, and a parameter that is given twice.
func (g *guard) checkQuery(raw string) *Problem {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return badRequest("malformed_query", "the query string cannot be read: a broken % escape or a semicolon")
	}
	var p *Problem
	refuse := func(name, message string) {
		if p == nil {
			p = fromStatus(http.StatusUnprocessableEntity, "the query parameters do not fit; errors says which")
		}
		p.add("query."+name, message)
	}
	for name, vs := range values {
		repeats, known := g.query[name]
		switch {
		case !known:
			refuse(name, "unknown query parameter")
		case len(vs) > 1 && !repeats:
			refuse(name, "given more than once")
		case !cleanText(strings.Join(vs, "")):
			refuse(name, "has control characters or is not UTF-8")
		}
	}
	return p
}

// checkMedia refuses bodies in a form that the operation does not take. A JSON body must be
// called one: a web form can send a body without saying what it is.
func (g *guard) checkMedia(r *http.Request) *Problem {
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return &Problem{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Detail: "send the body without a content encoding"}
	}
	if g.schema == nil {
		return nil
	}
	ct := r.Header.Get("Content-Type")
	if ct == jsonType {
		return nil
	}
	media, params, _ := strings.Cut(ct, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	params = strings.ToLower(strings.ReplaceAll(params, " ", ""))
	if media == jsonType || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json") {
		if charset, ok := strings.CutPrefix(params, "charset="); !ok || strings.Trim(charset, `"`) == "utf-8" {
			return nil
		}
	}
	return &Problem{
		Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type",
		Detail: "send the body as Content-Type: application/json, in UTF-8",
	}
}

// checkBody decides whether a body fits the operation's schema. Most bodies pass the shape;
// the others are given to huma's validator, which has the last word and the messages.
func (g *guard) checkBody(data []byte) *Problem {
	if len(data) == 0 {
		if g.required {
			return badRequest("body_required", "this operation needs a body")
		}
		return nil
	}
	if g.schema == nil {
		return nil
	}
	if hasNUL(data) {
		return invalidBody("body", `contains the character \u0000`)
	}
	if g.shape != nil && g.shape.accepts(data) {
		return nil
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		return badRequest("malformed_body", strings.TrimPrefix(decodeFailure(err).text, malformed))
	}
	return g.validate(tree)
}

// validate asks huma. It panics on some input, such as objects where unique strings should be.
func (g *guard) validate(tree any) (p *Problem) {
	defer func() {
		if recover() != nil {
			p = invalidBody("body", "does not fit the schema of this operation")
		}
	}()
	path, res := huma.NewPathBuffer(make([]byte, 0, maxFieldText), 0), &huma.ValidateResult{}
	path.Push("body")
	huma.Validate(g.api.OpenAPI().Components.Schemas, g.schema, path, huma.ModeWriteToServer, tree, res)
	for _, err := range res.Errors {
		var d *huma.ErrorDetail
		if errors.As(err, &d) {
			if p == nil {
				p = invalidBody(d.Location, d.Message)
			} else {
				p.add(d.Location, d.Message)
			}
		}
	}
	return p
}

func invalidBody(location, message string) *Problem {
	p := &Problem{Status: http.StatusUnprocessableEntity, Code: "validation_failed", Detail: "the body does not fit; errors says where"}
	p.add(location, message)
	return p
}

// body is a request's body, read whole. It is a buffer that is used again.
type body struct {
	data   []byte
	reader bytes.Reader
}

// Read gives the body to huma.
func (b *body) Read(p []byte) (int, error) { return b.reader.Read(p) }

// Close does nothing: the buffer is released by whoever took it.
func (b *body) Close() error { return nil }

// read takes in the whole body, up to limit bytes.
func (b *body) read(r *http.Request, limit int64) *Problem {
	if r.ContentLength > limit {
		return tooLarge(limit)
	}
	b.data = b.data[:0]
	if n := int(r.ContentLength) + 1; n > cap(b.data) { // one more, to see the end without growing
		b.data = make([]byte, 0, max(n, 1024))
	}
	for {
		if len(b.data) == cap(b.data) {
			b.data = append(b.data, 0)[:len(b.data)]
		}
		n, err := r.Body.Read(b.data[len(b.data):cap(b.data)])
		b.data = b.data[:len(b.data)+n]
		switch {
		case int64(len(b.data)) > limit:
			return tooLarge(limit)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return unreadable(err)
		}
	}
}

func tooLarge(limit int64) *Problem {
	return fromStatus(http.StatusRequestEntityTooLarge, "a body has at most %d bytes here", limit)
}

// unreadable is for bodies that did not arrive: that is the sender's side, never ours.
func unreadable(err error) *Problem {
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return fromStatus(http.StatusRequestTimeout, "the body did not arrive in time")
	}
	return badRequest("malformed_body", "the body ended before it was complete, or its chunks are broken")
}

func (a *API) release(b *body) {
	if cap(b.data) <= maxPooledBody {
		b.reader.Reset(nil)
		a.bodies.Put(b)
	}
}

// RawBody returns the body of the request as it was sent, for digests and signatures. It is
// valid until the handler returns, and must not be changed. It is nil where there is none.
func RawBody(ctx context.Context) []byte {
	if q := requestOf(ctx); q != nil {
		return q.body
	}
	return nil
}
