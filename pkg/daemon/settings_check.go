package daemon

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"time"
)

// Bounds of settings, each with its reason.
const (
	maxPartitions    = 1024      // every process opens them all; the view's checkpoints are a row each
	maxReplication   = 15        // more brokers than any cluster puts one partition on
	maxWindow        = 100_000   // messages of a partition in memory
	minBodyLimit     = 1 << 10   // an order of one line must fit
	maxBodyLimit     = 768 << 10 // the command made of it fits kafka.MaxMessageBytes, with its headers
	maxRateLimit     = 1_000_000 // more than one process can serve
	maxStreams       = 100_000   // 4 GB
	maxVerifyRate    = 1_000_000
	maxDrain         = 10 * time.Minute // whoever sends SIGTERM sends SIGKILL sooner than that
	minRetention     = 24 * time.Hour   // clients may repeat a request for that long
	minReservation   = time.Second      // reservations expire at whole seconds
	maxReservation   = 90 * 24 * time.Hour
	minSession       = time.Second      // below, a pause of the garbage collector or the scheduler costs the partitions
	maxSession       = 30 * time.Minute // what brokers allow by default
	minSecret        = 32               // bytes; a shorter key is weaker than the hash
	heartbeatsMissed = 3                // so many heartbeats may get lost before a member is given up
)

// Check reports the first setting that cannot be, or cannot go with the others, in one line.
func (s *Settings) Check() error {
	for _, check := range []func() error{s.checkAddresses, s.checkStores, s.checkKafka, s.checkAuth, s.checkPayments, s.checkMail, s.checkBounds} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Settings) checkAddresses() error {
	if err := firstOf(
		checkAddress("listen", s.Listen, true),
		checkAddress("operator-listen", s.OperatorListen, true),
		checkAddress("embedded-listen", s.Embedded.Listen, true),
	); err != nil {
		return err
	}
	if _, port, _ := net.SplitHostPort(s.Listen); s.Listen == s.OperatorListen && port != "0" {
		return fmt.Errorf("listen and operator-listen are both %s: operators have a port of their own", s.Listen)
	}
	if !loopback(s.Embedded.Listen) {
		return fmt.Errorf("embedded-listen %s is not a loopback address, and the embedded broker asks nobody who they are", s.Embedded.Listen)
	}
	if !s.Auth.On() && !loopback(s.Listen) {
		return fmt.Errorf("authentication is off, which is allowed on a loopback address only, and listen is %s: set auth-jwks-url, auth-jwks-file or auth-hs256-secret", s.Listen)
	}
	return nil
}

func (s *Settings) checkStores() error {
	if s.Data == "" {
		return errors.New("data is empty: it names a directory")
	}
	if s.Postgres == "" && s.PostgresReplica != "" {
		return errors.New("postgres-replica needs postgres, of which it is a replica")
	}
	return firstOf(checkPostgres("postgres", s.Postgres), checkPostgres("postgres-replica", s.PostgresReplica))
}

func checkPostgres(name, address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil { // the error would quote the URL with its password
		return fmt.Errorf("%s is no URL: it is written postgres://USER:PASSWORD@HOST:PORT/DATABASE", name)
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return fmt.Errorf("%s has scheme %q: it is written postgres://USER:PASSWORD@HOST:PORT/DATABASE", name, u.Scheme)
	}
	return nil
}

func (s *Settings) checkKafka() error {
	k := &s.Kafka
	for _, b := range k.Brokers {
		if err := checkAddress("kafka-brokers", b, false); err != nil {
			return err
		}
	}
	sasl := k.SASL != "" && k.SASL != "none"
	switch {
	case len(k.Brokers) == 0 && (k.TLS || sasl):
		return errors.New("kafka-tls and kafka-sasl need kafka-brokers: the embedded broker has neither")
	case len(k.Brokers) == 0 && k.Replication > 1:
		return fmt.Errorf("kafka-replication %d needs kafka-brokers: the embedded broker keeps one replica", k.Replication)
	case !k.TLS && (k.TLSCA != "" || k.TLSCert != "" || k.TLSKey != ""):
		return errors.New("kafka-tls-ca, kafka-tls-cert and kafka-tls-key need kafka-tls")
	case (k.TLSCert == "") != (k.TLSKey == ""):
		return errors.New("kafka-tls-cert and kafka-tls-key go together")
	case sasl && (k.User == "" || k.Password == ""):
		return fmt.Errorf("kafka-sasl %s needs kafka-user and kafka-password", k.SASL)
	case !sasl && (k.User != "" || k.Password != ""):
		return errors.New("kafka-user and kafka-password need kafka-sasl")
	case k.Heartbeat <= 0:
		return fmt.Errorf("kafka-heartbeat %s is not above zero", k.Heartbeat)
	case k.Heartbeat*heartbeatsMissed > k.SessionTimeout:
		return fmt.Errorf("kafka-heartbeat %s is more than a third of kafka-session-timeout %s", k.Heartbeat, k.SessionTimeout)
	}
	_, err := s.KafkaConfig() // reads the files of certificates, so that a bad one does not come up at the first connection
	return err
}

