//go:build unix

package e2e

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orderlane/orderlane/e2e/fleet"
)

// TestANewcomerPlacesAnOrderAsTheProcessSays is the README's path: the two commands, with the
// order that is printed.
func TestANewcomerPlacesAnOrderAsTheProcessSays(t *testing.T) {
	f := fleet.New(t, fleet.Embedded, fleet.Options{Env: []string{"ORDERLANE_SAMPLE=true"}})
	p := f.Process(fleet.All)
	p.Start()
	printed := regexp.MustCompile(`(?s)curl -s (http://\S+/v1/orders) .*?-H 'Prefer: wait=5' -d '(\{.*?\})'\n`)
	var curl []string
	fleet.Wait(t, "a curl is printed", func() string {
		if curl = printed.FindStringSubmatch(p.Log()); curl == nil {
			return p.LogTail(30)
		}
		return ""
	})
	if want := "http://" + p.Public + "/v1/orders"; curl[1] != want {
		t.Errorf("the curl is for %s, not for %s", curl[1], want)
	}
	c := f.Client("")
	var placed fleet.Accepted
	fleet.Wait(t, "ordering, too, knows the product by now", func() string {
		a := c.Do(t, http.MethodPost, orders, curl[2], "Prefer", wait)
		if a.Code() == "unknown_product" {
			return a.String()
		}
		if a.Status != http.StatusOK {
			t.Fatalf("the order is answered %s", a)
		}
		a.Decode(t, &placed)
		return ""
	})
	if o := getOrder(t, c, placed.Resource.ID, placed.ConsistencyToken); o.Lines[0].SKU != "TEA-001" || o.Number == "" {
		t.Errorf("the order is shown as %+v", o)
	}
	before := c.Get(t, "/v1/products")
	p.Kill()
	p.Start() // everything is still there, and no sample is loaded again
	fleet.Wait(t, "a curl is printed again", func() string {
		if len(printed.FindAllString(p.Log(), -1)) < 2 {
			return "there is one"
		}
		return ""
	})
	if after := c.Get(t, "/v1/products"); string(after.Body) != string(before.Body) {
		t.Errorf("the products were %s, and are %s", before, after)
	}
	getOrder(t, c, placed.Resource.ID, placed.ConsistencyToken)
	c.Check(t, nil)
	p.Stop()
}

func TestAMistakeAtTheStartIsOneLineAndAnExitCode(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	busy := taken.Addr().String()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("kafka: {partitions: many}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	running := fleet.Start(t, fleet.Embedded, fleet.Options{})
	free := []string{"--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"}
	with := func(args ...string) []string { return append(append([]string{"serve"}, free...), args...) }
	for name, test := range map[string]struct {
		args []string
		code int
		line string // what the line says
	}{
		"a public port in use":            {with("--listen", busy), 1, busy},
		"an operator port in use":         {with("--operator-listen", busy), 1, busy},
		"a broker port in use":            {with("--embedded-listen", busy), 1, busy},
		"a data directory in use":         {with("--data", running.Data), 1, "in use by another process"},
		"a data directory that is a file": {with("--data", file), 1, file},
		"a flag that is none":             {with("--colour", "red"), 2, "--colour"},
		"a number that is none":           {with("--kafka-partitions", "many"), 2, "kafka-partitions"},
		"a number out of range":           {with("--kafka-partitions", "0"), 2, "kafka-partitions"},
		"a time that is none":             {with("--drain-deadline", "soon"), 2, "drain-deadline"},
		"an address that is none":         {with("--listen", "here"), 2, "listen"},
		"no authentication for all":       {with("--listen", "0.0.0.0:0"), 2, "auth"},
		"a short secret":                  {with("--auth-hs256-secret", "short"), 2, "auth-hs256-secret"},
		"a database that is none":         {with("--postgres", "mysql://localhost/orders"), 2, "postgres"},
		"a service that is none":          {with("shopping"), 2, "shopping"},
		"a service without a broker":      {with("ordering"), 2, "--kafka-brokers"},
		"a file that is not there":        {with("--config", filepath.Join(dir, "nothing.yaml")), 2, "nothing.yaml"},
		"a file of another shape":         {with("--config", file), 2, "partitions"},
		"a command that is none":          {[]string{"dance"}, 2, "dance"},
		"no process to operate":           {[]string{"deadletters", "list", "--admin", "http://127.0.0.1:1"}, 1, "127.0.0.1:1"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			code, out, errs := fleet.Run(t, nil, test.args...)
			if code != test.code {
				t.Errorf("it exits with %d, not with %d", code, test.code)
			}
			var said []string
			for line := range strings.Lines(errs) {
				if !strings.HasPrefix(line, `{"time"`) { // logs
					said = append(said, line)
				}
			}
			if len(said) != 1 || !strings.HasPrefix(said[0], "orderlane: ") || !strings.Contains(said[0], test.line) {
				t.Errorf("it says, not in one line about %s:\n%s%s", test.line, out, errs)
			}
		})
	}
}

func TestTheCommandLineTellsOfItself(t *testing.T) {
	for command, want := range map[string]string{
		"version": "orderlane ", "config": "kafka-brokers", "--help": "serve", "serve --help": "--kafka-brokers", "completion --help": "completion",
	} {
		if code, out, errs := fleet.Run(t, nil, strings.Fields(command)...); code != 0 || !strings.Contains(out, want) {
			t.Errorf("orderlane %s exits with %d, without %q: %s%s", command, code, want, out, errs)
		}
	}
}

func TestAProcessWaitsForABrokerAndADatabaseAndSaysWhatIsMissing(t *testing.T) {
	slow(t)
	f := fleet.New(t, fleet.Real, fleet.Options{OwnDatabase: true})
	f.Kafka.Stop()
	f.Postgres.Stop()
	missing := func(process, part string) {
		t.Helper()
		p := f.Process(process)
		want := regexp.MustCompile(`"name":"` + part + `","ready":false,"required":(?:true|false),"missing":"[^"]*(connect|refused|broker|database)`)
		fleet.Wait(t, process+" misses "+part, func() string {
			status, body, err := p.Ready()
			switch {
			case !p.Running():
				t.Fatalf("%s has ended", process)
			case err != nil:
				return err.Error()
			case status != http.StatusServiceUnavailable || !want.MatchString(body):
				return body
			}
			return ""
		})
	}
	for _, name := range f.Names() {
		f.Process(name).Launch()
	}
	for _, name := range f.Names() {
		missing(name, "broker")
	}
	// One that is told to stop while it waits does so.
	p := f.Process(fleet.OrderingB)
	p.Signal(syscall.SIGTERM)
	if code := p.Exited(30 * time.Second); code != 0 {
		t.Errorf("it exits with %d", code)
	}
	f.Kafka.Start()
	f.Process(fleet.CommandAPI).WaitReady() // it needs no database
	missing(fleet.OrderingA, "ordering log")
	missing(fleet.Catalog, "catalog log")
	missing(fleet.OrderView, "orderview store")
	f.Postgres.Start()
	p.Start()
	for _, name := range f.Names() {
		f.Process(name).WaitReady()
	}
	c := f.Client("")
	token := c.Define(t, "TEA-001", 1299)
	c.Accept(t, http.StatusOK, http.MethodPost, orders, fleet.Order("c-1", "TEA-001", 1), "Prefer", wait, "Consistency-Token", token)
	c.Check(t, nil)
}
