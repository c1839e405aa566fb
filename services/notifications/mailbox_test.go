package notifications

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/orderlane/orderlane/pkg/es/estest"
	"github.com/orderlane/orderlane/pkg/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	noon      = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	confirmed = Of{1, 1, "order_confirmed", "order-1/2"}
	asked     = Requested{confirmed, noon}
)

func TestAnEventIsWrittenAboutOnce(t *testing.T) {
	request := Request{"order_confirmed", "order-1/2", noon}
	estest.Of(t, Mailboxes).Given().When(request).Then(asked)
	estest.Of(t, Mailboxes).Given(asked).When(request).Then()
	estest.Of(t, Mailboxes).Given(asked, Sent{confirmed}).When(request).Then()
	estest.Of(t, Mailboxes).Given(asked).When(Request{"shipment_dispatched", "shipment-9/2", noon}).
		Then(Requested{Of{2, 1, "shipment_dispatched", "shipment-9/2"}, noon})
}

func TestWhatBecameOfAMailIsKept(t *testing.T) {
	for result, want := range map[Result]Event{
		ResultSent:    Sent{confirmed},
		ResultFailed:  Failed{confirmed, "smtp_550"},
		ResultSkipped: Skipped{confirmed, "smtp_550"},
	} {
		report := Report{1, 1, result, "smtp_550"}
		estest.Of(t, Mailboxes).Given(asked).When(report).Then(want)
		estest.Of(t, Mailboxes).Given(asked, want).When(report).Then()
		estest.Of(t, Mailboxes).Given(asked, want).When(Report{1, 1, ResultSent, ""}).Then()
	}
}

func TestAReportOfNoMailIsRefused(t *testing.T) {
	for _, c := range []Report{{0, 1, ResultSent, ""}, {2, 1, ResultSent, ""}, {1, 0, ResultSent, ""}, {1, 2, ResultSent, ""}} {
		estest.Of(t, Mailboxes).Given(asked).When(c).Refused(fault.NotFound("mail", ""))
	}
	estest.Of(t, Mailboxes).Given(asked).When(Report{1, 1, "burnt", ""}).Refused(fault.Invalid("unknown_result", ""))
}

func TestAMailIsSentAgainOnceItIsKnownWhatBecameOfIt(t *testing.T) {
	again := Requested{Of{1, 2, "order_confirmed", "order-1/2"}, noon.Add(time.Minute)}
	resend := Resend{1, noon.Add(time.Minute)}
	for _, end := range []Event{Sent{confirmed}, Failed{confirmed, "smtp_550"}, Skipped{confirmed, "no_address"}} {
		estest.Of(t, Mailboxes).Given(asked, end).When(resend).Then(again)
	}
	estest.Of(t, Mailboxes).Given(asked).When(resend).Refused(fault.Conflict("mail_on_its_way", ""))
	estest.Of(t, Mailboxes).Given(asked, Sent{confirmed}, again).When(resend).Refused(fault.Conflict("mail_on_its_way", ""))
	for _, mail := range []int{-1, 0, 2} {
		estest.Of(t, Mailboxes).Given(asked, Sent{confirmed}).When(Resend{mail, noon}).Refused(fault.NotFound("mail", ""))
	}
}

func TestAMailOfWhichNothingWasHeardIsSentAgainLater(t *testing.T) {
	late := noon.Add(overdue)
	again := Of{1, 2, "order_confirmed", "order-1/2"}
	estest.Of(t, Mailboxes).Given(asked).When(Resend{1, late.Add(-1)}).Refused(fault.Conflict("mail_on_its_way", ""))
	estest.Of(t, Mailboxes).Given(asked).When(Resend{1, late}).Then(Requested{again, late})
	// The report of the first sending comes after all, and the second one is still to be heard of.
	estest.Of(t, Mailboxes).Given(asked, Requested{again, late}).When(Report{1, 1, ResultSent, ""}).Then(Sent{confirmed})
	estest.Of(t, Mailboxes).Given(asked, Requested{again, late}, Sent{confirmed}).When(Report{1, 2, ResultFailed, "x"}).Then(Failed{again, "x"})
}

func TestMailsAndSendingsAreBounded(t *testing.T) {
	var many []Event
	for n := range maxMails {
		many = append(many, Requested{Of{n + 1, 1, "payment_refunded", fmt.Sprint("payment-1/", n)}, noon})
	}
	estest.Of(t, Mailboxes).Given(many...).When(Request{"payment_refunded", "payment-1/x", noon}).Refused(fault.Conflict("too_many_mails", ""))
	often := []Event{}
	for n := range maxSends {
		of := Of{1, n + 1, "order_confirmed", "order-1/2"}
		often = append(often, Requested{of, noon}, Sent{of})
	}
	estest.Of(t, Mailboxes).Given(often...).When(Resend{1, noon}).Refused(fault.Conflict("too_many_sends", ""))
}

// TestNoSequenceOfCommandsWritesTwiceOrLosesAMail: about each event there is one mail, its
// sendings are 1..n, and each of them ends at most once.
func TestNoSequenceOfCommandsWritesTwiceOrLosesAMail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state, at := Mailboxes.Initial(), noon
		about, sends, ended := map[string]bool{}, map[int]int{}, map[Of]bool{}
		for range rapid.IntRange(1, 60).Draw(t, "commands") {
			at = at.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "minutes")) * time.Minute)
			mail := rapid.IntRange(0, 5).Draw(t, "mail")
			command := rapid.SampledFrom([]Command{
				Request{"order_cancelled", fmt.Sprint("order-1/", mail), at},
				Resend{mail, at},
				Report{mail, rapid.IntRange(0, 3).Draw(t, "send"), rapid.SampledFrom([]Result{ResultSent, ResultFailed, ResultSkipped}).Draw(t, "result"), "r"},
			}).Draw(t, "command")
			events, err := Mailboxes.Decide(command, state)
			if err != nil && len(events) > 0 {
				t.Fatalf("%#v is refused and decided", command)
			}
			for _, e := range events {
				switch e := e.(type) {
				case Requested:
					if sends[e.Mail]++; e.Send != sends[e.Mail] {
						t.Fatalf("sending %d of mail %d follows %d others", e.Send, e.Mail, sends[e.Mail]-1)
					}
					if e.Send == 1 && about[e.About] {
						t.Fatalf("a second mail about %s", e.About)
					}
					about[e.About] = true
				case Sent:
					end(t, ended, e.Of)
				case Failed:
					end(t, ended, e.Of)
				case Skipped:
					end(t, ended, e.Of)
				}
				state = Mailboxes.Evolve(e, state)
			}
		}
		if len(state.Mails) != len(about) {
			t.Fatalf("%d mails about %d events", len(state.Mails), len(about))
		}
	})
}

func end(t *rapid.T, ended map[Of]bool, o Of) {
	if ended[o] {
		t.Fatalf("%+v ends twice", o)
	}
	ended[o] = true
}
