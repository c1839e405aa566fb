package daemon

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"os"
	"strings"
	"time"
)

// MailSettings say how mails get to customers.
type MailSettings struct {
	Host        string        `name:"host" env:"ORDERLANE_MAIL_HOST" placeholder:"HOST" help:"SMTP server that takes mails to customers. Empty: each mail is a file in the directory outbox below data."`
	Port        int           `name:"port" env:"ORDERLANE_MAIL_PORT" default:"587" help:"Port of the SMTP server."`
	TLS         string        `name:"tls" env:"ORDERLANE_MAIL_TLS" enum:"starttls,tls,none" default:"starttls" help:"How the connection is protected: ${enum}; starttls is insisted on, tls is from the first byte on."`
	TLSCA       string        `name:"tls-ca" env:"ORDERLANE_MAIL_TLS_CA" placeholder:"FILE" help:"PEM file of the authorities that sign the SMTP server's certificate. Empty: those of the system."`
	User        string        `name:"user" env:"ORDERLANE_MAIL_USER" placeholder:"NAME" help:"Name to log in to the SMTP server with. Empty: no login."`
	Password    string        `name:"password" env:"ORDERLANE_MAIL_PASSWORD" placeholder:"SECRET" secret:"all" help:"Password to log in to the SMTP server with."`
	From        string        `name:"from" env:"ORDERLANE_MAIL_FROM" placeholder:"SHOP <ADDRESS>" help:"Sender of mails; its name is the shop's, as mails have it. Needed with mail-host."`
	TrackingURL string        `name:"tracking-url" env:"ORDERLANE_MAIL_TRACKING_URL" placeholder:"URL" help:"Where a customer follows a parcel, with {carrier} and {tracking} in it. Empty: mails tell the tracking number only."`
	Connections int           `name:"connections" env:"ORDERLANE_MAIL_CONNECTIONS" default:"8" help:"Connections to the SMTP server at once."`
	Timeout     time.Duration `name:"timeout" env:"ORDERLANE_MAIL_TIMEOUT" default:"30s" help:"How long one attempt at a mail may take."`
	OutboxFiles int           `name:"outbox-files" env:"ORDERLANE_MAIL_OUTBOX_FILES" default:"1000" help:"Mails that the outbox directory keeps: the newest ones."`
}

// Bounds of the settings of mails, each with its reason.
const (
	maxPort            = 1<<16 - 1
	maxMailConnections = 128         // mail servers turn away who opens many
	minMailTimeout     = time.Second // below, a server far away never answers in time
	maxMailTimeout     = 5 * time.Minute
	maxOutboxFiles     = 100_000 // that are still looked at in one directory
)

// localSender is the sender of mails that go to the outbox.
const localSender = "Orderlane <shop@localhost>"

// Sender is who mails come from.
func (m *MailSettings) Sender() string {
	if m.From == "" {
		return localSender
	}
	return m.From
}

// TLSConfig is how the SMTP server is known. It fails if the file of authorities can't be read.
func (m *MailSettings) TLSConfig() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: m.Host}
	if m.TLSCA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(m.TLSCA)
	if err != nil {
		return nil, fmt.Errorf("mail-tls-ca: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("mail-tls-ca: %s holds no PEM certificate", m.TLSCA)
	}
	return c, nil
}

func (s *Settings) checkMail() error {
	m := &s.Mail
	from, err := mail.ParseAddress(m.Sender())
	switch {
	case err != nil:
		return errors.New("mail-from is no address: it is written SHOP <ADDRESS>")
	case from.Name == "":
		return errors.New("mail-from has no name: it is written SHOP <ADDRESS>, and mails are signed with the shop's name")
	case m.Host == "" && (m.User != "" || m.Password != "" || m.TLSCA != ""):
		return errors.New("mail-user, mail-password and mail-tls-ca need mail-host")
	case m.Host != "" && m.From == "":
		return errors.New("mail-host needs mail-from")
	case (m.User == "") != (m.Password == ""):
		return errors.New("mail-user and mail-password go together")
	case m.TLS == "none" && m.TLSCA != "":
		return errors.New("mail-tls-ca needs mail-tls starttls or tls")
	case m.TLS == "none" && m.User != "" && !loopback(net.JoinHostPort(m.Host, "0")):
		return fmt.Errorf("mail-tls none would send the password to %s in the clear", m.Host)
	}
	if m.TrackingURL != "" {
		u, err := url.Parse(strings.NewReplacer("{carrier}", "c", "{tracking}", "t").Replace(m.TrackingURL))
		if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || !strings.Contains(m.TrackingURL, "{tracking}") {
			return errors.New("mail-tracking-url is no URL with {tracking} in it")
		}
	}
	if _, err := m.TLSConfig(); err != nil {
		return err
	}
	return firstOf(
		within("mail-port", m.Port, 1, maxPort),
		within("mail-connections", m.Connections, 1, maxMailConnections),
		within("mail-timeout", m.Timeout, minMailTimeout, maxMailTimeout),
		within("mail-outbox-files", m.OutboxFiles, 1, maxOutboxFiles),
	)
}
