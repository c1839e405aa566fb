package httpapi

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"
)

// everything uses all that a shape knows.
type everything struct {
	Text     string            `json:"text" minLength:"2" maxLength:"5"`
	Class    string            `json:"class" pattern:"^[a-c]{1,3}$"`
	Pattern  string            `json:"pattern,omitempty" pattern:"^(x|yy)z*$"`
	Mail     string            `json:"mail,omitempty" format:"email"`
	ID       string            `json:"id,omitempty" format:"uuid"`
	At       time.Time         `json:"at,omitzero"`
	Choice   string            `json:"choice,omitempty" enum:"one,two"`
	Count    int64             `json:"count" minimum:"1" maximum:"10"`
	Between  int32             `json:"between,omitempty" exclusiveMinimum:"0" exclusiveMaximum:"5"`
	Flag     bool              `json:"flag"`
	Maybe    *string           `json:"maybe" nullable:"true"`
	List     []string          `json:"list" minItems:"1" maxItems:"3"`
	Labels   map[string]string `json:"labels,omitempty"`
	Anything any               `json:"anything,omitempty"`
	Nested   *everything       `json:"nested,omitempty"`
}

func guardFor(t testing.TB, body any) *guard {
	t.Helper()
	a := newTestAPI(t)
	op := &huma.Operation{Method: "POST", Path: "/x", RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		jsonType: {Schema: a.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(body), true, "X")},
	}}}
	return a.newGuard(op)
}

// humaSays asks huma's validator and the strict decoder, as if there were no shape.
func humaSays(g *guard, data []byte, into any) bool {
	quick := g.shape
	g.shape = nil
	defer func() { g.shape = quick }()
	return g.checkBody(data) == nil && unmarshal(data, into) == nil
}

const good = `{"text":"héé","class":"abc","pattern":"yyzz","mail":"ada.l@example.com","id":"0198c1f0-0000-7000-8000-00000000000a","at":"2026-11-23T12:00:00.5Z",
 "choice":"two","count":10,"between":4,"flag":true,"maybe":null,"list":["a","b\"\\"],"labels":{"a":"1","b":""},"anything":{"x":[1,-2.5e3,null,{"y":"]}"}]},
 "nested":{"text":"\u00e4\ud83d\uDE00é\n","class":"a","count":1,"flag":false,"maybe":"","list":[""]}}`

func TestValidBodiesPassTheQuickCheck(t *testing.T) {
	g := guardFor(t, everything{})
	if g.shape == nil {
		t.Fatal("no shape")
	}
	for _, body := range []string{
		good, strings.ReplaceAll(good, `"mail":"ada.l@example.com"`, `"mail":null`), " \n" + strings.ReplaceAll(good, ",", " ,\n\t") + " ",
	} {
		if !g.shape.accepts([]byte(body)) {
			t.Errorf("asks huma about %s", body)
		}
		if !humaSays(g, []byte(body), &everything{}) {
			t.Errorf("huma refuses %s: %+v", body, g.checkBody([]byte(body)))
		}
	}
	if g := guardFor(t, orderRequest{}); !g.shape.accepts([]byte(orderBody)) {
		t.Error("asks huma about an everyday order")
	}
}

