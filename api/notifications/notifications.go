// Package notifications is the public contract of the notifications service: the mails to the
// customer of each order. A stream is the mails of one order, mail-<order id>. Its commands are
// the events of other services that a mail is written about, forwarded, and those below. Nothing
// here is personal: to whom a mail goes is known to the gateway alone. Fields are added, never
// renamed or removed.
package notifications

import "time"

// Service is the service's name, in topics, types and the command line.
const Service = "notifications"

// Category is the first part of the streams' names.
const Category = "mail"

// The message types.
const (
	TypeResendMail = "orderlane.notifications.resend_mail.v1"
	TypeReportMail = "orderlane.notifications.report_mail.v1"

	TypeMailRequested = "orderlane.notifications.mail_requested.v1"
	TypeMailSent      = "orderlane.notifications.mail_sent.v1"
	TypeMailFailed    = "orderlane.notifications.mail_failed.v1"
	TypeMailSkipped   = "orderlane.notifications.mail_skipped.v1"

	TypeSendMail = "orderlane.notifications.send_mail.v1"
)

// Kind is what a mail tells the customer.
type Kind string

// The kinds of mails, named after the events that they are about.
const (
	KindOrderConfirmed     Kind = "order_confirmed"
	KindOrderRejected      Kind = "order_rejected"
	KindOrderCancelled     Kind = "order_cancelled"
	KindShipmentDispatched Kind = "shipment_dispatched"
	KindPaymentRefunded    Kind = "payment_refunded"
)

// Status is what became of a mail.
type Status string

// The statuses of a mail.
const (
	StatusRequested Status = "requested" // on its way to the mail server
	StatusSent      Status = "sent"      // the mail server, or the outbox, has it
	StatusFailed    Status = "failed"    // given up
	StatusSkipped   Status = "skipped"   // there is nobody to send it to
)

// Why a mail was skipped or has failed. Besides there is smtp_ and the code of the mail
// server's answer, such as smtp_550.
const (
	ReasonNoAddress    = "no_address"       // the order came without a mail address
	ReasonErased       = "erased"           // what was personal of the order was erased
	ReasonBadAddress   = "bad_address"      // the order's mail address is none
	ReasonOrderUnknown = "order_unknown"    // the service has not learned of the order in time
	ReasonUnreachable  = "smtp_unreachable" // the mail server can't be reached or logged in to
	ReasonNoAnswer     = "smtp_no_answer"   // the mail server did not answer; it may have the mail
	ReasonUnwritable   = "outbox_unwritable"
	ReasonInternal     = "internal" // a fault of ours; the dead letter says which
)

// ResendMail asks to send one of an order's mails again, for staff.
type ResendMail struct {
	OrderID string `json:"order_id"`
	Mail    int    `json:"mail"`
}

// ReportMail says, from the gateway, what became of one sending of a mail.
type ReportMail struct {
	OrderID string `json:"order_id"`
	Mail    int    `json:"mail"`
	Send    int    `json:"send"`
	Status  Status `json:"status" enum:"sent,failed,skipped"`
	Reason  string `json:"reason,omitzero"`
}

// SendMail is the gateway's task: ids only. Address, name and content come from what the gateway
// knows of the order when it sends the mail.
type SendMail struct {
	OrderID string `json:"order_id"`
	Mail    int    `json:"mail"`
	Send    int    `json:"send"`
	Kind    Kind   `json:"kind"`
	About   string `json:"about" doc:"The event that the mail is about: <stream>/<version>"`
}

// Change is what every event of a mail says.
type Change struct {
	OrderID string    `json:"order_id"`
	Version int64     `json:"version"`
	Mail    int       `json:"mail" doc:"Among the order's mails, from 1"`
	Send    int       `json:"send" doc:"Which sending of the mail, from 1; more than one when staff asked for it again"`
	Kind    Kind      `json:"kind" example:"order_confirmed"`
	About   string    `json:"about" doc:"The event that the mail is about: <stream>/<version>" example:"order-5f0c3a52-9d0e-5a11-8000-00000000000a/2"`
	At      time.Time `json:"at"`
}

// MailRequested says that a mail is to be sent.
type MailRequested struct{ Change }

// MailSent says that the mail server, or the outbox, has a mail.
type MailSent struct{ Change }

// MailFailed says that a mail was given up.
type MailFailed struct {
	Change
	Reason string `json:"reason" example:"smtp_550"`
}

// MailSkipped says that there is nobody to send a mail to.
type MailSkipped struct {
	Change
	Reason string `json:"reason" example:"no_address"`
}

// MessageType is the ce_type.
func (ResendMail) MessageType() string { return TypeResendMail }

// MessageType is the ce_type.
func (ReportMail) MessageType() string { return TypeReportMail }

// MessageType is the ce_type.
func (SendMail) MessageType() string { return TypeSendMail }

// MessageType is the ce_type.
func (MailRequested) MessageType() string { return TypeMailRequested }

// MessageType is the ce_type.
func (MailSent) MessageType() string { return TypeMailSent }

// MessageType is the ce_type.
func (MailFailed) MessageType() string { return TypeMailFailed }

// MessageType is the ce_type.
func (MailSkipped) MessageType() string { return TypeMailSkipped }
