package httpapi

import (
	"context"
	"encoding/json" //nolint:depguard // keyfunc takes raw messages of this package
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"

	"github.com/orderlane/orderlane/pkg/fault"
)

// Role is what a caller may do in general.
type Role string

// The roles. A customer sees and changes their own things only.
const (
	RoleCustomer Role = "customer"
	RoleStaff    Role = "staff"
	RoleService  Role = "service"
)

// Bounds of authentication.
const (
	maxCallerID     = 255     // bytes of a token's subject
	maxToken        = 8 << 10 // bytes
	minSecret       = 32      // bytes of an HS256 secret (RFC 7518, 3.2)
	clockSkew       = 30 * time.Second
	rememberToken   = time.Minute // how long a checked token is not checked again
	rememberedPart  = 4096        // tokens in each half of the memory
	jwksTimeout     = 5 * time.Second
	jwksRefresh     = 15 * time.Minute
	jwksUnknown     = 10 * time.Second       // how often unknown keys make us read the set again
	jwksUnknownWait = 100 * time.Millisecond // how long a request waits to ask for unknown keys again
)

// Caller is who makes a request.
type Caller struct {
	ID   string
	Role Role
}

// localStaff is everyone while authentication is off.
var localStaff = Caller{ID: "local", Role: RoleStaff}

func (c Caller) known() bool { return c.Role != "" }

// Staff reports whether the caller may see and change everyone's things: staff and services.
func (c Caller) Staff() bool { return c.Role == RoleStaff || c.Role == RoleService }

// Anyone reports whether authentication is off: the caller may be a customer as well as staff.
func (c Caller) Anyone() bool { return c == localStaff }

// CallerOf returns who makes the request of ctx. It is known in every operation that is not
// Public; elsewhere it may be the zero Caller.
func CallerOf(ctx context.Context) Caller {
	if q := requestOf(ctx); q != nil {
		return q.caller
	}
	return Caller{}
}

// RequireCaller returns the caller, or a refusal if there is none, or none with one of the
// roles; no roles means any.
func RequireCaller(ctx context.Context, roles ...Role) (Caller, error) {
	c := CallerOf(ctx)
	if !c.known() {
		return c, fault.Unauthenticated("authentication_required", "send a bearer token in the Authorization header")
	}
	if len(roles) > 0 && !slices.Contains(roles, c.Role) {
		return c, fault.Forbidden("role_required", "this is not for the role %s", c.Role)
	}
	return c, nil
}

// AuthConfig says whose tokens are believed. The zero value is authentication switched off.
type AuthConfig struct {
	Issuer    string // required: the iss of tokens
	Audience  string // required: one aud of tokens
	RoleClaim string // the claim with a role or a list of them; "role" if empty

	// Where the keys are: exactly one.
	JWKSURL     string // read at start and again every 15 minutes
	JWKSFile    string // read at start
	HS256Secret string // at least 32 bytes, for simple set-ups
}

// Enabled reports whether anything is configured.
func (c AuthConfig) Enabled() bool { return c != AuthConfig{} }

// Verifier turns bearer tokens into callers. It is safe for concurrent use.
type Verifier struct {
	keys   jwt.Keyfunc
	parser *jwt.Parser
	claim  string
	clock  func() time.Time

	mu      sync.RWMutex // over the memory: the newer half, and the older one that is dropped next
	newer   map[string]remembered
	older   map[string]remembered
	flipped time.Time
}

type remembered struct {
	caller Caller
	until  time.Time
}

// NewVerifier returns a verifier of the tokens that cfg describes. A JWKS URL is read until
// ctx ends; if it cannot be read at first, tokens are refused until it can.
func NewVerifier(ctx context.Context, cfg AuthConfig, clock func() time.Time, log *slog.Logger) (*Verifier, error) {
	if cfg.Issuer == "" || cfg.Audience == "" {
		return nil, errors.New("httpapi: authentication needs an issuer and an audience")
	}
	v := &Verifier{claim: cfg.RoleClaim, clock: clock, newer: map[string]remembered{}, older: map[string]remembered{}}
	if v.claim == "" {
		v.claim = "role"
	}
	methods := []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	var err error
	switch {
	case cfg.HS256Secret != "" && cfg.JWKSURL == "" && cfg.JWKSFile == "":
		if len(cfg.HS256Secret) < minSecret {
			return nil, fmt.Errorf("httpapi: the HS256 secret has %d bytes; it needs at least %d", len(cfg.HS256Secret), minSecret)
		}
		secret := []byte(cfg.HS256Secret)
		v.keys = func(*jwt.Token) (any, error) { return secret, nil }
		methods = []string{"HS256"}
	case cfg.JWKSURL != "" && cfg.JWKSFile == "" && cfg.HS256Secret == "":
		v.keys, err = jwksFromURL(ctx, cfg.JWKSURL, log)
	case cfg.JWKSFile != "" && cfg.JWKSURL == "" && cfg.HS256Secret == "":
		v.keys, err = jwksFromFile(cfg.JWKSFile)
	default:
		err = errors.New("httpapi: authentication needs exactly one of a JWKS URL, a JWKS file and an HS256 secret")
	}
	v.parser = jwt.NewParser(jwt.WithValidMethods(methods), jwt.WithIssuer(cfg.Issuer), jwt.WithAudience(cfg.Audience),
		jwt.WithExpirationRequired(), jwt.WithLeeway(clockSkew), jwt.WithTimeFunc(clock))
	if err != nil {
		return nil, err
	}
	return v, nil
}

