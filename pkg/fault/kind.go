package fault

import (
	"fmt"
	"net/http"
)

// Kind groups faults by what can be done about them.
type Kind uint8

// The kinds. Their names are part of stored outcomes: add, never rename.
const (
	KindInternal Kind = iota
	KindInvalid
	KindNotFound
	KindConflict
	KindPrecondition
	KindForbidden
	KindUnauthenticated
	KindTooMany
	KindUnavailable
)

// Treatment is what a message consumer does with an error of a kind.
type Treatment uint8

// The treatments.
const (
	Park   Treatment = iota // a bug of ours: keep the command aside, go on with the next
	Refuse                  // an answer to the caller: final
	Retry                   // passing: try again while the key waits
)

// kinds is the one table: what each kind means to an HTTP client and to a consumer.
var kinds = [...]struct {
	name      string
	status    int
	treatment Treatment
}{
	KindInternal:        {"internal", http.StatusInternalServerError, Park},
	KindInvalid:         {"invalid", http.StatusUnprocessableEntity, Refuse},
	KindNotFound:        {"not_found", http.StatusNotFound, Refuse},
	KindConflict:        {"conflict", http.StatusConflict, Refuse},
	KindPrecondition:    {"precondition", http.StatusPreconditionFailed, Refuse},
	KindForbidden:       {"forbidden", http.StatusForbidden, Refuse},
	KindUnauthenticated: {"unauthenticated", http.StatusUnauthorized, Refuse},
	KindTooMany:         {"too_many", http.StatusTooManyRequests, Retry},
	KindUnavailable:     {"unavailable", http.StatusServiceUnavailable, Retry},
}

// HTTPStatus is the status code of an answer that reports the kind.
func (k Kind) HTTPStatus() int { return kinds[k].status }

// Treatment is what a message consumer does with the kind.
func (k Kind) Treatment() Treatment { return kinds[k].treatment }

// String is the kind's stored name.
func (k Kind) String() string { return kinds[k].name }

// MarshalText writes the stored name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a stored name.
func (k *Kind) UnmarshalText(b []byte) error {
	for i, e := range kinds {
		if e.name == string(b) {
			*k = Kind(i)
			return nil
		}
	}
	return fmt.Errorf("fault: unknown kind %q", b)
}

// TreatmentOf is the treatment of any error: that of its fault, and Park for the rest.
func TreatmentOf(err error) Treatment {
	if f, ok := Of(err); ok {
		return f.Kind.Treatment()
	}
	return Park
}
