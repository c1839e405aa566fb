package daemon

import (
	"fmt"
	"time"

	"github.com/alecthomas/kong"

	"github.com/orderlane/orderlane/pkg/kafka"
)

// Settings is everything that can be set from outside, for every process of the fleet.
// Embed it in a kong command (`embed:""`): the command then takes each setting as a flag,
// from the environment (ORDERLANE_ and the flag's name in capitals), or from the YAML file
// that --config names; the flag wins over the environment, the environment over the file.
// kong calls the hooks at the end of this file, so that a command only runs on settings
// that were checked.
type Settings struct {
	Config string `name:"config" env:"ORDERLANE_CONFIG" placeholder:"FILE" help:"YAML file with settings; keys are the names of flags, nested or joined with dashes."`

	Listen         string `name:"listen" env:"ORDERLANE_LISTEN" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address of the public HTTP API; port 0 takes a free one."`
	OperatorListen string `name:"operator-listen" env:"ORDERLANE_OPERATOR_LISTEN" default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Address of /livez, /readyz, /metrics and, for callers on this machine, /admin and /debug/pprof."`
	OperatorRemote bool   `name:"operator-remote" env:"ORDERLANE_OPERATOR_REMOTE" help:"Open /admin and /debug/pprof to callers on other machines too; they ask for no authentication."`
	Data           string `name:"data" env:"ORDERLANE_DATA" default:"./data" placeholder:"DIR" help:"Directory of the embedded broker and of SQLite files."`
	Instance       string `name:"instance" env:"ORDERLANE_INSTANCE" placeholder:"NAME" help:"Name of this process, the same after a restart and unlike any other's: it then rejoins its consumer groups at once. Empty: a new member at each start."`
	Postgres       string `name:"postgres" env:"ORDERLANE_POSTGRES" placeholder:"URL" secret:"url" help:"postgres:// URL of event logs and views. Empty: SQLite files in the data directory."`

	PostgresReplica string `name:"postgres-replica" env:"ORDERLANE_POSTGRES_REPLICA" placeholder:"URL" secret:"url" help:"postgres:// URL of a read-only replica of that database, which queries are sent to. It names one server: an address that spreads connections over several gives answers that are older than they say. Empty: they go to the same database as everything else."`

	Kafka    KafkaSettings    `embed:"" prefix:"kafka-"`
	Embedded EmbeddedSettings `embed:"" prefix:"embedded-"`
	Auth     AuthSettings     `embed:"" prefix:"auth-"`
	HTTP     HTTPSettings     `embed:"" prefix:"http-"`
	Log      LogSettings      `embed:"" prefix:"log-"`

	Views     ViewSettings      `embed:"" prefix:"views-"`
	Inventory InventorySettings `embed:"" prefix:"inventory-"`
	Payments  PaymentsSettings  `embed:"" prefix:"payments-"`
	Mail      MailSettings      `embed:"" prefix:"mail-"`

	Shop string `name:"shop" env:"ORDERLANE_SHOP" placeholder:"FILE" help:"YAML file with tax rates and ways of delivery. Empty: those of services/ordering/shop.yaml."`

	DrainDeadline    time.Duration `name:"drain-deadline" env:"ORDERLANE_DRAIN_DEADLINE" default:"10s" help:"How long a stopping process may take to finish what is in flight."`
	OutcomeRetention time.Duration `name:"outcome-retention" env:"ORDERLANE_OUTCOME_RETENTION" default:"168h" help:"How long outcomes, idempotency keys and the status of commands are kept; at least 24h."`
}

// KafkaSettings say where the broker is and how to consume from it.
type KafkaSettings struct {
	Brokers        []string      `name:"brokers" env:"ORDERLANE_KAFKA_BROKERS" placeholder:"HOST:PORT,..." help:"Kafka brokers to start from. Empty: the embedded broker."`
	TLS            bool          `name:"tls" env:"ORDERLANE_KAFKA_TLS" help:"Speak TLS to the brokers."`
	TLSCA          string        `name:"tls-ca" env:"ORDERLANE_KAFKA_TLS_CA" placeholder:"FILE" help:"PEM file of the authorities that sign the brokers' certificates. Empty: those of the system."`
	TLSCert        string        `name:"tls-cert" env:"ORDERLANE_KAFKA_TLS_CERT" placeholder:"FILE" help:"PEM file of this client's certificate."`
	TLSKey         string        `name:"tls-key" env:"ORDERLANE_KAFKA_TLS_KEY" placeholder:"FILE" help:"PEM file of this client's key."`
	SASL           string        `name:"sasl" env:"ORDERLANE_KAFKA_SASL" enum:"none,plain,scram-sha-256,scram-sha-512" default:"none" help:"How to log in to the brokers: ${enum}."`
	User           string        `name:"user" env:"ORDERLANE_KAFKA_USER" placeholder:"NAME" help:"Name to log in to the brokers with."`
	Password       string        `name:"password" env:"ORDERLANE_KAFKA_PASSWORD" placeholder:"SECRET" secret:"all" help:"Password to log in to the brokers with."`
	CreateTopics   bool          `name:"create-topics" env:"ORDERLANE_KAFKA_CREATE_TOPICS" default:"true" negatable:"" help:"Create topics that are missing at start."`
	Partitions     int           `name:"partitions" env:"ORDERLANE_KAFKA_PARTITIONS" default:"8" help:"Partitions of a topic that is created; fixed from then on, since keys would move."`
	Replication    int           `name:"replication" env:"ORDERLANE_KAFKA_REPLICATION" default:"1" help:"Replicas of a topic that is created."`
	SessionTimeout time.Duration `name:"session-timeout" env:"ORDERLANE_KAFKA_SESSION_TIMEOUT" default:"6s" help:"After this long without a heartbeat a consumer's partitions go to others."`
	Heartbeat      time.Duration `name:"heartbeat" env:"ORDERLANE_KAFKA_HEARTBEAT" default:"500ms" help:"How often a consumer says that it lives; at most a third of the session timeout."`
	Window         int           `name:"window" env:"ORDERLANE_KAFKA_WINDOW" default:"1024" help:"Messages in flight per partition of a command topic."`
}

