package httpapi

import (
	"compress/gzip"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

func TestTheContractIsOpenAPI31WithOurErrors(t *testing.T) {
	a := newTestAPI(t)
	withOrders(a)
	w := send(a, newRequest("GET", "/openapi.json", ""))
	var doc struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]map[string]struct {
			Parameters []struct{ Name string } `json:"parameters"`
			Responses  map[string]any          `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Header().Get("Content-Type") != "application/openapi+json" {
		t.Fatal(err, w.Header())
	}
	post := doc.Paths["/v1/orders"]["post"]
	if doc.OpenAPI != "3.1.0" || len(post.Parameters) != 4 || post.Responses["202"] == nil || post.Responses["default"] == nil {
		t.Errorf("%s %+v", doc.OpenAPI, post)
	}
	if !strings.Contains(w.Body.String(), "application/problem+json") || strings.Contains(w.Body.String(), "$schema") {
		t.Error(w.Body)
	}
}

func TestTheReferencePageLoadsNothingFromElsewhere(t *testing.T) {
	a := newTestAPI(t)
	page := send(a, newRequest("GET", "/docs", ""))
	if page.Code != 200 || strings.Contains(page.Body.String(), "//") && regexp.MustCompile(`(src|href)="(https?:)?//`).MatchString(page.Body.String()) {
		t.Fatal(page.Code, page.Body)
	}
	if policy := page.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") || strings.Contains(policy, "http") {
		t.Error(policy)
	}
	assets := regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(page.Body.String(), -1)
	if len(assets) != 4 { // style sheet, bundle, start and the contract
		t.Fatal(assets)
	}
	for _, m := range assets {
		plain := send(a, newRequest("GET", m[1], ""))
		packed := send(a, newRequest("GET", m[1], "", "Accept-Encoding", "gzip, br"))
		if plain.Code != 200 || plain.Body.Len() == 0 || plain.Header().Get("Content-Encoding") != "" {
			t.Errorf("%s: %d %v", m[1], plain.Code, plain.Header())
		}
		text := packed.Body.String()
		if packed.Header().Get("Content-Encoding") == "gzip" {
			zr, err := gzip.NewReader(packed.Body)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(zr)
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		if text != plain.Body.String() {
			t.Errorf("%s differs when packed", m[1])
		}
	}
	if start := send(a, newRequest("GET", "/docs/start.js", "")).Body.String(); !strings.Contains(start, "validatorUrl: null") {
		t.Error("the page would ask a validator elsewhere")
	}
}
