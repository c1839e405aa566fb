package notifications

import (
	"fmt"
	netmail "net/mail"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	api "github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/fault"
)

// message makes the mail of a task. at is when the mail was asked for. The same task makes the
// same bytes, however often it is tried, and the same Message-ID: should a mail go out twice,
// since the process was killed before it could report, the receiver can tell.
func message(from *netmail.Address, t *api.SendMail, at time.Time, f *facts, w written) (*mail.Msg, error) {
	to, err := netmail.ParseAddress(f.personal.Email)
	if err != nil || to.Name != "" { // err quotes the address, and errors are logged
		return nil, fault.Invalid(api.ReasonBadAddress, "the order's mail address is none")
	}
	to.Name = oneLine(f.personal.ShipTo.Name)
	id := fmt.Sprintf("%s.%d.%d@%s", Mailboxes.Stream(t.OrderID), t.Mail, t.Send, domainOf(from))
	boundary := strings.ReplaceAll(bus.DeriveID("boundary", id).String(), "-", "")
	m := mail.NewMsg(mail.WithBoundary(boundary), mail.WithNoDefaultUserAgent())
	m.FromMailAddress(from)
	m.AddToMailAddress(to)
	m.SetMessageIDWithValue(id)
	m.SetDateWithValue(at.UTC())
	m.SetGenHeader("Auto-Submitted", "auto-generated") // so that no out-of-office note answers it (RFC 3834)
	m.Subject(w.Subject)
	m.SetBodyString(mail.TypeTextPlain, w.Text)
	m.AddAlternativeString(mail.TypeTextHTML, w.HTML)
	return m, nil
}

// fileName is the name of a task's mail, the same for the same task, in the order in which mails
// were asked for.
func fileName(t *api.SendMail, at time.Time, number string) string {
	return fmt.Sprintf("%s-%s-%d.%d-%s", at.UTC().Format("20060102T150405.000000000"), number, t.Mail, t.Send, t.Kind)
}

// domainOf is the domain of an address.
func domainOf(a *netmail.Address) string { return a.Address[strings.LastIndexByte(a.Address, '@')+1:] }