// EmbeddedSettings are those of the broker that runs in the process when no other is named.
type EmbeddedSettings struct {
	Listen string `name:"listen" env:"ORDERLANE_EMBEDDED_LISTEN" default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Loopback address of the embedded broker; port 0 takes a free one."`
}

// AuthSettings say whose tokens are taken. With no key source authentication is off, which
// is allowed on a loopback address only.
type AuthSettings struct {
	JWKSURL     string `name:"jwks-url" env:"ORDERLANE_AUTH_JWKS_URL" placeholder:"URL" secret:"url" help:"Where the keys that sign tokens are published."`
	JWKSFile    string `name:"jwks-file" env:"ORDERLANE_AUTH_JWKS_FILE" placeholder:"FILE" help:"File with the keys that sign tokens."`
	HS256Secret string `name:"hs256-secret" env:"ORDERLANE_AUTH_HS256_SECRET" placeholder:"SECRET" secret:"all" help:"Shared secret that signs tokens, at least 32 bytes; for trials."`
	Issuer      string `name:"issuer" env:"ORDERLANE_AUTH_ISSUER" placeholder:"ISS" help:"Issuer that tokens must name; needed with authentication."`
	Audience    string `name:"audience" env:"ORDERLANE_AUTH_AUDIENCE" placeholder:"AUD" help:"Audience that tokens must name; needed with authentication."`
	RoleClaim   string `name:"role-claim" env:"ORDERLANE_AUTH_ROLE_CLAIM" default:"role" placeholder:"CLAIM" help:"Claim that holds the role: customer, staff or service."`
}

// On reports whether callers have to show a token.
func (a AuthSettings) On() bool { return a.JWKSURL != "" || a.JWKSFile != "" || a.HS256Secret != "" }

// HTTPSettings bound what a client may ask of the public API.
type HTTPSettings struct {
	BodyLimit int64 `name:"body-limit" env:"ORDERLANE_HTTP_BODY_LIMIT" default:"262144" help:"Bytes of a request's body at the most."`
	RateLimit int   `name:"rate-limit" env:"ORDERLANE_HTTP_RATE_LIMIT" default:"0" help:"Requests per second and caller at the most; 0 is no limit."`

	Streams          int `name:"streams" env:"ORDERLANE_HTTP_STREAMS" default:"8000" help:"Live streams that are open at once at the most; one costs some 40 KB."`
	StreamsPerCaller int `name:"streams-per-caller" env:"ORDERLANE_HTTP_STREAMS_PER_CALLER" default:"32" help:"Live streams of one customer, or one of the staff, at the most. Services open them for many, and are not bounded."`
}

// LogSettings say what the process logs, and how.
type LogSettings struct {
	Level  string `name:"level" env:"ORDERLANE_LOG_LEVEL" enum:"debug,info,warn,error" default:"info" help:"The least level that is logged: ${enum}."`
	Format string `name:"format" env:"ORDERLANE_LOG_FORMAT" enum:"auto,text,json" default:"auto" help:"${enum}; auto is text on a terminal and JSON elsewhere."`
}

// ViewSettings say how views are kept.
type ViewSettings struct {
	VerifyRate int `name:"verify-rate" env:"ORDERLANE_VIEWS_VERIFY_RATE" default:"200" help:"Records per second that are read again, all the time, to compare samples of each view with a fresh fold of its topics, or as many more as it takes to read all in an hour; one of the instances does that. 0: none."`
}

// InventorySettings say how stock is kept.
type InventorySettings struct {
	ReservationTime time.Duration `name:"reservation-time" env:"ORDERLANE_INVENTORY_RESERVATION_TIME" default:"30m" help:"How long stock is kept for an order's line before the order is paid; at least 1s."`
}

// KafkaConfig is how to reach the broker as the settings say; with the embedded one, Brokers
// is left for its address. It fails if a file of certificates cannot be read.
func (s *Settings) KafkaConfig() (kafka.Config, error) {
	k := &s.Kafka
	c := kafka.Config{
		Brokers:           k.Brokers,
		Security:          kafka.Security{Mechanism: kafka.Mechanism(k.SASL), Username: k.User, Password: k.Password},
		InstanceID:        s.Instance,
		SessionTimeout:    k.SessionTimeout,
		HeartbeatInterval: k.Heartbeat,
	}
	if k.SASL == "none" {
		c.Security.Mechanism = kafka.NoLogin
	}
	if !k.TLS {
		return c, nil
	}
	var err error
	if c.Security.TLS, err = kafka.LoadTLS(k.TLSCA, k.TLSCert, k.TLSKey); err != nil {
		return kafka.Config{}, fmt.Errorf("kafka-tls: %w", err)
	}
	return c, nil
}

// BeforeResolve is kong's call before values are taken from files: it reads the file that
// --config or ORDERLANE_CONFIG names.
func (s *Settings) BeforeResolve(ctx *kong.Context) error {
	for _, f := range ctx.Flags() {
		if f.Name != "config" {
			continue
		}
		path, _ := ctx.FlagValue(f).(string)
		if path == "" {
			return nil
		}
		r, err := readFile(path, ctx.Flags())
		if err != nil {
			return err
		}
		ctx.AddResolver(r)
	}
	return nil
}

// AfterApply is kong's call when all values are known: it checks them.
func (s *Settings) AfterApply() error { return s.Check() }
