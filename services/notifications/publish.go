package notifications

import (
	"fmt"

	api "github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/es"
)

// public translates a stored event of an order's mails into its public one.
func public(r *es.Record) (name string, body any, err error) {
	event, err := Mailboxes.Codec.Decode(r)
	if err != nil {
		return "", nil, err
	}
	change := func(o Of) api.Change {
		return api.Change{
			OrderID: bus.ResourceOf(r.Stream).ID, Version: r.Version, Mail: o.Mail, Send: o.Send,
			Kind: api.Kind(o.Kind), About: o.About, At: r.Time,
		}
	}
	switch e := event.(type) {
	case Requested:
		return "mail_requested", &api.MailRequested{Change: change(e.Of)}, nil
	case Sent:
		return "mail_sent", &api.MailSent{Change: change(e.Of)}, nil
	case Failed:
		return "mail_failed", &api.MailFailed{Change: change(e.Of), Reason: e.Reason}, nil
	case Skipped:
		return "mail_skipped", &api.MailSkipped{Change: change(e.Of), Reason: e.Reason}, nil
	}
	return "", nil, fmt.Errorf("notifications: %T has no public event", event)
}

// asks returns the gateway's task that a stored event asks for.
func asks(r *es.Record) ([]bus.Ask, error) {
	event, err := Mailboxes.Codec.Decode(r)
	if err != nil {
		return nil, err
	}
	e, ok := event.(Requested)
	if !ok {
		return nil, nil
	}
	return []bus.Ask{{Service: api.Service, Task: true, Stream: r.Stream, Body: &api.SendMail{
		OrderID: bus.ResourceOf(r.Stream).ID, Mail: e.Mail, Send: e.Send, Kind: api.Kind(e.Kind), About: e.About,
	}}}, nil
}
