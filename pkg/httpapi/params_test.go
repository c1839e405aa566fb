package httpapi

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"pgregory.net/rapid"
)

func TestPreferWaitIsReadAsRFC7240Says(t *testing.T) {
	s := time.Second
	for header, want := range map[string]Wait{
		"":                                    {},
		"wait=5":                              {5 * s, true},
		"wait=0":                              {0, true},
		"Wait = 7":                            {7 * s, true},
		`wait="9"`:                            {9 * s, true},
		"respond-async, wait=10":              {10 * s, true},
		"wait=3; x=y, wait=9":                 {3 * s, true},
		`foo="a, wait=1", wait=2`:             {2 * s, true},
		`foo="a\", wait=1", wait=2`:           {2 * s, true},
		"wait=30":                             {30 * s, true},
		"wait=31":                             {30 * s, true},
		"wait=99999999999999999999999999":     {30 * s, true},
		"wait":                                {},
		"wait=":                               {},
		"wait=-1":                             {},
		"wait=1.5":                            {},
		"wait=ten":                            {},
		"wait=+5":                             {},
		"waiting=5":                           {},
		`foo="unclosed, wait=5`:               {},
		strings.Repeat("a,", 5000) + "wait=5": {},
	} {
		if got := ParseWait(header); got != want {
			t.Errorf("%.40q: %v, not %v", header, got, want)
		}
	}
}

func TestThePreferenceThatCountsIsEchoed(t *testing.T) {
	if s := ParseWait("wait=99").Applied(); s != "wait=30" {
		t.Error(s)
	}
	if s := ParseWait("wait=x").Applied(); s != "" {
		t.Error(s)
	}
	if d := ParseWait("").Or(2 * time.Second); d != 2*time.Second {
		t.Error(d)
	}
	if d := ParseWait("wait=0").Or(2 * time.Second); d != 0 {
		t.Error(d)
	}
}

func TestTheHeadersOfACommandReachItsHandler(t *testing.T) {
	a := newTestAPI(t)
	got := withOrders(a)
	w := send(a, newRequest("POST", "/v1/orders", orderBody, "Idempotency-Key", "k-1", "Prefer", "respond-async", "Prefer", "wait=5",
		"If-Match", `"order-1@3"`, "Consistency-Token", "product-TEA-001@1, order-1@2", "Consistency-Token", "order-1@3"))
	if w.Code != http.StatusAccepted {
		t.Fatal(w.Body)
	}
	v, err := got.IfMatch.For("order-1")
	if got.IdempotencyKey != "k-1" || got.Wait != (Wait{5 * time.Second, true}) || got.Tokens.String() != "product-TEA-001@1,order-1@3" || v != 3 || err != nil {
		t.Errorf("%+v", got.CommandParams)
	}
}

func TestTheHeadersOfAQueryReachItsHandler(t *testing.T) {
	a := newTestAPI(t)
	var got ReadParams
	huma.Register(a, huma.Operation{OperationID: "get", Method: "GET", Path: "/order"}, func(_ context.Context, in *struct{ ReadParams }) (*struct{}, error) {
		got = in.ReadParams
		return nil, nil
	})
	send(a, newRequest("GET", "/order", "", "Prefer", "wait=5", "Consistency-Token", "order-1@2"))
	if got.Wait.For != 5*time.Second || got.Tokens.Version("order-1") != 2 || got.Tokens.Version("order-2") != 0 {
		t.Errorf("%+v", got)
	}
	wantProblem(t, send(a, newRequest("GET", "/order", "", "Consistency-Token", "x")), 400, "malformed_consistency_token")
}

func TestHeadersThatMakeNoSenseAreRefused(t *testing.T) {
	a := newTestAPI(t)
	withOrders(a)
	for code, headers := range map[string][][]string{
		"malformed_idempotency_key": {
			{"Idempotency-Key", ""},
			{"Idempotency-Key", "a b"},
			{"Idempotency-Key", "ä"},
			{"Idempotency-Key", "\x7f"},
			{"Idempotency-Key", strings.Repeat("k", 256)},
			{"Idempotency-Key", "a", "Idempotency-Key", "b"},
		},
		"malformed_if_match":          {{"If-Match", "3"}, {"If-Match", `"a`}, {"If-Match", `"`}, {"If-Match", `"a", "b"`}, {"If-Match", `W/`}, {"If-Match", `w/"a"`}},
		"malformed_consistency_token": {{"Consistency-Token", "order-1"}, {"Consistency-Token", ","}, {"Consistency-Token", "order-1@1,"}},
	} {
		for _, h := range headers {
			p := wantProblem(t, send(a, newRequest("POST", "/v1/orders", orderBody, h...)), 400, code)
			if len(p.Errors) != 1 || p.Errors[0].Location != "header."+h[0] {
				t.Errorf("%q: %+v", h, p)
			}
		}
	}
	for _, ok := range []string{"k", strings.Repeat("k", 255), `!~"'`} {
		if w := send(a, newRequest("POST", "/v1/orders", orderBody, "Idempotency-Key", ok)); w.Code != 202 {
			t.Errorf("%q: %s", ok, w.Body)
		}
	}
}

