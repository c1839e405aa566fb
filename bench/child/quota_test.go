package child_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/orderlane/orderlane/bench/child"
)

func TestAProcessWithAQuotaGetsNoMoreThanThat(t *testing.T) {
	p, err := child.Start(t.Context(), t.TempDir(), "busy", "/bin/sh", "-c", "while :; do :; done")
	if err != nil {
		t.Fatal(err)
	}
	how, release, err := p.Quota(0.2)
	if err != nil {
		t.Skipf("there are no quotas here: %v", err)
	}
	defer func() {
		if err := release(); err != nil {
			t.Error(err)
		}
	}()
	defer func() { _ = p.Stop() }() // it ends by the signal
	if !strings.Contains(how, "control group") {
		t.Skipf("there are no control groups here: it has %s", how)
	}
	before, err := p.CPU()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	const spent = 200 * time.Millisecond
	err = p.Until(t.Context(), time.Minute, 10*time.Millisecond, func() error {
		if now, err := p.CPU(); err != nil || now-before < spent {
			return errors.Join(err, errors.New("it has not spent enough"))
		}
		return nil
	})
	if took := time.Since(began); err != nil || took < 600*time.Millisecond {
		t.Errorf("%v of CPU time took %v, with %s: %v", spent, took, how, err)
	}
}
