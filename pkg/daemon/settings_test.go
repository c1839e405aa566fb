package daemon_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/kafka"
)

type serve struct {
	daemon.Settings `embed:""`

	Services []string `arg:"" optional:""`
	Verbose  bool     `help:"A flag that is no setting."`
	ran      bool
}

func (s *serve) Run(ctx *kong.Context) error {
	s.ran = true
	return daemon.PrintSettings(ctx.Stdout, ctx)
}

type result struct {
	serve          serve
	code           int
	stdout, stderr string
}

func run(t *testing.T, args ...string) result {
	t.Helper()
	var cli struct {
		Serve serve `cmd:""`
	}
	var stdout, stderr bytes.Buffer
	parser, err := kong.New(&cli, kong.Name("orderlane"), kong.Writers(&stdout, &stderr))
	if err != nil {
		t.Fatal(err)
	}
	code := daemon.Execute(parser, append([]string{"serve"}, args...))
	return result{cli.Serve, code, stdout.String(), stderr.String()}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "orderlane.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// row returns the cells of a setting in the printed table; the last one is what it is.
func row(t *testing.T, table, setting string) []string {
	t.Helper()
	for line := range strings.Lines(table) {
		if cells := strings.Fields(line); cells[0] == setting {
			return cells
		}
	}
	t.Fatalf("no row for %s in:\n%s", setting, table)
	return nil
}

func TestDefaultsAreValid(t *testing.T) {
	r := run(t)
	if r.code != daemon.ExitOK || !r.serve.ran {
		t.Fatalf("exit code %d, %s", r.code, r.stderr)
	}
	if r.serve.Listen != "127.0.0.1:8080" || r.serve.Kafka.Partitions != 8 || !r.serve.Kafka.CreateTopics || r.serve.Auth.On() {
		t.Errorf("defaults are %+v", r.serve.Settings)
	}
}

func TestAFlagWinsOverTheEnvironmentAndThatOverTheFile(t *testing.T) {
	path := write(t, "kafka:\n  partitions: 3\n  brokers: [b1:9092, 'b2:9092']\n  create_topics: false\nlog-level: debug\nlisten: 127.0.0.1:1\n")
	t.Setenv("ORDERLANE_CONFIG", path)
	t.Setenv("ORDERLANE_LOG_LEVEL", "warn")
	t.Setenv("ORDERLANE_LISTEN", "127.0.0.1:2")
	r := run(t, "--listen", "127.0.0.1:3")
	if r.code != daemon.ExitOK {
		t.Fatal(r.stderr)
	}
	for setting, want := range map[string][2]string{
		"kafka-partitions":    {"3", "file"},
		"kafka-brokers":       {"b1:9092,b2:9092", "file"},
		"kafka-create-topics": {"false", "file"},
		"log-level":           {"warn", "environment"},
		"listen":              {"127.0.0.1:3", "flag"},
		"config":              {path, "environment"},
		"drain-deadline":      {"10s", "default"},
	} {
		cells := row(t, r.stdout, setting)
		if cells[2] != want[0] || cells[4] != want[1] {
			t.Errorf("%s is %s from %s, want %s", setting, cells[2], cells[4], want)
		}
	}
	if strings.Contains(r.stdout, "verbose") {
		t.Error("a flag that is no setting is in the table")
	}
}

func TestEverySettingHasTheEnvironmentNameOfItsFlagAndSaysWhatItIs(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(run(t).stdout), "\n")[1:]
	if len(lines) < 30 {
		t.Fatalf("only %d settings", len(lines))
	}
	for _, line := range lines {
		cells := strings.Fields(line)
		if want := "ORDERLANE_" + strings.ToUpper(strings.ReplaceAll(cells[0], "-", "_")); cells[1] != want {
			t.Errorf("%s is %s in the environment, want %s", cells[0], cells[1], want)
		}
		if len(cells) < 6 || strings.Contains(line, "${") {
			t.Errorf("%s is not explained: %s", cells[0], line)
		}
	}
}

func TestSecretsAreMasked(t *testing.T) {
	const secret = "correct-horse-battery-staple-0123456789"
	r := run(t, "--auth-hs256-secret", secret, "--auth-issuer", "i", "--auth-audience", "a", "--kafka-brokers", "b:1", "--kafka-sasl", "plain", "--kafka-user", "u",
		"--kafka-password", secret, "--postgres", "postgres://u:"+secret+"@db/orders?sslmode=disable&sslpassword="+secret)
	if r.code != daemon.ExitOK {
		t.Fatal(r.stderr)
	}
	if strings.Contains(r.stdout, "horse") {
		t.Errorf("a secret is printed:\n%s", r.stdout)
	}
	if got := row(t, r.stdout, "postgres")[2]; !strings.Contains(got, "@db/orders") || !strings.Contains(got, "sslmode=disable") {
		t.Errorf("the database is not told: %s", got)
	}
}

