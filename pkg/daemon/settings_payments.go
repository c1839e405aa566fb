package daemon

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// PaymentsSettings say which payment providers there are, and how long is waited for them.
type PaymentsSettings struct {
	SandboxSecret       string        `name:"sandbox-secret" env:"ORDERLANE_PAYMENTS_SANDBOX_SECRET" placeholder:"SECRET" secret:"all" help:"Secret that signs the callbacks of the sandbox, which takes no money, at least 16 bytes. Empty: there is a sandbox on a loopback address only, with a secret that everybody knows."`
	StripeKey           string        `name:"stripe-key" env:"ORDERLANE_PAYMENTS_STRIPE_KEY" placeholder:"SECRET" secret:"all" help:"Secret key of the account at Stripe. Empty: payments are not taken by Stripe."`
	StripeWebhookSecret string        `name:"stripe-webhook-secret" env:"ORDERLANE_PAYMENTS_STRIPE_WEBHOOK_SECRET" placeholder:"SECRET" secret:"all" help:"Secret that signs Stripe's callbacks to /v1/payments/webhooks/stripe; needed with payments-stripe-key."`
	StripeURL           string        `name:"stripe-url" env:"ORDERLANE_PAYMENTS_STRIPE_URL" placeholder:"URL" help:"Where Stripe is, for trials with a stand-in. Empty: Stripe's own address."`
	Timeout             time.Duration `name:"timeout" env:"ORDERLANE_PAYMENTS_TIMEOUT" default:"10s" help:"How long a provider's answer is waited for before it is asked what became of the payment."`
	CompleteWithin      time.Duration `name:"complete-within" env:"ORDERLANE_PAYMENTS_COMPLETE_WITHIN" default:"15m" help:"How long a payment may take, the customer's part in it included, before it counts as declined."`
}

// Bounds of the settings of payments, each with its reason.
const (
	minSandboxSecret      = 16 // bytes; shorter ones can be guessed
	minProviderTimeout    = 100 * time.Millisecond
	maxProviderTimeout    = time.Minute // a stopping process waits for no call that takes longer
	minCompleteWithin     = 10 * time.Second
	maxCompleteWithin     = 24 * time.Hour // stock is kept for the order meanwhile
	loopbackSandboxSecret = "sandbox-secret-that-everybody-knows"
)

// SandboxSecret is what the sandbox signs its callbacks with; empty where there is no sandbox.
// A shop that others reach has one only if it was given a secret: anybody could confirm payments
// with one that is known.
func (s *Settings) SandboxSecret() string {
	if s.Payments.SandboxSecret == "" && loopback(s.Listen) {
		return loopbackSandboxSecret
	}
	return s.Payments.SandboxSecret
}

func (s *Settings) checkPayments() error {
	p := &s.Payments
	switch {
	case p.SandboxSecret != "" && len(p.SandboxSecret) < minSandboxSecret:
		return fmt.Errorf("payments-sandbox-secret has %d bytes: it needs at least %d", len(p.SandboxSecret), minSandboxSecret)
	case (p.StripeKey == "") != (p.StripeWebhookSecret == ""):
		return errors.New("payments-stripe-key and payments-stripe-webhook-secret go together")
	case p.StripeURL != "" && p.StripeKey == "":
		return errors.New("payments-stripe-url needs payments-stripe-key")
	}
	if p.StripeURL != "" {
		u, err := url.Parse(p.StripeURL)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" {
			return errors.New("payments-stripe-url is no URL: it is written https://HOST")
		}
		if u.Scheme == "http" && !loopback(net.JoinHostPort(u.Hostname(), "0")) {
			return errors.New("payments-stripe-url is not https: whoever sits between could read the key")
		}
	}
	return firstOf(
		within("payments-timeout", p.Timeout, minProviderTimeout, maxProviderTimeout),
		within("payments-complete-within", p.CompleteWithin, minCompleteWithin, maxCompleteWithin),
	)
}
