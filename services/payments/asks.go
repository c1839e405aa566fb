package payments

import (
	"fmt"
	"strconv"
	"strings"

	api "github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
)

// asks is the call that a stored event makes, as a task of the gateway.
func asks(r *es.Record) ([]bus.Ask, error) {
	event, err := Payments.Codec.Decode(r)
	if err != nil {
		return nil, err
	}
	reference, call := calls(event)
	if call == nil {
		return nil, nil
	}
	order := bus.ResourceOf(r.Stream).ID
	body := &api.CallProvider{
		OrderID: order, Key: key(order, call.Operation, call.N, reference), Operation: api.Operation(call.Operation),
		Provider: call.Provider, Method: call.Method, Amount: call.Amount, Currency: call.Currency,
		PaymentKey: key(order, Authorizing, call.Authorization, ""), PaymentRef: call.Ref,
		Final: call.Final, Attempt: call.Attempt, First: call.First,
	}
	if call.Replaces != 0 {
		body.ReplacesKey, body.ReplacesRef = key(order, Authorizing, call.Replaces, ""), call.ReplacesRef
	}
	return []bus.Ask{{Service: api.Service, Task: true, Stream: r.Stream, Body: body}}, nil
}

// calls returns what an event asks the provider for; nil, if nothing.
func calls(event Event) (reference string, call *Call) {
	switch e := event.(type) {
	case Requested:
		return "", e.Call
	case CaptureRequested:
		return e.Reference, e.Call
	case VoidRequested:
		return e.Reference, e.Call
	case RefundRequested:
		return e.Reference, e.Call
	case Asked:
		return e.Reference, e.Call
	}
	return "", nil
}

// key is the idempotency key of an operation. The reference is in it since a log that was
// restored to an earlier point may number another operation the same.
func key(order string, op Operation, n int, reference string) string {
	return strings.Join([]string{order, string(op), strconv.Itoa(n), reference}, "/")
}

// parseKey takes a key apart.
func parseKey(s string) (order string, op Operation, n int, reference string, err error) {
	parts := strings.SplitN(s, "/", 4)
	if len(parts) == 4 {
		if n, err = strconv.Atoi(parts[2]); err == nil && n > 0 {
			return parts[0], Operation(parts[1]), n, parts[3], nil
		}
	}
	return "", "", 0, "", fmt.Errorf("payments: %q is no key of an operation", s)
}