func TestABadSettingIsOneLineAndExitCodeTwo(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"unknown flag":                   {[]string{"--lissten", "x"}, "unknown flag --lissten"},
		"authentication off, open":       {[]string{"--listen", "0.0.0.0:8080"}, "authentication is off"},
		"authentication off, no host":    {[]string{"--listen", ":8080"}, "authentication is off"},
		"authentication off, a name":     {[]string{"--listen", "shop.example:8080"}, "authentication is off"},
		"no port":                        {[]string{"--listen", "127.0.0.1"}, "HOST:PORT"},
		"port too high":                  {[]string{"--operator-listen", "127.0.0.1:70000"}, "operator-listen"},
		"reservations too short":         {[]string{"--inventory-reservation-time", "999ms"}, "inventory-reservation-time 999ms is below 1s"},
		"same address":                   {[]string{"--operator-listen", "127.0.0.1:8080"}, "both"},
		"embedded broker open":           {[]string{"--embedded-listen", "0.0.0.0:9092"}, "embedded-listen"},
		"postgres is another scheme":     {[]string{"--postgres", "mysql://db/x"}, "mysql"},
		"a replica of nothing":           {[]string{"--postgres-replica", "postgres://db/x"}, "postgres-replica needs postgres"},
		"a replica elsewhere":            {[]string{"--postgres", "postgres://db/x", "--postgres-replica", "mysql://db/x"}, "postgres-replica has scheme"},
		"a negative rate of verifying":   {[]string{"--views-verify-rate=-1"}, "views-verify-rate"},
		"postgres is no URL":             {[]string{"--postgres", "postgres://u:secret@db:x y/"}, "postgres is no URL"},
		"broker without port":            {[]string{"--kafka-brokers", "kafka"}, "kafka-brokers"},
		"tls without brokers":            {[]string{"--kafka-tls"}, "kafka-brokers"},
		"replication without brokers":    {[]string{"--kafka-replication", "3"}, "kafka-replication"},
		"certificate without tls":        {[]string{"--kafka-brokers", "b:1", "--kafka-tls-cert", "x"}, "need kafka-tls"},
		"certificate without key":        {[]string{"--kafka-brokers", "b:1", "--kafka-tls", "--kafka-tls-cert", "x"}, "together"},
		"authority's file is missing":    {[]string{"--kafka-brokers", "b:1", "--kafka-tls", "--kafka-tls-ca", missing}, "certificate authority"},
		"unknown sasl":                   {[]string{"--kafka-sasl", "gssapi"}, "--kafka-sasl"},
		"sasl without user":              {[]string{"--kafka-brokers", "b:1", "--kafka-sasl", "plain"}, "kafka-user"},
		"user without sasl":              {[]string{"--kafka-brokers", "b:1", "--kafka-user", "u"}, "kafka-sasl"},
		"no partition":                   {[]string{"--kafka-partitions", "0"}, "kafka-partitions 0 is below 1"},
		"partitions are a word":          {[]string{"--kafka-partitions", "many"}, "--kafka-partitions"},
		"negative window":                {[]string{"--kafka-window=-1"}, "kafka-window"},
		"negative heartbeat":             {[]string{"--kafka-heartbeat=-1s"}, "kafka-heartbeat"},
		"heartbeat too slow":             {[]string{"--kafka-heartbeat", "3s"}, "third"},
		"negative session":               {[]string{"--kafka-session-timeout=-9s"}, "kafka-"},
		"two key sources":                {[]string{"--auth-jwks-url", "https://a/b", "--auth-jwks-file", "f"}, "exclude"},
		"key URL without https":          {[]string{"--auth-jwks-url", "http://idp.example/keys", "--auth-issuer", "i", "--auth-audience", "a"}, "https"},
		"key URL is none":                {[]string{"--auth-jwks-url", "idp", "--auth-issuer", "i", "--auth-audience", "a"}, "auth-jwks-url"},
		"short secret":                   {[]string{"--auth-hs256-secret", "short"}, "32"},
		"issuer without keys":            {[]string{"--auth-issuer", "x"}, "auth-issuer"},
		"key file is missing":            {[]string{"--auth-jwks-file", missing, "--auth-issuer", "i", "--auth-audience", "a"}, "auth-jwks-file"},
		"keys without audience":          {[]string{"--auth-jwks-url", "https://a/b", "--auth-issuer", "i"}, "auth-audience"},
		"negative body limit":            {[]string{"--http-body-limit=-1"}, "http-body-limit"},
		"a body larger than messages":    {[]string{"--http-body-limit", strconv.Itoa(kafka.MaxMessageBytes)}, "http-body-limit"},
		"negative rate":                  {[]string{"--http-rate-limit=-1"}, "http-rate-limit"},
		"no streams":                     {[]string{"--http-streams=0"}, "http-streams"},
		"negative drain":                 {[]string{"--drain-deadline=-1s"}, "drain-deadline"},
		"drain without unit":             {[]string{"--drain-deadline", "10"}, "--drain-deadline"},
		"outcomes kept too short a time": {[]string{"--outcome-retention", "1h"}, "24h"},
		"no data directory":              {[]string{"--data", ""}, "data"},
		"no file":                        {[]string{"--config", missing}, "missing"},
		"file is no YAML":                {[]string{"--config", write(t, "a: [")}, "config"},
		"file is a list":                 {[]string{"--config", write(t, "- a")}, "line 1"},
		"misspelt key":                   {[]string{"--config", write(t, "kafka:\n  broker: b:1")}, `line 2: there is no setting "kafka-broker"`},
		"key is a flag but no setting":   {[]string{"--config", write(t, "verbose: true")}, "verbose"},
		"key set twice":                  {[]string{"--config", write(t, "log: {level: info}\nlog-level: warn")}, "twice"},
		"map for a value":                {[]string{"--config", write(t, "listen: {port: 1}")}, "listen"},
		"file holds itself":              {[]string{"--config", write(t, "log: &a {level: *a}")}, "plain"},
		"bad value in a file":            {[]string{"--config", write(t, "kafka-window: x")}, "kafka-window"},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, tc.args...)
			if r.code != daemon.ExitUsage || r.serve.ran {
				t.Errorf("exit code %d, command ran: %v", r.code, r.serve.ran)
			}
			if strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "orderlane: ") || !strings.Contains(r.stderr, tc.want) {
				t.Errorf("printed %q, want one line with %q", r.stderr, tc.want)
			}
			if strings.Contains(r.stderr, "secret@") {
				t.Errorf("a password is printed: %s", r.stderr)
			}
		})
	}
}

