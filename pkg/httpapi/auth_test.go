package httpapi

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

const testSecret = "0123456789abcdef0123456789abcdef"

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func claims(change ...func(jwt.MapClaims)) jwt.MapClaims {
	c := jwt.MapClaims{"iss": "https://issuer", "aud": "orderlane", "sub": "c-42", "role": "customer", "exp": noon.Add(time.Hour).Unix()}
	for _, ch := range change {
		ch(c)
	}
	return c
}

func sign(t testing.TB, m jwt.SigningMethod, key any, c jwt.MapClaims, kid string) string {
	t.Helper()
	token := jwt.NewWithClaims(m, c)
	if kid != "" {
		token.Header["kid"] = kid
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newVerifier(t testing.TB, cfg AuthConfig, clock func() time.Time) *Verifier {
	t.Helper()
	cfg.Issuer, cfg.Audience = "https://issuer", "orderlane"
	v, err := NewVerifier(t.Context(), cfg, clock, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func atNoon() time.Time { return noon }

func wantFault(t testing.TB, err error, code string) {
	t.Helper()
	if p := problemOf(err); p == nil || p.Code != code {
		t.Errorf("%v, not %s", err, code)
	}
}

func TestATokenNamesItsCaller(t *testing.T) {
	v := newVerifier(t, AuthConfig{HS256Secret: testSecret}, atNoon)
	for _, c := range []struct {
		role any
		want Role
	}{
		{"customer", RoleCustomer},
		{"staff", RoleStaff},
		{"service", RoleService},
		{[]string{"other", "customer", "staff"}, RoleStaff},
		{"customer service", RoleService},
	} {
		got, err := v.Verify(sign(t, jwt.SigningMethodHS256, []byte(testSecret), claims(func(m jwt.MapClaims) { m["role"] = c.role }), ""))
		if err != nil || got != (Caller{"c-42", c.want}) {
			t.Errorf("%v: %v %v", c.role, got, err)
		}
	}
}

func TestTheRoleMayBeInAnotherClaim(t *testing.T) {
	v := newVerifier(t, AuthConfig{HS256Secret: testSecret, RoleClaim: "groups"}, atNoon)
	got, err := v.Verify(sign(t, jwt.SigningMethodHS256, []byte(testSecret), claims(func(m jwt.MapClaims) { m["groups"] = []string{"staff"} }), ""))
	if err != nil || got.Role != RoleStaff {
		t.Error(got, err)
	}
}

func TestTokensThatAreNotForUsAreRefused(t *testing.T) {
	v := newVerifier(t, AuthConfig{HS256Secret: testSecret}, atNoon)
	with := func(name string, value any) jwt.MapClaims {
		return claims(func(m jwt.MapClaims) {
			if value == nil {
				delete(m, name)
			} else {
				m[name] = value
			}
		})
	}
	secret := []byte(testSecret)
	for name, token := range map[string]string{
		"another issuer":   sign(t, jwt.SigningMethodHS256, secret, with("iss", "https://else"), ""),
		"no issuer":        sign(t, jwt.SigningMethodHS256, secret, with("iss", nil), ""),
		"another audience": sign(t, jwt.SigningMethodHS256, secret, with("aud", "shop"), ""),
		"no audience":      sign(t, jwt.SigningMethodHS256, secret, with("aud", nil), ""),
		"expired":          sign(t, jwt.SigningMethodHS256, secret, with("exp", noon.Add(-time.Minute).Unix()), ""),
		"no expiry":        sign(t, jwt.SigningMethodHS256, secret, with("exp", nil), ""),
		"not yet":          sign(t, jwt.SigningMethodHS256, secret, with("nbf", noon.Add(time.Hour).Unix()), ""),
		"no subject":       sign(t, jwt.SigningMethodHS256, secret, with("sub", nil), ""),
		"subject a number": sign(t, jwt.SigningMethodHS256, secret, with("sub", 7), ""),
		"odd subject":      sign(t, jwt.SigningMethodHS256, secret, with("sub", "a\nb"), ""),
		"long subject":     sign(t, jwt.SigningMethodHS256, secret, with("sub", strings.Repeat("x", 256)), ""),
		"another secret":   sign(t, jwt.SigningMethodHS256, []byte("another secret of enough bytes.."), claims(), ""),
		"no signature":     sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(), ""),
		"another method":   sign(t, jwt.SigningMethodHS512, secret, claims(), ""),
		"no JWT":           "nonsense", "empty": "", "huge": strings.Repeat("x", maxToken+1),
	} {
		if c, err := v.Verify(token); err == nil {
			t.Errorf("%s: accepted as %v", name, c)
		} else {
			wantFault(t, err, "invalid_token")
		}
	}
	for _, role := range []any{nil, "king", 7, []any{1, 2}} {
		_, err := v.Verify(sign(t, jwt.SigningMethodHS256, secret, with("role", role), ""))
		wantFault(t, err, "role_missing")
	}
}

func TestATokenIsRememberedNoLongerThanItIsValid(t *testing.T) {
	now := noon
	v := newVerifier(t, AuthConfig{HS256Secret: testSecret}, func() time.Time { return now })
	var asked int
	keys := v.keys
	v.keys = func(tk *jwt.Token) (any, error) { asked++; return keys(tk) }
	token := sign(t, jwt.SigningMethodHS256, []byte(testSecret), claims(func(m jwt.MapClaims) { m["exp"] = noon.Add(70 * time.Second).Unix() }), "")
	for _, after := range []time.Duration{0, 59 * time.Second, 61 * time.Second, 69 * time.Second} {
		now = noon.Add(after)
		if _, err := v.Verify(token); err != nil {
			t.Fatal(after, err)
		}
	}
	if asked != 2 {
		t.Errorf("checked %d times, not at 0 s and 61 s", asked)
	}
	now = noon.Add(70*time.Second + clockSkew + time.Second) // less than a minute after the last check
	if _, err := v.Verify(token); err == nil {
		t.Error("accepted after its end")
	}
}

func TestTheMemoryOfTokensIsBounded(t *testing.T) {
	v := newVerifier(t, AuthConfig{HS256Secret: testSecret}, atNoon)
	for i := range 3*rememberedPart + 1 {
		v.remember(string(rune(i)), remembered{}, noon)
	}
	if len(v.newer) > rememberedPart || len(v.older) > rememberedPart {
		t.Error(len(v.newer), len(v.older))
	}
}

// keySet is a JWKS with the public halves of the keys, by key id.
func keySet(t testing.TB, keys map[string]crypto.Signer) []byte {
	t.Helper()
	storage := jwkset.NewMemoryStorage()
	for kid, k := range keys {
		jwk, err := jwkset.NewJWKFromKey(k.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid}})
		if err == nil {
			err = storage.KeyWrite(t.Context(), jwk)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	raw, err := storage.JSONPublic(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func newKeys(t testing.TB) (*rsa.PrivateKey, *ecdsa.PrivateKey) {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return r, e
}

func TestKeysMayComeFromAFile(t *testing.T) {
	r, e := newKeys(t)
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, keySet(t, map[string]crypto.Signer{"r": r, "e": e}), 0o600); err != nil {
		t.Fatal(err)
	}
	v := newVerifier(t, AuthConfig{JWKSFile: path}, atNoon)
	for _, token := range []string{sign(t, jwt.SigningMethodRS256, r, claims(), "r"), sign(t, jwt.SigningMethodES256, e, claims(), "e")} {
		if _, err := v.Verify(token); err != nil {
			t.Error(err)
		}
	}
	_, other := newKeys(t)
	_, err := v.Verify(sign(t, jwt.SigningMethodES256, other, claims(), "e"))
	wantFault(t, err, "invalid_token")
	// The public key is public: it must not work as a shared secret.
	_, err = v.Verify(sign(t, jwt.SigningMethodHS256, keySet(t, map[string]crypto.Signer{"r": r}), claims(), "r"))
	wantFault(t, err, "invalid_token")
}

func TestKeysMayComeFromAURLAndChangeThere(t *testing.T) {
	_, first := newKeys(t)
	_, second := newKeys(t)
	var keys atomic.Value
	keys.Store(keySet(t, map[string]crypto.Signer{"1": first}))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(keys.Load().([]byte)) }))
	defer srv.Close()
	v := newVerifier(t, AuthConfig{JWKSURL: srv.URL}, atNoon)
	if _, err := v.Verify(sign(t, jwt.SigningMethodES256, first, claims(), "1")); err != nil {
		t.Error(err)
	}
	keys.Store(keySet(t, map[string]crypto.Signer{"1": first, "2": second}))
	if _, err := v.Verify(sign(t, jwt.SigningMethodES256, second, claims(), "2")); err != nil {
		t.Error("a new key is not looked for: ", err)
	}
	start := time.Now()
	_, err := v.Verify(sign(t, jwt.SigningMethodES256, second, claims(), "made up"))
	wantFault(t, err, "invalid_token")
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("a made-up key id held the request for %s", took)
	}
}