func jwksFromURL(ctx context.Context, url string, log *slog.Logger) (jwt.Keyfunc, error) {
	k, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{url}, keyfunc.Override{
		Client:          &http.Client{Timeout: jwksTimeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}},
		HTTPTimeout:     jwksTimeout,
		RefreshInterval: jwksRefresh,
		// A rotated key is asked for when it is first seen, a made-up one at most as often.
		RefreshUnknownKID: rate.NewLimiter(rate.Every(jwksUnknown), 1),
		RateLimitWaitMax:  jwksUnknownWait, // the default lets a made-up key id hold a request for a minute
		RefreshErrorHandlerFunc: func(u string) func(context.Context, error) {
			return func(ctx context.Context, err error) {
				log.WarnContext(ctx, "the key set could not be read", slog.String("url", u), slog.Any("error", err))
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("httpapi: key set at %s: %w", url, err)
	}
	return k.Keyfunc, nil
}

func jwksFromFile(path string) (jwt.Keyfunc, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("httpapi: key set: %w", err)
	}
	k, err := keyfunc.NewJWKSetJSON(json.RawMessage(raw))
	if err != nil {
		return nil, fmt.Errorf("httpapi: key set in %s: %w", path, err)
	}
	return k.Keyfunc, nil
}

// fromHeader returns the caller that a request names: the zero Caller if it names none.
func (v *Verifier) fromHeader(r *http.Request) (Caller, error) {
	switch h := r.Header["Authorization"]; len(h) {
	case 0:
		return Caller{}, nil
	case 1:
		scheme, token, _ := strings.Cut(h[0], " ")
		if strings.EqualFold(scheme, bearer) {
			return v.Verify(strings.TrimSpace(token))
		}
	}
	return Caller{}, fault.Unauthenticated("authentication_required", "send one bearer token in the Authorization header")
}

// Verify returns the caller that a token stands for. It refuses what is not signed by our
// keys, for us, by our issuer and still valid (invalid_token), and callers without a role
// that we know (role_missing). Tokens are checked once a minute, not at every request.
func (v *Verifier) Verify(token string) (Caller, error) {
	now := v.clock()
	v.mu.RLock()
	m, ok := v.newer[token]
	if !ok {
		m, ok = v.older[token]
	}
	v.mu.RUnlock()
	if ok && now.Before(m.until) {
		return m.caller, nil
	}
	if len(token) > maxToken {
		return Caller{}, invalidToken("it is too long")
	}
	claims := jwt.MapClaims{}
	if _, err := v.parser.ParseWithClaims(token, claims, v.keys); err != nil {
		return Caller{}, invalidToken(tokenFault(err))
	}
	subject, err := claims.GetSubject()
	if err != nil || subject == "" || len(subject) > maxCallerID || strings.ContainsFunc(subject, invisible) {
		return Caller{}, invalidToken("its subject is not 1 to 255 visible characters")
	}
	role := roleOf(claims[v.claim])
	if role == "" {
		return Caller{}, fault.Forbidden("role_missing", "the token names none of the roles customer, staff and service")
	}
	m = remembered{Caller{ID: subject, Role: role}, now.Add(rememberToken)}
	if exp, err := claims.GetExpirationTime(); err == nil && exp != nil && exp.Before(m.until) {
		m.until = exp.Time
	}
	v.remember(token, m, now)
	return m.caller, nil
}

// remember keeps at most two halves of rememberedPart tokens.
func (v *Verifier) remember(token string, m remembered, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.newer) >= rememberedPart || now.Sub(v.flipped) > rememberToken {
		v.older, v.newer, v.flipped = v.newer, map[string]remembered{}, now
	}
	v.newer[strings.Clone(token)] = m
}

func invisible(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }

// invalidToken says in the challenge, too, that it was the token (RFC 6750, 3.1).
func invalidToken(why string) error {
	p := fromFault(fault.Unauthenticated("invalid_token", "the bearer token is refused: %s", why))
	p.challenge = `Bearer error="invalid_token"`
	return p
}

func tokenFault(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "it has expired"
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return "it is not valid yet"
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return "it is from another issuer"
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return "it is for another audience"
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return "it lacks one of iss, aud and exp"
	case errors.Is(err, jwt.ErrTokenMalformed):
		return "it is no JWT"
	}
	return "its signature or its key is not one of ours"
}

// roleOf reads a role, or the most powerful one of a list.
func roleOf(claim any) Role {
	var names []string
	switch c := claim.(type) {
	case string:
		names = strings.Fields(c)
	case []any:
		for _, n := range c {
			if s, ok := n.(string); ok {
				names = append(names, s)
			}
		}
	}
	for _, r := range []Role{RoleStaff, RoleService, RoleCustomer} {
		if slices.Contains(names, string(r)) {
			return r
		}
	}
	return ""
}
