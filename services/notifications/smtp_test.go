package notifications

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	api "github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/pkg/fault"
)

// smtpServer is a real mail server that fails as a test says.
type smtpServer struct {
	addr *net.TCPAddr
	pool *x509.CertPool

	onMail, onRcpt, onData, onAuth func() error // optional
	onClose                        func(*smtp.Conn)

	mu   sync.Mutex
	got  []string // bodies
	from []string
	to   []string
}

// serve starts the server. Logins are offered if user is set.
func (s *smtpServer) serve(t *testing.T, security, user string) {
	t.Helper()
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		plain := &smtpSession{server: s, conn: c}
		if user == "" {
			return plain, nil
		}
		return &smtpLogin{plain, user}, nil
	}))
	server.Domain, server.ReadTimeout, server.WriteTimeout = "mx.example", time.Minute, time.Minute
	server.ErrorLog = quiet{}
	certificate, pool := selfSigned(t)
	s.pool = pool
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	if security != tlsNone {
		server.TLSConfig = config
	}
	server.AllowInsecureAuth = security == tlsNone
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = listener.Addr().(*net.TCPAddr)
	if security == tlsImplicit {
		listener = tls.NewListener(listener, config)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// client is a transport to the server.
func (s *smtpServer) client(security string) *mailServer {
	return &mailServer{
		host: "127.0.0.1", port: s.addr.Port, security: security, timeout: 10 * time.Second, dial: (&net.Dialer{}).DialContext,
		tls: &tls.Config{RootCAs: s.pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12},
	}
}

func (s *smtpServer) mails() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.got...)
}

type smtpSession struct {
	server *smtpServer
	conn   *smtp.Conn
}

func fails(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
}

func (s *smtpSession) Reset()        {}
func (s *smtpSession) Logout() error { return nil }

func (s *smtpSession) Mail(from string, _ *smtp.MailOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.from = append(s.server.from, from)
	return fails(s.server.onMail)
}

func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.to = append(s.server.to, to)
	return fails(s.server.onRcpt)
}

func (s *smtpSession) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := fails(s.server.onData); err != nil {
		return err
	}
	s.server.mu.Lock()
	s.server.got = append(s.server.got, string(body))
	s.server.mu.Unlock()
	if s.server.onClose != nil {
		s.server.onClose(s.conn)
	}
	return nil
}

// smtpLogin wants a password before anything else.
type smtpLogin struct {
	*smtpSession
	user string
}

func (s *smtpLogin) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *smtpLogin) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if err := fails(s.server.onAuth); err != nil {
			return err
		}
		if user != s.user || password != "secret" {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

// selfSigned returns a certificate of 127.0.0.1, and the pool that knows it.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestAMailServerGetsTheMailHoweverItIsReached(t *testing.T) {
	for _, security := range []string{tlsNone, "starttls", tlsImplicit} {
		for _, user := range []string{"", "shop"} {
			s := &smtpServer{}
			s.serve(t, security, user)
			c := s.client(security)
			if user != "" {
				c.user, c.password = user, "secret"
			}
			if err := c.send(t.Context(), "a", aMessage(t, "Hello")); err != nil {
				t.Errorf("%s as %q: %v", security, user, err)
				continue
			}
			var want bytes.Buffer
			if _, err := aMessage(t, "Hello").WriteTo(&want); err != nil {
				t.Fatal(err)
			}
			got := s.mails()
			if len(got) != 1 || strings.TrimRight(got[0], "\r\n") != strings.TrimRight(want.String(), "\r\n") {
				t.Errorf("%s as %q: it got %q", security, user, got)
			}
			if s.from[0] != "shop@tea.example" || s.to[0] != "ada@example.com" {
				t.Errorf("from %v to %v", s.from, s.to)
			}
		}
	}
}

// wantFault fails the test unless err has the code and the treatment, and names nobody.
func wantFault(t *testing.T, what string, err error, code string, treatment fault.Treatment) {
	t.Helper()
	f, ok := fault.Of(err)
	if !ok || f.Code != code || fault.TreatmentOf(err) != treatment {
		t.Errorf("%s: got %v, want %s", what, err, code)
	}
	if err != nil && strings.Contains(err.Error(), "ada@") {
		t.Errorf("%s: the error tells the address: %v", what, err)
	}
}

func TestWhatAMailServerRefusesIsFinalOrTriedAgain(t *testing.T) {
	answer := func(code int) func() error {
		return func() error {
			return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "<ada@example.com>: no such luck, ada@example.com"}
		}
	}
	for what, c := range map[string]struct {
		server    *smtpServer
		code      string
		treatment fault.Treatment
	}{
		"an unknown recipient":      {&smtpServer{onRcpt: answer(550)}, "smtp_550", fault.Refuse},
		"a recipient for later":     {&smtpServer{onRcpt: answer(451)}, "smtp_451", fault.Retry},
		"a mail that is no good":    {&smtpServer{onData: answer(554)}, "smtp_554", fault.Refuse},
		"a mail for later":          {&smtpServer{onData: answer(452)}, "smtp_452", fault.Retry},
		"a sender that it refuses":  {&smtpServer{onMail: answer(550)}, "smtp_550", fault.Retry},
		"a sender that is too busy": {&smtpServer{onMail: answer(421)}, "smtp_421", fault.Retry},
	} {
		s := c.server
		s.serve(t, tlsNone, "")
		wantFault(t, what, s.client(tlsNone).send(t.Context(), "a", aMessage(t, "Hello")), c.code, c.treatment)
		if len(s.mails()) != 0 {
			t.Errorf("%s: it got the mail", what)
		}
	}
}

