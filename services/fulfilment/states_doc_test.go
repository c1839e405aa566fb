package fulfilment

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/orderlane/orderlane/pkg/es/estest"
)

// TestTheStepsOfAProcessAreAsDrawn writes the steps down; that they are those which are taken,
// the model's test holds.
func TestTheStepsOfAProcessAreAsDrawn(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# The fulfilment of an order\n\nThe steps of the process that sees to an order. Drawn from the code by a test; another one " +
		"drives the process through random lives and holds that it takes no other ways.\n\n```mermaid\nstateDiagram-v2\n    [*] --> " + string(StepReserving) + "\n")
	for _, s := range States() {
		for _, next := range s.Next {
			fmt.Fprintf(&b, "    %s --> %s\n", s.Step, next)
		}
		if s.Step.Ended() {
			fmt.Fprintf(&b, "    %s --> [*]\n", s.Step)
		}
	}
	b.WriteString("```\n\n| step | what happens | until | a request to cancel | who may do what |\n|---|---|---|---|---|\n")
	for _, s := range States() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", s.Step, s.Means, s.Waits, s.Cancel, strings.Join(s.Allowed, "<br>"))
	}
	estest.Golden(t, "../../docs/states/fulfilment.md", b.Bytes())
}
