package payments

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/money"
)

// provider is what a provider has made up its mind to: the same, however often it is asked.
type provider struct {
	oneCapture bool
	expires    bool
	declines   map[string]bool // what, by operation and reference
}

func drawProvider(t *rapid.T) *provider {
	p := &provider{
		oneCapture: rapid.Bool().Draw(t, "one capture"), expires: rapid.Bool().Draw(t, "expires"), declines: map[string]bool{},
	}
	for _, what := range []string{"authorize", "renewal 0", "renewal 1", "capture s1", "capture s2", "capture s3", "void", "refund r1", "refund r2", "refund v1"} {
		p.declines[what] = rapid.IntRange(0, 4).Draw(t, what+" is declined") == 0
	}
	return p
}

func (p *provider) answer(a asked, at time.Time) Report {
	what := string(a.Operation)
	switch {
	case a.Operation == Capturing, a.Operation == Refunding:
		what += " " + a.reference
	case a.Operation == Authorizing && a.N > 1:
		what = fmt.Sprint("renewal ", a.N%2)
	}
	r := Report{Operation: a.Operation, N: a.N, Reference: a.reference, Result: ResultDone, Ref: "ref", OneCapture: p.oneCapture}
	if p.expires {
		r.ExpiresAt = at.Add(week)
	}
	if p.declines[what] {
		r.Result = ResultDeclined
	}
	return r
}

// decide is when, at the command's own time.
func (s *story) decide(command Command) {
	s.Helper()
	events, err := Payments.Decide(command, s.p)
	s.err = err
	for _, e := range events {
		s.evolve(e)
	}
}

func drawUnits(t *rapid.T) []Units {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Units {
		return Units{rapid.IntRange(1, 3).Draw(t, "line"), rapid.Int64Range(1, 3).Draw(t, "quantity")}
	}), 0, 2).Draw(t, "units")
}

func drawOrder(t *rapid.T, at time.Time) Request {
	r := Request{Customer: "c", Provider: "sandbox", Method: "m", CompleteWithin: 15 * time.Minute, At: at}
	sum := Worth{}
	for i := range rapid.IntRange(1, 2).Draw(t, "lines") {
		l := Line{Line: i + 1, Quantity: rapid.Int64Range(1, 4).Draw(t, "quantity"), Total: rapid.Int64Range(0, 500).Draw(t, "total")}
		l.Tax = rapid.Int64Range(0, l.Total).Draw(t, "tax")
		r.Lines, sum = append(r.Lines, l), sum.plus(Worth{l.Total, l.Tax})
	}
	r.Delivery = Worth{Total: rapid.Int64Range(0, 100).Draw(t, "delivery")}
	r.Amount = money.Of(sum.Total+r.Delivery.Total, "EUR")
	return r
}

func drawCommand(t *rapid.T, at time.Time) Command {
	switch rapid.IntRange(0, 3).Draw(t, "command") {
	case 0:
		return Void{Reference: rapid.SampledFrom([]string{"v1", "v2"}).Draw(t, "void"), Units: drawUnits(t), At: at}
	case 1:
		reference := rapid.SampledFrom([]string{"r1", "r2"}).Draw(t, "refund")
		staff := rapid.Bool().Draw(t, "staff")
		if rapid.Bool().Draw(t, "amount") {
			amount := money.Of(rapid.Int64Range(1, 300).Draw(t, "cents"), "EUR")
			return Refund{Reference: reference, Amount: &amount, Staff: staff, At: at}
		}
		return Refund{Reference: reference, Units: drawUnits(t), Delivery: rapid.Bool().Draw(t, "delivery"), Staff: staff, At: at}
	}
	return Capture{Reference: rapid.SampledFrom([]string{"s1", "s2", "s3"}).Draw(t, "capture"), Units: drawUnits(t), At: at}
}

