package httpapi

import (
	"errors"
	"testing"
)

func TestAnAnswerIsSentUnlessTheClientHasThatVersion(t *testing.T) {
	type resource struct{ version int64 }
	shown := func(r *resource) Tokens { return Tokens{{Stream: "order-7", Version: r.version}} }
	has := &Conditional{IfNoneMatch: `"order-7@3"`}
	if got, err := Answer(has, &resource{3}, nil, shown); got != nil || !errors.Is(err, NotModified(`"order-7@3"`)) {
		t.Errorf("got %+v, %v", got, err)
	}
	for what, c := range map[string]struct {
		of      *Conditional
		version int64
	}{"another version": {has, 4}, "in any case": {nil, 3}, "without a condition": {&Conditional{}, 3}} {
		got, err := Answer(c.of, &resource{c.version}, nil, shown)
		if err != nil || got.Body.version != c.version || got.ETag != ETag(shown(got.Body)) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	missing := errors.New("it is not there")
	if got, err := Answer[resource](has, nil, missing, shown); got != nil || !errors.Is(err, missing) {
		t.Errorf("got %+v, %v", got, err)
	}
}
