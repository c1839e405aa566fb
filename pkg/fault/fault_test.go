package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/pkg/fault"
)

// TestTheTableOfKinds holds what each kind is stored as and means: others rely on all of it.
func TestTheTableOfKinds(t *testing.T) {
	refuse, retry, park := fault.Refuse, fault.Retry, fault.Park
	table := []struct {
		f         *fault.Fault
		name      string
		status    int
		treatment fault.Treatment
	}{
		{&fault.Fault{}, "internal", 500, park},
		{fault.Invalid("c", ""), "invalid", 422, refuse},
		{fault.NotFound("c", ""), "not_found", 404, refuse},
		{fault.Conflict("c", ""), "conflict", 409, refuse},
		{fault.Precondition("c", ""), "precondition", 412, refuse},
		{fault.Forbidden("c", ""), "forbidden", 403, refuse},
		{fault.Unauthenticated("c", ""), "unauthenticated", 401, refuse},
		{fault.TooMany("c", ""), "too_many", 429, retry},
		{fault.Unavailable("c", ""), "unavailable", 503, retry},
	}
	for i, want := range table {
		k := want.f.Kind
		if int(k) != i || k.String() != want.name || k.HTTPStatus() != want.status || k.Treatment() != want.treatment {
			t.Errorf("kind %d is %s, %d, %d; want %d, %+v", k, k, k.HTTPStatus(), k.Treatment(), i, want)
		}
		if got := fault.TreatmentOf(fmt.Errorf("while deciding: %w", want.f)); got != want.treatment {
			t.Errorf("a wrapped %s is treated as %d", k, got)
		}
		text, err := k.MarshalText()
		back := fault.KindUnavailable
		if err != nil || back.UnmarshalText(text) != nil || back != k {
			t.Errorf("%s is read back as %s", k, back)
		}
	}
	if fault.TreatmentOf(errors.New("no fault")) != park {
		t.Error("an error that is no refusal is answered to the caller")
	}
}

func TestAnUnknownKindIsNotRead(t *testing.T) {
	k := fault.KindConflict
	if err := k.UnmarshalText([]byte("teapot")); err == nil || k != fault.KindConflict {
		t.Errorf("read as %s, %v", k, err)
	}
}

func TestFaultsAreComparedByKindAndCode(t *testing.T) {
	f := fault.Conflict("price_changed", "the total is %d", 5).With("body.lines[0]", "was %d", 4)
	for what, c := range map[string]struct {
		target error
		want   bool
	}{
		"another detail": {fault.Conflict("price_changed", ""), true},
		"another code":   {fault.Conflict("order_exists", ""), false},
		"another kind":   {fault.Invalid("price_changed", ""), false},
		"no fault":       {errors.New("price_changed"), false},
	} {
		if got := errors.Is(fmt.Errorf("wrapped: %w", f), c.target); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
	if got, ok := fault.Of(fmt.Errorf("wrapped: %w", f)); !ok || got != f {
		t.Errorf("got %v", got)
	}
	if got, ok := fault.Of(errors.New("no fault")); ok || got != nil {
		t.Errorf("got %v", got)
	}
}

func TestWithNamesPartsAndLeavesTheOriginalAlone(t *testing.T) {
	base := fault.Invalid("unknown_product", "no such product")
	one := base.With("body.lines[0]", "there is no %q", "A")
	three := one.With("", "").With("", "") // a slice that has grown may have room to share
	two, other := three.With("body.lines[1]", "nor B"), three.With("body.lines[2]", "nor C")
	if len(base.Fields) != 0 || len(one.Fields) != 1 {
		t.Errorf("the originals have %d and %d fields", len(base.Fields), len(one.Fields))
	}
	if got := two.Fields[3].Message + ", " + other.Fields[3].Message; got != "nor B, nor C" {
		t.Errorf("two copies share their fields: %s", got)
	}
	if one.Fields[0] != (fault.Field{Location: "body.lines[0]", Message: `there is no "A"`}) {
		t.Errorf("got %+v", one.Fields[0])
	}
}

func TestAFaultSpeaksForItself(t *testing.T) {
	for want, f := range map[string]*fault.Fault{
		`order_not_found: there is no order "42"`: fault.NotFound("order", "42"),
		"price_changed":                          fault.Conflict("price_changed", ""),
		"out: 100% of it":                        fault.Conflict("out", "100% of it"), // no arguments: no format
		"too_many_lines: 101 lines are too many": fault.Invalid("too_many_lines", "%d lines are too many", 101),
	} {
		if f.Error() != want {
			t.Errorf("got %q, want %q", f.Error(), want)
		}
	}
}

// TestAFaultIsStoredAndReadBack holds the JSON that logs and the outcomes topic keep.
func TestAFaultIsStoredAndReadBack(t *testing.T) {
	f := fault.Invalid("bad_lines", "look at them").With("body.lines[0]", "is odd")
	const want = `{"kind":"invalid","code":"bad_lines","detail":"look at them","errors":[{"location":"body.lines[0]","message":"is odd"}]}`
	data, err := json.Marshal(f)
	if err != nil || string(data) != want {
		t.Fatalf("%v\n got %s\nwant %s", err, data, want)
	}
	var back fault.Fault
	if err := json.Unmarshal(data, &back); err != nil || fmt.Sprint(back) != fmt.Sprint(*f) {
		t.Errorf("read back as %+v, %v", back, err)
	}
	if data, err := json.Marshal(fault.Conflict("c", "")); err != nil || string(data) != `{"kind":"conflict","code":"c"}` {
		t.Errorf("got %s, %v", data, err)
	}
}
