package es_test

import (
	"errors"
	"strings"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
)

// account is the aggregate of this package's tests: money goes in, and out as long as
// there is some.
type account struct {
	Balance int64
	Notes   []string
}

type (
	event   interface{ evolve(account) account }
	command interface {
		decide(account) ([]event, error)
	}

	paidIn  struct{ N int64 }
	paidOut struct{ N int64 }
	noted   struct{ Text string }
	// alien is an event that no shape is declared for.
	alien struct{}

	payIn  struct{ N int64 }
	payOut struct{ N int64 }
	note   struct{ Text string }
	boom   struct{}
	// hidden is a command of somebody who may not see the account.
	hidden struct{}
	bug    struct{}
	lost   struct{}
	twice  struct{ N int64 }
)

func (e paidIn) evolve(a account) account  { a.Balance += e.N; return a }
func (e paidOut) evolve(a account) account { a.Balance -= e.N; return a }
func (e noted) evolve(a account) account   { a.Notes = append(a.Notes, e.Text); return a }
func (alien) evolve(a account) account     { return a }

func (c payIn) decide(account) ([]event, error) { return []event{paidIn(c)}, nil }
func (c payOut) decide(a account) ([]event, error) {
	switch {
	case c.N == 0:
		return nil, nil
	case c.N > a.Balance:
		return nil, fault.Conflict("balance_too_low", "")
	}
	return []event{paidOut(c)}, nil
}
func (c note) decide(account) ([]event, error)  { return []event{noted(c)}, nil }
func (hidden) decide(account) ([]event, error)  { return nil, fault.NotFound("account", "a") }
func (boom) decide(account) ([]event, error)    { panic("boom") }
func (bug) decide(account) ([]event, error)     { return nil, errors.New("no refusal") }
func (lost) decide(account) ([]event, error)    { return []event{paidIn{1}, alien{}}, nil }
func (c twice) decide(account) ([]event, error) { return []event{paidIn(c), paidIn(c)}, nil }

var accounts = &es.Aggregate[account, event, command]{
	Decider: es.Decider[account, event, command]{
		Category: "account", StateVersion: 1,
		Initial: func() account { return account{} },
		Decide:  func(c command, a account) ([]event, error) { return c.decide(a) },
		Evolve:  func(e event, a account) account { return e.evolve(a) },
	},
	Codec: es.NewCodec[event](
		es.Stored[paidIn, event]("paid_in"), es.Stored[paidOut, event]("paid_out"), es.Stored[noted, event]("noted"),
	),
}

var longText = strings.Repeat("x", 10_000)
