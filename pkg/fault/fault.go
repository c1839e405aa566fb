// Package fault holds the refusals of the platform: values with a kind, a stable
// code and a sentence for people, and the one table that says what each kind
// means to an HTTP client and to a message consumer.
//
// Every other error is wrapped with what was being done and counts as
// KindInternal: nothing that a caller could mend.
package fault

import (
	"errors"
	"fmt"
)

// Fault is a refusal. It is a value: compare two with errors.Is, which looks at
// kind and code only, since details are for people and may change.
type Fault struct {
	Kind   Kind    `json:"kind"`
	Code   string  `json:"code"`             // stable, snake_case
	Detail string  `json:"detail,omitempty"` // says what was wrong and what to do
	Fields []Field `json:"errors,omitempty"` // which parts of the input, if any
}

// Field is one part of an input that was refused.
type Field struct {
	Location string `json:"location"` // a path such as body.lines[0].sku
	Message  string `json:"message"`
}

// Error returns the code and the detail.
func (f *Fault) Error() string {
	if f.Detail == "" {
		return f.Code
	}
	return f.Code + ": " + f.Detail
}

// Is reports whether target is a fault of the same kind and code.
func (f *Fault) Is(target error) bool {
	t, ok := target.(*Fault)
	return ok && t.Kind == f.Kind && t.Code == f.Code
}

// With returns a copy of f that also names a refused part of the input.
func (f *Fault) With(location, format string, args ...any) *Fault {
	c := *f
	c.Fields = append(append([]Field(nil), f.Fields...), Field{Location: location, Message: fmt.Sprintf(format, args...)})
	return &c
}

func newFault(k Kind, code, format string, args []any) *Fault {
	detail := format
	if len(args) > 0 {
		detail = fmt.Sprintf(format, args...)
	}
	return &Fault{Kind: k, Code: code, Detail: detail}
}

// Invalid refuses input that can never be right.
func Invalid(code, format string, args ...any) *Fault {
	return newFault(KindInvalid, code, format, args)
}

// Conflict refuses what the present state does not allow.
func Conflict(code, format string, args ...any) *Fault {
	return newFault(KindConflict, code, format, args)
}

// NotFound refuses since there is no such thing, or none that the caller may see.
// The code is <what>_not_found.
func NotFound(what, id string) *Fault {
	return newFault(KindNotFound, what+"_not_found", "there is no %s %q", []any{what, id})
}

// Precondition refuses since the stream has moved on from what the caller saw.
func Precondition(code, format string, args ...any) *Fault {
	return newFault(KindPrecondition, code, format, args)
}

// Forbidden refuses what the caller may not do.
func Forbidden(code, format string, args ...any) *Fault {
	return newFault(KindForbidden, code, format, args)
}

// Unauthenticated refuses a caller who is not known.
func Unauthenticated(code, format string, args ...any) *Fault {
	return newFault(KindUnauthenticated, code, format, args)
}

// TooMany refuses a caller who asks more often than allowed.
func TooMany(code, format string, args ...any) *Fault {
	return newFault(KindTooMany, code, format, args)
}

// Unavailable says that a part is missing for now; the same request may succeed later.
func Unavailable(code, format string, args ...any) *Fault {
	return newFault(KindUnavailable, code, format, args)
}

// Of finds the fault in err's chain; ok is false if err is no refusal.
func Of(err error) (f *Fault, ok bool) {
	ok = errors.As(err, &f)
	return f, ok
}