func (s *Settings) checkAuth() error {
	a := &s.Auth
	sources := 0
	for _, source := range []string{a.JWKSURL, a.JWKSFile, a.HS256Secret} {
		if source != "" {
			sources++
		}
	}
	switch {
	case sources > 1:
		return errors.New("auth-jwks-url, auth-jwks-file and auth-hs256-secret exclude each other")
	case sources == 0 && (a.Issuer != "" || a.Audience != ""):
		return errors.New("auth-issuer and auth-audience need auth-jwks-url, auth-jwks-file or auth-hs256-secret")
	case a.HS256Secret != "" && len(a.HS256Secret) < minSecret:
		return fmt.Errorf("auth-hs256-secret has %d bytes: it needs at least %d", len(a.HS256Secret), minSecret)
	case sources == 1 && (a.Issuer == "" || a.Audience == ""): // else tokens made for others would do
		return errors.New("authentication needs auth-issuer and auth-audience")
	case a.RoleClaim == "":
		return errors.New("auth-role-claim is empty: it names a claim")
	case a.JWKSURL != "":
		u, err := url.Parse(a.JWKSURL)
		if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
			return errors.New("auth-jwks-url is no URL: it is written https://HOST/PATH")
		}
		if u.Scheme == "http" && !loopback(net.JoinHostPort(u.Hostname(), "0")) {
			return errors.New("auth-jwks-url is not https: whoever sits between could put in keys of their own")
		}
	}
	return readable("auth-jwks-file", a.JWKSFile)
}

func (s *Settings) checkBounds() error {
	return firstOf(
		within("kafka-partitions", s.Kafka.Partitions, 1, maxPartitions),
		within("kafka-replication", s.Kafka.Replication, 1, maxReplication),
		within("kafka-window", s.Kafka.Window, 1, maxWindow),
		within("kafka-session-timeout", s.Kafka.SessionTimeout, minSession, maxSession),
		within("http-body-limit", s.HTTP.BodyLimit, minBodyLimit, maxBodyLimit),
		within("http-rate-limit", s.HTTP.RateLimit, 0, maxRateLimit),
		within("http-streams", s.HTTP.Streams, 1, maxStreams),
		within("http-streams-per-caller", s.HTTP.StreamsPerCaller, 1, maxStreams),
		within("drain-deadline", s.DrainDeadline, 0, maxDrain),
		within("views-verify-rate", s.Views.VerifyRate, 0, maxVerifyRate),
		within("inventory-reservation-time", s.Inventory.ReservationTime, minReservation, maxReservation),
		within("outcome-retention", s.OutcomeRetention, minRetention, 1<<63-1),
	)
}

func within[N int | int64 | time.Duration](name string, n, least, most N) error {
	switch {
	case n < least:
		return fmt.Errorf("%s %v is below %v", name, n, least)
	case n > most:
		return fmt.Errorf("%s %v is above %v", name, n, most)
	}
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// readable reports a file that is named but cannot be read.
func readable(name, path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return f.Close()
}

// checkAddress reports what is no HOST:PORT; port 0 is one to listen on, but none to call.
func checkAddress(name, addr string, listens bool) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%s %q is not written HOST:PORT", name, addr)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || (n == 0 && !listens) {
		return fmt.Errorf("%s %q has no port between 1 and 65535", name, addr)
	}
	if host == "" && !listens {
		return fmt.Errorf("%s %q names no host", name, addr)
	}
	return nil
}

// loopback reports whether only this machine reaches a HOST:PORT. A name other than
// localhost may resolve to anything, so it counts as reachable.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
