package payments

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v84"

	api "github.com/orderlane/orderlane/api/payments"
)

// stripe-mock is Stripe's own stand-in: it knows the shape of every request, and refuses others.
const (
	stripeMockVersion = "v0.203.0"
	stripeMockBuild   = 5 * time.Minute // once; then it is in the cache
	stripeMockStart   = 20 * time.Second
)

// TestStripeTakesTheShapeOfOurRequests sends each kind of request that there is.
func TestStripeTakesTheShapeOfOurRequests(t *testing.T) {
	p := newStripe("sk_test_1", "", startStripeMock(t), func() time.Time { return noon })
	t.Cleanup(p.http.CloseIdleConnections)
	for _, method := range []string{"stripe", "stripe_pm_card_visa"} {
		for _, op := range []api.Operation{api.OperationAuthorize, api.OperationCapture, api.OperationVoid, api.OperationRefund} {
			for _, final := range []bool{false, true} {
				task := &api.CallProvider{
					Operation: op, Key: fmt.Sprintf("o-1/%s/1/r", op), PaymentKey: "o-1/authorize/1/", Provider: "stripe", Method: method,
					Amount: 1299, Currency: "EUR", Final: final, First: noon,
				}
				if op != api.OperationAuthorize {
					task.PaymentRef = "pi_1"
				}
				// What it answers is made up; what it refuses has no name.
				if a, err := p.Do(t.Context(), task); err != nil || a.Result == api.ResultDeclined && (a.Ref == "" || op != api.OperationAuthorize) {
					t.Errorf("%s by %s: %+v, %v", op, method, a, err)
				}
				if _, _, err := p.Find(t.Context(), task); err != nil {
					t.Errorf("find %s by %s: %v", op, method, err)
				}
			}
		}
	}
	if pi, err := p.search(t.Context(), "o-1/authorize/1/"); err != nil {
		t.Errorf("%+v, %v", pi, err)
	}
}

// TestStripeRefusesAnotherShape shows that stripe-mock would tell.
func TestStripeRefusesAnotherShape(t *testing.T) {
	p := newStripe("sk_test_1", "", startStripeMock(t), func() time.Time { return noon })
	t.Cleanup(p.http.CloseIdleConnections)
	_, err := p.client.V1PaymentIntents.Create(t.Context(), &stripe.PaymentIntentCreateParams{Amount: stripe.Int64(1299)})
	if _, refused := refusal(err); !refused {
		t.Errorf("a payment without a currency: %v", err)
	}
}

// startStripeMock starts stripe-mock for a test and returns its URL. Where it can't be had the test is skipped
// aloud, unless what is real is required.
func startStripeMock(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("stripe-mock is left out of short tests")
	}
	missing := func(err error) {
		t.Helper()
		if os.Getenv("ORDERLANE_TEST_REAL") == "required" {
			t.Fatalf("stripe-mock is missing: %v", err)
		}
		t.Skipf("SKIPPED for lack of stripe-mock: %v", err)
	}
	path, err := buildStripeMock(t.Context())
	if err != nil {
		missing(err)
	}
	address, err := runStripeMock(t, path)
	if err != nil {
		missing(err)
	}
	return "http://" + address
}

// buildStripeMock installs stripe-mock into the cache that tools are kept in, unless it is there.
func buildStripeMock(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "orderlane", "stripe-mock-"+stripeMockVersion)
	path := filepath.Join(dir, "stripe-mock")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	limited, cancel := context.WithTimeout(ctx, stripeMockBuild)
	defer cancel()
	install := exec.CommandContext(limited, "go", "install", "github.com/stripe/stripe-mock@"+stripeMockVersion)
	install.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
}

// runStripeMock runs it until the test ends, on a free port of this machine alone.
func runStripeMock(t *testing.T, path string) (address string, err error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	mock := exec.CommandContext(ctx, path, "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0")
	out, err := mock.StdoutPipe()
	if err == nil {
		err = mock.Start()
	}
	if err != nil {
		cancel()
		return "", err
	}
	found, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if _, at, ok := strings.Cut(lines.Text(), "HTTP at address: "); ok {
				found <- at
			}
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		_ = mock.Wait() // it was killed
	})
	select {
	case address = <-found:
		return address, nil
	case <-ended:
		return "", fmt.Errorf("stripe-mock ended at once")
	case <-time.After(stripeMockStart):
		return "", fmt.Errorf("stripe-mock did not start in %s", stripeMockStart)
	}
}