func TestConsistencyTokens(t *testing.T) {
	many := make([]string, 0, 17)
	for i := range 17 {
		many = append(many, "order-"+string(rune('a'+i))+"@1")
	}
	for header, want := range map[string]string{
		"": "", "order-1@3": "order-1@3", "order-1@3,order-1@2": "order-1@3", " order-1@1 ,\tproduct-TEA-001@9223372036854775807": "order-1@1,product-TEA-001@9223372036854775807",
		strings.Join(many[:16], ","): strings.Join(many[:16], ","), strings.Join(many[:16], ",") + ",order-a@2": "order-a@2," + strings.Join(many[1:16], ","),
	} {
		if got, err := ParseTokens(header); err != nil || got.String() != want {
			t.Errorf("%q: %q %v", header, got, err)
		}
	}
	for _, bad := range []string{
		"x", "order-1", "order-1@", "order-1@0", "order-1@01", "order-1@-1", "order-1@+1", "order-1@1.0", "order-1@9223372036854775808", "@1", "-1@1", "order-@1", "order@1",
		"order-1@2@3", "order-1@1,,order-2@1", "ord er-1@1", "order-ä@1", "order-\"@1", "order-" + strings.Repeat("x", 200) + "@1", strings.Join(many, ","), strings.Repeat("order-1@1,", 1000),
	} {
		_, err := ParseTokens(bad)
		wantFault(t, err, "malformed_consistency_token")
	}
}

func TestTokensSurviveTheWayToTheClientAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		streams := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,9}-[A-Za-z0-9._-]{1,40}`), 1, MaxTokens, rapid.ID[string]).Draw(t, "streams")
		var ts Tokens
		for _, s := range streams {
			ts = append(ts, Token{s, rapid.Int64Range(1, 1<<62).Draw(t, "version")})
		}
		back, err := ParseTokens(ts.String())
		if err != nil || back.String() != ts.String() {
			t.Fatal(ts, back, err)
		}
		c, err := parseIfMatch(ETag(ts))
		for _, tk := range ts {
			if v, forErr := c.For(tk.Stream); err != nil || forErr != nil || v != tk.Version {
				t.Fatal(tk, v, err, forErr)
			}
		}
	})
}

func TestAnETagNamesAllStreamsShownInOneOrder(t *testing.T) {
	shown := Tokens{{"shipment-2", 1}, {"order-1", 4}}
	if got := ETag(shown); got != `"order-1@4,shipment-2@1"` || shown[0].Stream != "shipment-2" {
		t.Error(got, shown)
	}
}

func TestIfMatchComparesTheStreamThatTheCommandGoesTo(t *testing.T) {
	for header, want := range map[string]int64{"": 0, "*": AnyVersion, `"order-1@4,shipment-2@1"`: 4, ` "order-1@4" `: 4} {
		c, err := parseIfMatch(header)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := c.For("order-1"); v != want || err != nil {
			t.Errorf("%q: %d %v", header, v, err)
		}
	}
	for _, header := range []string{`"abc"`, `""`, `"shipment-2@1"`, `W/"order-1@4"`, `"order-1@4,x"`} {
		c, err := parseIfMatch(header)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.For("order-1")
		wantFault(t, err, "precondition_failed")
	}
}

func TestIfNoneMatchIsAListOfTags(t *testing.T) {
	const tag = `"order-1@4,shipment-2@1"`
	for header, want := range map[string]bool{
		"": false, "*": true, tag: true, "W/" + tag: true, `"a", ` + tag: true, `"a,b" , W/"c"`: false, `"order-1@4"`: false, `"`: false, `x`: false, `"a" "`: false,
	} {
		if NoneMatch(header, tag) != want {
			t.Errorf("%q", header)
		}
	}
	if NoneMatch("*", "") {
		t.Error("matches nothing")
	}
}

func TestACursorLeadsBackToItsPositionInItsListOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		filter := rapid.String().Draw(t, "filter")
		text := rapid.StringOfN(rapid.Rune().Filter(func(r rune) bool { return r != 0 }), -1, -1, 100)
		position := rapid.SliceOfN(text, 0, 3).Draw(t, "position")
		c := EncodeCursor(filter, position...)
		got, err := DecodeCursor(filter, c, len(position))
		if err != nil || strings.Join(got, "\x00") != strings.Join(position, "\x00") {
			t.Fatal(got, err)
		}
		if _, err := DecodeCursor(filter+"x", c, len(position)); err == nil {
			t.Fatal("another filter")
		}
		if _, err := DecodeCursor(filter, c, len(position)+1); err == nil {
			t.Fatal("another shape")
		}
		b := []byte(c)
		i := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		b[i] = rapid.Byte().Filter(func(x byte) bool { return x != c[i] }).Draw(t, "byte")
		if _, err := DecodeCursor(filter, string(b), len(position)); err == nil {
			t.Fatal("tampered with")
		} else if problemOf(err).Code != "bad_cursor" || problemOf(err).Status != 400 {
			t.Fatal(err)
		}
	})
	for _, bad := range []string{"", "x", strings.Repeat("A", 2000), EncodeCursor("f", strings.Repeat("x", 2000)), EncodeCursor("f", "a\x00b"), EncodeCursor("f", "\xff")} {
		_, err := DecodeCursor("f", bad, 1)
		wantFault(t, err, "bad_cursor")
	}
}
