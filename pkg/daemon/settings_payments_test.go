package daemon_test

import (
	"strings"
	"testing"

	"github.com/orderlane/orderlane/pkg/daemon"
)

func TestBadSettingsOfPaymentsAreRefused(t *testing.T) {
	for want, args := range map[string][]string{
		"needs at least 16":             {"--payments-sandbox-secret", "short"},
		"go together":                   {"--payments-stripe-key", "sk_test_1"},
		"needs payments-stripe-key":     {"--payments-stripe-url", "https://stripe.example"},
		"is no URL":                     {"--payments-stripe-url", "stripe", "--payments-stripe-key", "k", "--payments-stripe-webhook-secret", "s"},
		"is not https":                  {"--payments-stripe-url", "http://stripe.example", "--payments-stripe-key", "k", "--payments-stripe-webhook-secret", "s"},
		"payments-timeout 1ms is below": {"--payments-timeout", "1ms"},
		"payments-complete-within 25h":  {"--payments-complete-within", "25h"},
	} {
		if r := run(t, args...); r.code != daemon.ExitUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("%v: exit code %d, %q", args, r.code, r.stderr)
		}
	}
}

func TestTheSecretsOfPaymentsAreMasked(t *testing.T) {
	const secret = "correct-horse-battery-staple-0123456789"
	r := run(t, "--payments-sandbox-secret", secret, "--payments-stripe-key", secret, "--payments-stripe-webhook-secret", secret)
	if r.code != daemon.ExitOK || strings.Contains(r.stdout, "horse") {
		t.Errorf("exit code %d\n%s", r.code, r.stdout)
	}
}

func TestASandboxThatOthersReachHasASecretOfItsOwn(t *testing.T) {
	auth := []string{"--auth-hs256-secret", strings.Repeat("x", 32), "--auth-issuer", "i", "--auth-audience", "a", "--listen"}
	for _, tc := range []struct {
		args []string
		want func(string) bool
	}{
		{nil, func(s string) bool { return s != "" }},
		{append(auth, "127.0.0.1:8080"), func(s string) bool { return s != "" }},
		{append(auth, "0.0.0.0:8080"), func(s string) bool { return s == "" }},
		{append(auth, "0.0.0.0:8080", "--payments-sandbox-secret", "a secret of our own"), func(s string) bool { return s == "a secret of our own" }},
	} {
		r := run(t, tc.args...)
		if got := r.serve.SandboxSecret(); r.code != daemon.ExitOK || !tc.want(got) {
			t.Errorf("%v: exit code %d, the secret is %q", tc.args, r.code, got)
		}
	}
}