// Whatever is asked and answered, in whatever order, every movement balances, the sums of the
// accounts are the balance, nothing is captured above what was authorised nor given back above what was
// captured, and in the end nothing is left open or held for nobody.
func TestTheRulesOfMoneyHoldWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		world, s := drawProvider(t), payment(t)
		request := drawOrder(t, s.at)
		for range rapid.IntRange(0, 25).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				s.decide(request)
			case 1, 2:
				s.decide(drawCommand(t, s.at))
			case 3, 4:
				if len(s.calls()) > 0 {
					r := world.answer(rapid.SampledFrom(s.calls()).Draw(t, "answered"), s.at)
					if r.At = s.at; rapid.IntRange(0, 3).Draw(t, "first") == 0 {
						r.Result = rapid.SampledFrom([]Result{ResultActionRequired, "pending", "unknown"}).Draw(t, "answer")
					}
					s.decide(r)
				}
			case 5:
				if due := s.p.deadline(); !due.IsZero() {
					s.at = maxTime(s.at, due)
					s.decide(Wake{At: s.at})
					if next := s.p.deadline(); !next.IsZero() && !next.After(s.at) {
						t.Fatalf("woken at %s, it wants to be woken at %s", s.at, next)
					}
				}
			}
		}
		for i := 0; i < len(s.calls()); i++ { // the provider answers everything, in the end
			r := world.answer(s.calls()[i], s.at)
			r.At = s.at
			s.decide(r)
		}
		settled(t, &s.p)
	})
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// settled checks a payment whose provider has answered everything.
func settled(t *rapid.T, p *Payment) {
	var unpaid, wanted, paid int64
	for _, k := range p.Captures {
		if k.State == opWaiting || k.State == opAsked {
			t.Fatalf("capture %+v is open", k)
		}
		if k.State != opDone {
			unpaid += k.Worth.Total
		} else {
			paid += k.Worth.Total
		}
		if k.State == opFailed {
			wanted += k.Worth.Total
		}
	}
	if paid > p.Sums.Captured {
		t.Fatalf("%d was taken, and %d is said to be: %+v", p.Sums.Captured, paid, p.Captures)
	}
	for _, v := range p.Voids {
		if v.State != opDone {
			t.Fatalf("void %+v is open", v)
		}
	}
	if b := p.Sums.Balance(); b.Refunding != 0 {
		t.Fatalf("%+v is being given back", p.Refunds)
	}
	if wanted += p.wanted(); p.Sums.Held > wanted {
		t.Fatalf("%d is held, and %d wanted: %+v", p.Sums.Held, wanted, p)
	}
	if p.Closed && p.Sums.Held != 0 {
		t.Fatalf("%d is held for a payment that was given up", p.Sums.Held)
	}
	if !p.PaidAll && p.Sums.Receivable != unpaid {
		t.Fatalf("the customer owes %d, and %d was not paid", p.Sums.Receivable, unpaid)
	}
	if s := p.Sums; !p.PaidAll && unpaid == 0 && s.Captured == -s.Refunded && (s.Revenue != 0 || s.Tax != 0) {
		t.Fatalf("everything was given back, and the accounts are %+v", s)
	}
	if a := p.authorizing(); a != nil {
		t.Fatalf("authorisation %+v is open", a)
	}
}

// outcome is what has to be the same in the end.
func outcome(p *Payment) string {
	s := fmt.Sprintf("%s %+v %+v %+v closed %t all %t", p.status(), p.Sums, p.Lines, p.Delivery, p.Closed, p.PaidAll)
	for _, k := range p.Captures {
		s += fmt.Sprintf("\ncapture %s %s %v", k.Reference, k.State, k.Parts)
	}
	var refunds []string
	for _, r := range p.Refunds {
		refunds = append(refunds, fmt.Sprintf("\nrefund %s %s %v %v", r.Reference, r.State, r.Parts, r.Owing))
	}
	slices.Sort(refunds)
	return fmt.Sprint(s, refunds)
}

func TestAnyOrderAndRepetitionOfTheProvidersAnswersEndsInTheSameState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		world, request := drawProvider(t), drawOrder(t, noon)
		phases := [][]Command{{request}}
		for range rapid.IntRange(1, 4).Draw(t, "phases") {
			phases = append(phases, rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Command { return drawCommand(t, noon) }), 1, 3).Draw(t, "commands"))
		}
		if rapid.Bool().Draw(t, "voided while it is authorised") {
			phases[0] = append(phases[0], Void{Reference: "v1", At: noon})
		}
		run := func(next func(open, all []asked) (asked, Result)) string {
			s := payment(t)
			answered := map[int]bool{}
			for _, phase := range phases {
				for _, c := range phase {
					s.decide(c)
				}
				for {
					open := slices.DeleteFunc(slices.Clone(s.calls()), func(a asked) bool { return answered[a.N] })
					if len(open) == 0 {
						break
					}
					a, noise := next(open, s.calls())
					r := world.answer(a, noon)
					r.At = noon
					if noise != "" {
						r.Result = noise
					} else {
						answered[a.N] = true
					}
					s.decide(r)
				}
			}
			return outcome(&s.p)
		}
		straight := run(func(open, _ []asked) (asked, Result) { return open[0], "" })
		tangled := run(func(open, all []asked) (asked, Result) {
			switch rapid.IntRange(0, 3).Draw(t, "what comes next") {
			case 0:
				return rapid.SampledFrom(all).Draw(t, "told before"), ""
			case 1:
				noise := []Result{"pending", "unknown", ResultActionRequired}
				return rapid.SampledFrom(all).Draw(t, "not told yet"), rapid.SampledFrom(noise).Draw(t, "noise")
			}
			return rapid.SampledFrom(open).Draw(t, "told"), ""
		})
		if straight != tangled {
			t.Fatalf("told in order it is\n%s\nand otherwise\n%s", straight, tangled)
		}
	})
}

// calls are those that the provider was asked for, each once.
func (s *story) calls() []asked {
	return slices.DeleteFunc(slices.Clone(s.tasks), func(a asked) bool { return a.Attempt > 1 })
}