func TestAMailServerThatCannotBeUsedIsTriedAgain(t *testing.T) {
	unusable := func(what string, c *mailServer) {
		t.Helper()
		open := countConnections(c)
		wantFault(t, what, c.send(t.Context(), "a", aMessage(t, "Hello")), api.ReasonUnreachable, fault.Retry)
		if n := open.Load(); n != 0 {
			t.Errorf("%s: %d connections are left open", what, n)
		}
	}
	s := &smtpServer{}
	s.serve(t, "starttls", "shop")
	wrong := s.client("starttls")
	wrong.user, wrong.password = "shop", "guess"
	unusable("a wrong password", wrong)
	stranger := s.client("starttls")
	stranger.tls = &tls.Config{ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	unusable("an unknown certificate", stranger)
	other := s.client("starttls")
	other.tls = &tls.Config{RootCAs: s.pool, ServerName: "mx.example", MinVersion: tls.VersionTLS12}
	unusable("a certificate of another", other)

	open := &smtpServer{}
	open.serve(t, tlsNone, "")
	unusable("no STARTTLS", open.client("starttls"))
	unusable("no TLS", open.client(tlsImplicit))

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := &smtpServer{addr: listener.Addr().(*net.TCPAddr)}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	unusable("nobody there", gone.client(tlsNone))
	if got := append(s.mails(), open.mails()...); len(got) != 0 {
		t.Errorf("a mail got through: %q", got)
	}
}

// countConnections returns how many connections of a transport are open.
func countConnections(c *mailServer) *atomic.Int64 {
	open, dial := new(atomic.Int64), c.dial
	c.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		open.Add(1)
		return &counted{Conn: conn, open: open}, nil
	}
	return open
}

type counted struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

func TestAPasswordIsNotSentInTheClearToOthers(t *testing.T) {
	asked := false
	s := &smtpServer{onAuth: func() error { asked = true; return nil }}
	s.serve(t, tlsNone, "shop")
	c := s.client(tlsNone)
	c.host, c.user, c.password = "mx.example", "shop", "secret"
	c.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.addr.String())
	}
	wantFault(t, "in the clear", c.send(t.Context(), "a", aMessage(t, "Hello")), api.ReasonUnreachable, fault.Retry)
	if asked {
		t.Error("the password was sent")
	}
}

// silent is a server that takes connections and says nothing, or says hello and then nothing.
func silent(t *testing.T, greeting string) *smtpServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				_, _ = io.WriteString(conn, greeting)
				_, _ = io.Copy(io.Discard, conn) // until the client hangs up, which is what is tested
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		wg.Wait()
	})
	return &smtpServer{addr: listener.Addr().(*net.TCPAddr)}
}

func TestAMailServerThatHangsIsLeft(t *testing.T) {
	started := time.Now()
	defer func() {
		if took := time.Since(started); took > 8*time.Second { // below the time of a connection
			t.Errorf("that took %s", took)
		}
	}()
	for what, greeting := range map[string]string{"before its greeting": "", "after its greeting": "220 mx.example\r\n"} {
		s := silent(t, greeting)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		wantFault(t, what, s.client(tlsNone).send(ctx, "a", aMessage(t, "Hello")), api.ReasonUnreachable, fault.Retry)
		cancel()
		wantFault(t, what+", with TLS", func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			return s.client(tlsImplicit).send(ctx, "a", aMessage(t, "Hello"))
		}(), api.ReasonUnreachable, fault.Retry)
		c := s.client(tlsNone)
		c.timeout = 50 * time.Millisecond // by the connection's own time
		wantFault(t, what, c.send(t.Context(), "a", aMessage(t, "Hello")), api.ReasonUnreachable, fault.Retry)
	}
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &smtpServer{onData: func() error { cancel(); <-release; return nil }}
	s.serve(t, tlsNone, "")
	wantFault(t, "with the mail in its hands", s.client(tlsNone).send(ctx, "a", aMessage(t, "Hello")), api.ReasonNoAnswer, fault.Retry)
	close(release)
}

func TestALostAnswerMayMeanThatTheMailIsOut(t *testing.T) {
	s := &smtpServer{onClose: func(c *smtp.Conn) { _ = c.Conn().Close() }}
	s.serve(t, tlsNone, "")
	for range 2 {
		wantFault(t, "hung up", s.client(tlsNone).send(t.Context(), "a", aMessage(t, "Hello")), api.ReasonNoAnswer, fault.Retry)
	}
	got := s.mails()
	if len(got) != 2 || got[0] != got[1] || !strings.Contains(got[0], "Message-ID: <mail-"+aTask.OrderID+".2.1@tea.example>") {
		t.Errorf("the receiver can't tell that it has the mail twice: %q", got)
	}
}

func TestAMailThatWasTakenIsOutWhateverTheServerDoesThen(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // hangs up instead of answering QUIT
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "220 hi\r\n")
		buffer := make([]byte, 64<<10)
		for _, answer := range []string{"250 hi\r\n", "250 ok\r\n", "250 ok\r\n", "354 go on\r\n"} {
			if _, err := conn.Read(buffer); err != nil {
				return
			}
			_, _ = io.WriteString(conn, answer)
		}
		for body := ""; !strings.HasSuffix(body, "\r\n.\r\n"); {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			body += string(buffer[:n])
		}
		_, _ = io.WriteString(conn, "250 thanks\r\n")
	}()
	s := &smtpServer{addr: listener.Addr().(*net.TCPAddr)}
	if err := s.client(tlsNone).send(t.Context(), "a", aMessage(t, "Hello")); err != nil {
		t.Errorf("it would be sent again: %v", err)
	}
	<-done
	_ = listener.Close()
}