func TestABadValueInTheEnvironmentIsOneLineAndExitCodeTwo(t *testing.T) {
	t.Setenv("ORDERLANE_KAFKA_WINDOW", "wide")
	r := run(t)
	if r.code != daemon.ExitUsage || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "ORDERLANE_KAFKA_WINDOW") {
		t.Errorf("exit code %d, %q", r.code, r.stderr)
	}
}

func TestAnOpenAddressIsAllowedWithAuthentication(t *testing.T) {
	r := run(t, "--listen", "0.0.0.0:8080", "--auth-jwks-url", "https://idp.example/keys", "--auth-issuer", "i", "--auth-audience", "a", "--operator-listen", "0.0.0.0:8081")
	if r.code != daemon.ExitOK {
		t.Error(r.stderr)
	}
}

func TestTheKafkaClientIsSetUpAsTheSettingsSay(t *testing.T) {
	r := run(t, "--kafka-brokers", "b1:1,b2:2", "--kafka-tls", "--kafka-sasl", "scram-sha-512", "--kafka-user", "u", "--kafka-password", "p", "--instance", "ordering-0")
	c, err := r.serve.KafkaConfig()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil || c.Security.TLS == nil || c.Security.Mechanism != kafka.ScramSHA512 || c.InstanceID != "ordering-0" || len(c.Brokers) != 2 {
		t.Errorf("it is %+v, %v", c, err)
	}
	r = run(t)
	if c, err := r.serve.KafkaConfig(); err != nil || c.Security != (kafka.Security{}) || c.SessionTimeout != 6*time.Second {
		t.Errorf("by default it is %+v, %v", c, err)
	}
}

func TestAnEmptyFileLeavesTheDefaults(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "kafka:\n", "log: {level: }\n"} {
		if r := run(t, "--config", write(t, text)); r.code != daemon.ExitOK {
			t.Errorf("%q: %s", text, r.stderr)
		}
	}
}
