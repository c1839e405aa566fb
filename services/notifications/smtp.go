package notifications

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/wneessen/go-mail"

	api "github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/pkg/fault"
)

// How the connection to the mail server is protected.
const (
	tlsNone     = "none"
	tlsImplicit = "tls" // from the first byte on; otherwise STARTTLS is asked for, and insisted on
)

// mailServer is the transport to an SMTP server: a connection per mail, which costs little at the
// rate at which shops write, and leaves none that is dead when it is needed.
type mailServer struct {
	host           string
	port           int
	user, password string // empty: no login
	security       string
	tls            *tls.Config   // used unless security is tlsNone
	timeout        time.Duration // of a connection
	dial           func(ctx context.Context, network, address string) (net.Conn, error)
}

// send implements transport. The server's final no to the recipient or to the mail is refused;
// everything else may pass, a server that does not take our login included.
func (s *mailServer) send(ctx context.Context, _ string, m *mail.Msg) error {
	var opened []net.Conn // go-mail leaves connections open whose greeting or login fails
	defer func() {
		for _, c := range opened {
			_ = c.Close() // after QUIT, or after an error that is returned
		}
	}()
	client, err := s.client(func(dialling context.Context, network, address string) (net.Conn, error) {
		conn, err := s.dial(dialling, network, address)
		if err != nil {
			return nil, err
		}
		opened = append(opened, conn)
		// A server that hangs is left when the attempt's time is up, or when the process stops.
		context.AfterFunc(ctx, func() { _ = conn.Close() })
		if s.security != tlsImplicit {
			return conn, nil
		}
		secured := tls.Client(conn, s.tls)
		return secured, secured.HandshakeContext(dialling)
	})
	if err != nil {
		return fmt.Errorf("notifications: mail server: %w", err)
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fault.Unavailable(api.ReasonUnreachable, "the mail server can't be used: %v", err)
	}
	err = client.SendWithSMTPClient(session, m)
	if m.IsDelivered() {
		_ = client.CloseWithSMTPClient(session) // whatever goes wrong after that, the mail is out
		return nil
	}
	return refusal(err)
}

// client returns a client for one mail.
func (s *mailServer) client(dial mail.DialContextFunc) (*mail.Client, error) {
	options := []mail.Option{
		mail.WithPort(s.port), mail.WithTimeout(s.timeout), mail.WithDialContextFunc(dial),
		mail.WithoutNoop(), mail.WithoutRset(), // one mail on a fresh connection needs neither
	}
	if s.security == tlsNone || s.security == tlsImplicit {
		options = append(options, mail.WithTLSPolicy(mail.NoTLS)) // no STARTTLS
	} else {
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory), mail.WithTLSConfig(s.tls))
	}
	if s.user != "" {
		options = append(options, mail.WithUsername(s.user), mail.WithPassword(s.password),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	}
	return mail.NewClient(s.host, options...)
}

// refusal makes of go-mail's error one that can be logged: servers repeat the address in their
// answers, and so does the error. What is left is the step and the server's code.
func refusal(err error) error {
	var failed *mail.SendError
	if !errors.As(err, &failed) {
		return fault.Unavailable(api.ReasonNoAnswer, "the mail was not taken")
	}
	code := failed.ErrorCode()
	if code == 0 {
		return fault.Unavailable(api.ReasonNoAnswer, "%s: no answer", failed.Reason)
	}
	reason := fmt.Sprintf("smtp_%d", code)
	switch failed.Reason {
	case mail.ErrSMTPRcptTo, mail.ErrSMTPData, mail.ErrSMTPDataClose, mail.ErrWriteContent:
		if code >= 500 {
			return fault.Invalid(reason, "%s: the mail server refuses it", failed.Reason)
		}
	default: // it is about us, not about the mail
	}
	return fault.Unavailable(reason, "%s: the mail server does not take it now", failed.Reason)
}
