package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

func TestABodyThatDoesNotFitIsRefusedAndSaysWhere(t *testing.T) {
	with := func(old, replacement string) string {
		if !strings.Contains(orderBody, old) {
			t.Fatalf("no %s in the body", old)
		}
		return strings.Replace(orderBody, old, replacement, 1)
	}
	lines := strings.Repeat(`{"sku":"A","quantity":1},`, 99) // and the two that are there
	for _, c := range []struct {
		name, body, location string
	}{
		{"wrong type", with(`"quantity": 2`, `"quantity": "2"`), "body.lines[0].quantity"},
		{"fraction", with(`"quantity": 2`, `"quantity": 2.5`), "body.lines[0].quantity"},
		{"zero", with(`"quantity": 2`, `"quantity": 0`), "body.lines[0].quantity"},
		{"huge", with(`"quantity": 2`, `"quantity": 99999999999999999999999`), "body.lines[0].quantity"},
		{"past int64", with(`"amount": 2998`, `"amount": 99999999999999999999999`), "body.expected_total.amount"},
		{"float for an integer", with(`"amount": 2998`, `"amount": 1e3`), "body.expected_total.amount"},
		{"unknown field", with(`"delivery"`, `"colour": 1, "delivery"`), "body.colour"},
		{"unknown field below", with(`"quantity": 2`, `"quantity": 2, "price": 1`), "body.lines[0].price"},
		{"field in another case", with(`"currency": "EUR",`, `"Currency": "EUR",`), "body"},
		{"missing", with(`"sku": "TEA-001", `, ``), "body.lines[0]"},
		{"null where required", with(`"quantity": 2`, `"quantity": null`), "body.lines[0].quantity"},
		{"null list", with(`"lines": [`, `"lines": null, "x": [`), "body.lines"},
		{"pattern", with(`TEA-001`, `TEA/001`), "body.lines[0].sku"},
		{"bad mail", with(`ada@example.com`, `ada`), "body.email"},
		{"too long", with(`Ada Lovelace`, strings.Repeat("a", 201)), "body.ship_to.name"},
		{"101 lines", with(`"lines": [`, `"lines": [`+lines), "body.lines"},
		{"no lines", `{"currency":"EUR","lines":[],"ship_to":{"name":"a","street":"b","postal_code":"","city":"c","country":"GB"}}`, "body.lines"},
		{"not in the list", with(`"standard"`, `"drone"`), "body.delivery"},
		{"a NUL", with(`Ada Lovelace`, `Ada\u0000`), "body"},
		{"another kind of value", `[]`, "body"},
		{"null", `null`, "body"},
	} {
		a := newTestAPI(t)
		withOrders(a)
		p := wantProblem(t, send(a, newRequest("POST", "/v1/orders", c.body)), http.StatusUnprocessableEntity, "validation_failed")
		if !slices.ContainsFunc(p.Errors, func(f ProblemField) bool { return f.Location == c.location && f.Message != "" }) {
			t.Errorf("%s: %+v does not name %s", c.name, p.Errors, c.location)
		}
	}
}

func TestABodyThatIsNoJSONIsMalformed(t *testing.T) {
	for name, body := range map[string]string{
		"trailing garbage": orderBody + "x",
		"a second value":   orderBody + "{}",
		"duplicate key":    strings.Replace(orderBody, `"currency": "EUR"`, `"currency": "EUR", "currency": "EUR"`, 1),
		"duplicate below":  strings.Replace(orderBody, `"quantity": 2`, `"quantity": 2, "quantity": 2`, 1),
		"cut off":          orderBody[:100],
		"invalid UTF-8":    strings.Replace(orderBody, "Ada L", "Ada\xff", 1),
		"control byte":     strings.Replace(orderBody, "Ada L", "Ada\x01", 1),
		"leading zero":     strings.Replace(orderBody, `"quantity": 2`, `"quantity": 02`, 1),
		"trailing comma":   strings.Replace(orderBody, `"quantity": 2}`, `"quantity": 2,}`, 1),
		"single quotes":    `{'currency': 'EUR'}`,
		"deep":             strings.Repeat("[", 100_000),
		"white space":      "   ",
	} {
		a := newTestAPI(t)
		withOrders(a)
		if p := wantProblem(t, send(a, newRequest("POST", "/v1/orders", body)), http.StatusBadRequest, "malformed_body"); p.Detail == "" || strings.Contains(p.Detail, "Go ") {
			t.Errorf("%s: %q", name, p.Detail)
		}
	}
}

