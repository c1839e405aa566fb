package daemon_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlane/orderlane/pkg/daemon"
)

func TestRetryTellsWhatIsMissingUntilItIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines strings.Builder
		health := daemon.NewHealth(slog.New(slog.NewTextHandler(&lines, nil)), time.Now)
		part := health.Require("database")
		health.Started()
		var gaps []time.Duration
		last, n := time.Now(), 0
		err := daemon.Retry(t.Context(), part, daemon.Backoff{Min: time.Second, Max: 4 * time.Second}, func(context.Context) error {
			gaps = append(gaps, time.Since(last))
			last = time.Now()
			if n++; n == 6 {
				return nil
			}
			if r := health.Report(); n > 1 && (r.Ready() || !strings.Contains(r.Parts[0].Missing, "refused")) {
				t.Errorf("between attempts it says %+v", r)
			}
			return errors.New("dial 127.0.0.1:5432: connection refused, port " + strings.Repeat("7", n))
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := []time.Duration{0, 1e9, 2e9, 4e9, 4e9, 4e9}; !slices.Equal(gaps, want) {
			t.Errorf("it waited %v, want %v", gaps, want)
		}
		if !health.Report().Ready() {
			t.Error("what came back is not ready")
		}
		if got := strings.Count(lines.String(), "\n"); got != 2 {
			t.Errorf("%d lines for going and coming back:\n%s", got, &lines)
		}
	})
}

func TestRetryEndsWithItsContextAndAtOnceOnAPermanentError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		away := errors.New("away")
		err := daemon.Retry(ctx, nil, daemon.DefaultBackoff, func(context.Context) error { return away })
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, away) {
			t.Errorf("the error is %v", err)
		}
		n := 0
		err = daemon.Retry(t.Context(), nil, daemon.DefaultBackoff, func(context.Context) error {
			n++
			return daemon.Permanent(errors.New("password refused"))
		})
		if err == nil || err.Error() != "password refused" || n != 1 {
			t.Errorf("after %d attempts the error is %v", n, err)
		}
	})
}

func TestCheckFollowsAThingThatGoesAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		health := daemon.NewHealth(slog.New(slog.DiscardHandler), time.Now)
		part := health.Watch("broker")
		health.Started()
		var away atomic.Pointer[error]
		away.Store(new(error))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			daemon.Check(ctx, part, time.Second, func(context.Context) error { return *away.Load() })
		}()
		for _, step := range []struct {
			err  error
			want string
		}{{nil, "ready"}, {errors.New("gone"), "degraded"}, {nil, "ready"}} {
			away.Store(&step.err)
			<-time.After(time.Second) // of the bubble's clock
			synctest.Wait()
			if got := health.Report().Status; got != step.want {
				t.Errorf("with %v it is %s", step.err, got)
			}
		}
		cancel()
		<-ended
	})
}
