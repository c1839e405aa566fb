package payments

import (
	"context"
	"errors"
	"strings"
	"time"

	api "github.com/orderlane/orderlane/api/payments"
)

// Provider takes money and gives it back. An implementation is safe for concurrent use.
type Provider interface {
	// Takes reports whether the provider knows a method of payment. Its name begins with the
	// provider's.
	Takes(method string) bool
	// Do carries out an operation, and Find asks what became of it: found is false if the
	// provider has never heard of it. Whoever does it twice does it once, since the task's key is
	// the idempotency key. An error of either says that it is not known whether it was done.
	Do(ctx context.Context, task *api.CallProvider) (Answer, error)
	Find(ctx context.Context, task *api.CallProvider) (a Answer, found bool, err error)
	// Read takes a callback apart, whose signature is known to be right.
	Read(ctx context.Context, body []byte) (*Callback, error)
	// Signature names the header that holds the signature of a callback, and the secret that it is
	// made with.
	Signature() (header, secret string)
}

// Answer is what a provider says of an operation.
type Answer struct {
	Result       api.Result
	Ref          string // the provider's name for the payment
	Amount       int64  // minor units; 0: as asked
	Code         string // why it was declined
	ClientSecret string
	ExpiresAt    time.Time
	OneCapture   bool
}

// Callback is what a provider tells of its own accord.
type Callback struct {
	ID     string // of the callback, the same when it is repeated
	Key    string // of the operation; empty: it is none of ours, or nothing that we want to know
	Answer Answer
}

// ErrSilent is a provider's not answering in time.
var ErrSilent = errors.New("payments: the provider did not answer")

// providers are the providers by name. The part of a method's name before the first
// underscore is its provider's.
type providers map[string]Provider

// of returns the name of the provider that takes a method; "" if none does.
func (p providers) of(method string) string {
	name, _, _ := strings.Cut(method, "_")
	if provider, ok := p[name]; ok && provider.Takes(method) {
		return name
	}
	return ""
}

// report is the command that tells an answer.
func report(order, key, provider string, op api.Operation, a *Answer) *api.ReportPayment {
	return &api.ReportPayment{
		OrderID: order, Operation: op, Key: key, Result: a.Result, Provider: provider, ProviderRef: a.Ref, Amount: a.Amount,
		Code: a.Code, ClientSecret: a.ClientSecret, ExpiresAt: a.ExpiresAt, OneCapture: a.OneCapture,
	}
}
