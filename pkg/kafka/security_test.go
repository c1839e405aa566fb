package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/orderlane/orderlane/e2e/realparts"
)

// roundTrip publishes by each producer and consumes it all.
func roundTrip(t *testing.T, cfg Config) {
	t.Helper()
	topic := newTopic(t, cfg, 2)
	for kind := range producers {
		check(t, producerOf(t, cfg, kind).Publish(t.Context(), numbered(topic, 10, 0, 20)))
	}
	publisher, err := NewPublisher(cfg)
	check(t, err)
	check(t, publisher.Publish(topic, message.NewMessage("id", []byte("20"))))
	check(t, publisher.Close())
	s := subscriber(t, SubscriberConfig{Config: cfg, Group: topic})
	got := newSeen()
	h := subscribe(t, s, topic, func(m *message.Message) error { got.add(m); return nil })
	eventually(t, "all records", func() bool { return got.distinct() == 21 })
	check(t, s.Close())
	h.wait()
}

func TestEveryMechanismLogsIn(t *testing.T) {
	for mechanism, name := range map[Mechanism]string{Plain: "PLAIN", ScramSHA256: "SCRAM-SHA-256", ScramSHA512: "SCRAM-SHA-512"} {
		t.Run(name, func(t *testing.T) {
			_, cfg := fakeBroker(t, kfake.EnableSASL(), kfake.Superuser(name, "shop", "a secret"))
			cfg.Security = Security{Mechanism: mechanism, Username: "shop", Password: "a secret"}
			roundTrip(t, cfg)
		})
	}
}

func TestARealBrokerLogsInAndHoldsItsACLs(t *testing.T) {
	broker := realparts.StartKafka(t, realparts.SASL(map[string]string{"orders": "secret"})...)
	cfg := quick(broker.Brokers())
	cfg.Security = Security{Mechanism: Plain, Username: realparts.SASLAdmin, Password: realparts.SASLPassword}
	roundTrip(t, cfg)
	topic := newTopic(t, cfg, 1)
	secret := newTopic(t, cfg, 1)
	admin, err := sarama.NewClusterAdmin(cfg.Brokers, adminConfig(cfg))
	check(t, err)
	defer func() { check(t, admin.Close()) }()
	allow := func(kind sarama.AclResourceType, name string, may sarama.AclOperation) {
		check(t, admin.CreateACLs([]*sarama.ResourceAcls{{
			Resource: sarama.Resource{ResourceType: kind, ResourceName: name, ResourcePatternType: sarama.AclPatternLiteral},
			Acls:     []*sarama.Acl{{Principal: "User:orders", Host: "*", Operation: may, PermissionType: sarama.AclPermissionAllow}},
		}}))
	}
	allow(sarama.AclResourceTopic, topic, sarama.AclOperationWrite)
	allow(sarama.AclResourceTopic, topic, sarama.AclOperationRead)

	cfg.Security = Security{Mechanism: Plain, Username: "orders", Password: "wrong"}
	if _, err := NewProducer(cfg); err == nil || !strings.Contains(err.Error(), "Authentication") {
		t.Errorf("with a wrong password: %v", err)
	}
	cfg.Security.Password = "secret"
	p := producerOf(t, cfg, "ordered") // needs the right to write to a topic, and no other
	check(t, p.Publish(t.Context(), []Record{{Topic: topic, Value: []byte("0"), Time: testTime}}))
	if err := p.Publish(t.Context(), []Record{{Topic: secret, Value: []byte("0"), Time: testTime}}); err == nil || !strings.Contains(err.Error(), "authorized") {
		t.Errorf("without the right to write: %v", err)
	}

	// A group that may not be joined says so in the log, and is joined when it may.
	log := new(logged)
	s, err := NewSubscriber(SubscriberConfig{Config: cfg, Group: "orders", Logger: slog.New(slog.NewTextHandler(log, nil))})
	check(t, err)
	messages, err := s.Subscribe(t.Context(), topic)
	check(t, err)
	eventually(t, "a complaint", func() bool { return strings.Contains(log.String(), "authorized") })
	allow(sarama.AclResourceGroup, "orders", sarama.AclOperationRead)
	m := <-messages
	m.Ack()
	check(t, s.Close())
}

// logged is a log that tests read while it is written.
type logged struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

func TestConnectionsAreEncryptedAndBrokersChecked(t *testing.T) {
	dir := t.TempDir()
	ca, serverTLS := certificates(t, dir)
	_, cfg := fakeBroker(t, kfake.TLS(serverTLS))
	config, err := LoadTLS(ca, "", "")
	check(t, err)
	cfg.Security.TLS = config
	roundTrip(t, cfg)

	cfg.Security.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if p, err := NewOrderedProducer(cfg); err == nil {
		t.Error("a broker with an unknown certificate is trusted")
		_ = p.Close()
	}
}

func TestSettingsThatCannotBeRightAreRefused(t *testing.T) {
	good := Config{Brokers: []string{"127.0.0.1:1"}}
	check(t, good.Validate())
	for name, spoil := range map[string]func(*Config){
		"no brokers":        func(c *Config) { c.Brokers = nil },
		"unknown mechanism": func(c *Config) { c.Security.Mechanism = "gssapi" },
		"no password":       func(c *Config) { c.Security.Mechanism, c.Security.Username = Plain, "u" },
		"slow heartbeat":    func(c *Config) { c.HeartbeatInterval = time.Minute },
		"hasty rebalance":   func(c *Config) { c.RebalanceTimeout = time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			spoil(&c)
			if c.Validate() == nil {
				t.Error("accepted")
			}
			if _, err := NewPublisher(c); err == nil {
				t.Error("NewPublisher accepts")
			}
			if _, err := NewSubscriber(SubscriberConfig{Config: c, Group: "g"}); err == nil {
				t.Error("NewSubscriber accepts")
			}
		})
	}
	if _, err := NewSubscriber(SubscriberConfig{Config: good}); err == nil {
		t.Error("a subscriber without a group is accepted")
	}
	if _, err := NewTransactionalProducer(good, ""); err == nil {
		t.Error("a transactional producer without an id is accepted")
	}
	if _, err := LoadTLS(filepath.Join(t.TempDir(), "none"), "", ""); err == nil {
		t.Error("a missing certificate authority is accepted")
	}
}

// certificates makes an authority, as a file, and a broker's certificate of it.
func certificates(t *testing.T, dir string) (caFile string, broker *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(t, err)
	caFile = filepath.Join(dir, "ca.pem")
	check(t, os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return caFile, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}