func TestTheDecoderItselfIsStrict(t *testing.T) {
	for text, want := range map[string]string{
		`{"sku":"A","price":1}`: "body.price: unexpected property", `{"sku":1}`: "body.sku: has the wrong type or is out of range",
		`{"quantity":9223372036854775808}`: "body.quantity: has the wrong type or is out of range", `{"SKU":"A"}`: "body.SKU: unexpected property",
		`{"sku":"A","sku":"A"}`: malformed + "a field is given more than once, at body.sku", `{}x`: malformed + "the body is not valid JSON, at body",
	} {
		if err := unmarshal([]byte(text), &orderLine{}); err == nil || err.Error() != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAnEmptyBodyIsRefusedWhereOneIsNeeded(t *testing.T) {
	a := newTestAPI(t)
	withOrders(a)
	r := newRequest("POST", "/v1/orders", "", "Content-Type", "application/json")
	wantProblem(t, send(a, r), http.StatusBadRequest, "body_required")
}

type cancelInput struct {
	Body struct {
		Reason string `json:"reason,omitempty" maxLength:"10" default:"none given"`
	}
}

func TestABodyWithoutRequiredFieldsMayBeLeftOut(t *testing.T) {
	a := newTestAPI(t)
	var reason string
	huma.Register(a, huma.Operation{OperationID: "cancel", Method: http.MethodPost, Path: "/cancel"}, func(_ context.Context, in *cancelInput) (*struct{}, error) {
		reason = in.Body.Reason
		return nil, nil
	})
	for _, c := range []struct {
		what, body, contentType, want string
		chunked                       bool
	}{
		{what: "nothing", want: "none given"},
		{what: "nothing, in chunks", want: "none given", chunked: true},
		{what: "nothing, called a form", contentType: "application/x-www-form-urlencoded", want: "none given"},
		{what: "nothing, called JSON", contentType: jsonType, want: "none given"},
		{what: "an empty object", body: "{}", contentType: jsonType, want: "none given"},
		{what: "a body", body: `{"reason":"late"}`, contentType: jsonType, want: "late"},
	} {
		reason = ""
		r := newRequest("POST", "/cancel", c.body)
		r.Header.Set("Content-Type", c.contentType)
		if c.chunked {
			r.ContentLength = -1
		}
		if w := send(a, r); w.Code != http.StatusNoContent || reason != c.want {
			t.Errorf("%s: %d %s, %q", c.what, w.Code, w.Body, reason)
		}
	}
	for _, chunked := range []bool{false, true} {
		for _, c := range []struct {
			body, contentType string
			status            int
			code              string
		}{
			{`{"colour":1}`, jsonType, http.StatusUnprocessableEntity, "validation_failed"},
			{`{"reason":"far too long a reason"}`, jsonType, http.StatusUnprocessableEntity, "validation_failed"},
			{"{", jsonType, http.StatusBadRequest, "malformed_body"},
			{"{}", "", http.StatusUnsupportedMediaType, "unsupported_media_type"},
			{"reason=late", "application/x-www-form-urlencoded", http.StatusUnsupportedMediaType, "unsupported_media_type"},
		} {
			r := newRequest("POST", "/cancel", c.body)
			r.Header.Set("Content-Type", c.contentType)
			if chunked {
				r.ContentLength = -1
			}
			wantProblem(t, send(a, r), c.status, c.code)
		}
	}
	if a.OpenAPI().Paths["/cancel"].Post.RequestBody.Required {
		t.Error("the document says that a body is needed")
	}
}

func TestABodyMayHaveItsLimitAndNoMore(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		a := newTestAPI(t, func(o *Options) { o.MaxBody = int64(len(orderBody)) })
		withOrders(a)
		r := newRequest("POST", "/v1/orders", orderBody)
		more := newRequest("POST", "/v1/orders", orderBody+" ")
		huge := newRequest("POST", "/v1/orders", strings.Repeat("x", 1<<20))
		if chunked {
			r.ContentLength, more.ContentLength, huge.ContentLength = -1, -1, -1
		}
		if w := send(a, r); w.Code != http.StatusAccepted {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		wantProblem(t, send(a, more), http.StatusRequestEntityTooLarge, "body_too_large")
		wantProblem(t, send(a, huge), http.StatusRequestEntityTooLarge, "body_too_large")
	}
}

func TestAnOperationMayHaveItsOwnBodyLimit(t *testing.T) {
	a := newTestAPI(t)
	op := orderOperation()
	op.MaxBodyBytes = 10
	huma.Register(a, op, func(context.Context, *orderInput) (*orderOutput, error) { return &orderOutput{}, nil })
	wantProblem(t, send(a, newRequest("POST", "/v1/orders", orderBody)), http.StatusRequestEntityTooLarge, "body_too_large")
}

func TestBodiesInOtherFormsAreUnsupported(t *testing.T) {
	a := newTestAPI(t)
	withOrders(a)
	for contentType, ok := range map[string]bool{
		"application/json": true, "Application/JSON; charset=utf-8": true, `application/json;charset="UTF-8"`: true, "application/merge-patch+json": true,
		"": false, "text/plain": false, "application/x-www-form-urlencoded": false, "application/json; charset=latin1": false, "a;+b": false, "+json": false,
	} {
		r := newRequest("POST", "/v1/orders", orderBody)
		r.Header["Content-Type"] = []string{contentType}
		if contentType == "" {
			r.Header.Del("Content-Type")
		}
		if w := send(a, r); ok && w.Code != http.StatusAccepted {
			t.Errorf("%q: %d %s", contentType, w.Code, w.Body)
		} else if !ok {
			wantProblem(t, w, http.StatusUnsupportedMediaType, "unsupported_media_type")
		}
	}
	r := newRequest("POST", "/v1/orders", orderBody, "Content-Encoding", "gzip")
	wantProblem(t, send(a, r), http.StatusUnsupportedMediaType, "unsupported_media_type")
}

func TestTheRawBodyIsThereForDigests(t *testing.T) {
	a := newTestAPI(t)
	var raw string
	huma.Register(a, orderOperation(), func(ctx context.Context, _ *orderInput) (*orderOutput, error) {
		raw = string(RawBody(ctx))
		return &orderOutput{Status: 202}, nil
	})
	huma.Register(a, huma.Operation{OperationID: "hook", Method: "POST", Path: "/hook"}, func(ctx context.Context, in *struct{ RawBody []byte }) (*struct{}, error) {
		raw = string(RawBody(ctx)) + string(in.RawBody)
		return nil, nil
	})
	if send(a, newRequest("POST", "/v1/orders", orderBody)); raw != orderBody {
		t.Error(raw)
	}
	if w := send(a, newRequest("POST", "/hook", "a=b", "Content-Type", "text/plain")); raw != "a=ba=b" {
		t.Error(w.Code, raw)
	}
}
