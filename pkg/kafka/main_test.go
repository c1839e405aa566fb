package kafka

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/orderlane/orderlane/e2e/realparts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(realparts.Wrap(m)) }