func TestAKeySetThatCannotBeReadRefusesTokens(t *testing.T) {
	v := newVerifier(t, AuthConfig{JWKSURL: "http://127.0.0.1:1/jwks"}, atNoon)
	_, e := newKeys(t)
	_, err := v.Verify(sign(t, jwt.SigningMethodES256, e, claims(), "1"))
	wantFault(t, err, "invalid_token")
}

func TestAuthenticationThatCannotWorkIsRefusedAtStart(t *testing.T) {
	for name, cfg := range map[string]AuthConfig{
		"no keys":      {Issuer: "i", Audience: "a"},
		"two sources":  {Issuer: "i", Audience: "a", HS256Secret: testSecret, JWKSURL: "http://x"},
		"short secret": {Issuer: "i", Audience: "a", HS256Secret: "short"},
		"no issuer":    {Audience: "a", HS256Secret: testSecret},
		"no audience":  {Issuer: "i", HS256Secret: testSecret},
		"no file":      {Issuer: "i", Audience: "a", JWKSFile: "/nowhere"},
	} {
		if _, err := NewVerifier(t.Context(), cfg, atNoon, slog.New(slog.DiscardHandler)); err == nil || strings.Contains(err.Error(), testSecret) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if (AuthConfig{}).Enabled() || !(AuthConfig{Issuer: "i"}).Enabled() {
		t.Error("Enabled")
	}
}