// The quick check may say "perhaps not" to anything, but a yes must be huma's yes: each token
// of a valid body is replaced by each of many others, then some are replaced, dropped and
// doubled at random, and both are asked.
func TestTheQuickCheckAcceptsNothingThatHumaRefuses(t *testing.T) {
	g := guardFor(t, everything{})
	tokens := splitTokens(good)
	spare := append([]string{
		`""`, `"abc"`, `"abcdef"`, `"a"`, `"d"`, `"yyzx"`, `0`, `1`, `11`, `-1`, `5`, `1.0`, `1e0`, `1.5`, `12345678901234567890`, `null`, `true`, `[]`, `{}`, `"\u0061"`,
		`"ada@"`, `["a","b","c"]`, `["a","b","c","d"]`, `"0198c1f0-0000-7000-8000-00000000000g"`, `".a@b"`, `"a..b@c"`, `"a@b."`, `"A@b-c.D"`, `"2026-13-01T00:00:00Z"`, `"one"`, `"One"`, `"list"`, `"colour"`, `:`, `,`, `[`, `]`, `{`, `}`,
	}, tokens...)
	accepted := 0
	for i, was := range tokens {
		for _, other := range spare {
			tokens[i] = other
			checkAgreement(t, g, []byte(strings.Join(tokens, "")), &accepted)
		}
		tokens[i] = was
	}
	if accepted < len(tokens) {
		t.Errorf("only %d edited bodies were accepted: this proves little", accepted)
	}
	rapid.Check(t, func(t *rapid.T) {
		edited := append([]string(nil), tokens...)
		for range rapid.IntRange(1, 3).Draw(t, "edits") {
			i := rapid.IntRange(0, len(edited)-1).Draw(t, "at")
			switch rapid.IntRange(0, 2).Draw(t, "edit") {
			case 0:
				edited[i] = rapid.SampledFrom(spare).Draw(t, "token")
			case 1:
				edited[i] = ""
			case 2:
				edited[i] += rapid.SampledFrom(spare).Draw(t, "token")
			}
		}
		checkAgreement(t, g, []byte(strings.Join(edited, "")), &accepted)
	})
}

func checkAgreement(t interface{ Fatalf(string, ...any) }, g *guard, data []byte, accepted *int) {
	if !g.shape.accepts(data) || unmarshal(data, &everything{}) != nil {
		return
	}
	*accepted++
	if !humaSays(g, data, &everything{}) {
		t.Fatalf("accepted, but huma says %+v: %s", g.validateText(data), data)
	}
}

func (g *guard) validateText(data []byte) *Problem {
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		return invalidBody("body", err.Error())
	}
	return g.validate(tree)
}

// splitTokens cuts a JSON text at its structure; joined, the tokens are the text.
func splitTokens(s string) []string {
	var out []string
	for i := 0; i < len(s); {
		start := i
		switch c := s[i]; {
		case c == '"':
			for i++; s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
			i++
		case strings.IndexByte("{}[]:,", c) >= 0:
			i++
		default:
			for i < len(s) && strings.IndexByte(`{}[]:,"`, s[i]) < 0 {
				i++
			}
		}
		out = append(out, s[start:i])
	}
	return out
}

func TestSchemasBeyondTheQuickCheckAreLeftToHuma(t *testing.T) {
	type unique struct {
		List []string `json:"list" uniqueItems:"true"`
	}
	g := guardFor(t, unique{})
	if g.shape != nil {
		t.Fatal("has a shape")
	}
	for body, ok := range map[string]bool{
		`{"list":["a","b"]}`: true, `{"list":["a","a"]}`: false,
		`{"list":[{},{}]}`: false, // huma panics here
	} {
		if p := g.checkBody([]byte(body)); (p == nil) != ok {
			t.Errorf("%s: %v", body, p)
		}
	}
}

func TestACharacterClassSaysWhatItsPatternSays(t *testing.T) {
	if c := newClass("^[A-Za-z0-9._-]{1,64}$"); c == nil || !c.fits([]byte("TEA-001")) || c.fits([]byte("TEA 001")) || c.fits(nil) || c.fits([]byte(strings.Repeat("a", 65))) {
		t.Error("sku")
	}
	for _, p := range []string{"^a|b$", "[a]+", "^[a]+", "^[^a]+$", "^[a-é]+$", "(", "^[ab]?$", "^abc$"} {
		if newClass(p) != nil {
			t.Error(p)
		}
	}
}

func TestNULIsFoundHoweverItIsEscaped(t *testing.T) {
	for text, want := range map[string]bool{
		`"\u0000"`: true, `"\\u0000"`: false, `"\\\u0000"`: true, `"a\u0000b"`: true, `"\u00001"`: true, `"u0000"`: false, `"\\u0000\u0000"`: true, `""`: false,
	} {
		if hasNUL([]byte(text)) != want {
			t.Error(text)
		}
	}
}
