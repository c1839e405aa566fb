package daemon_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderlane/orderlane/pkg/daemon"
)

func TestMailsGoToTheOutboxUnlessAServerIsNamed(t *testing.T) {
	r := run(t)
	if m := r.serve.Mail; m.Host != "" || m.Sender() != "Orderlane <shop@localhost>" || m.Port != 587 || m.TLS != "starttls" {
		t.Errorf("defaults are %+v", m)
	}
	r = run(t, "--mail-host=mx.example", "--mail-from=Tea House <shop@tea.example>", "--mail-user=shop", "--mail-password=hunter2",
		"--mail-tracking-url=https://track.example/{carrier}/{tracking}")
	if r.code != daemon.ExitOK || r.serve.Mail.Sender() != "Tea House <shop@tea.example>" {
		t.Fatalf("exit code %d, %s", r.code, r.stderr)
	}
	if cells := row(t, r.stdout, "mail-password"); cells[2] != "(set)" || strings.Contains(r.stdout, "hunter2") {
		t.Errorf("the password is shown: %v", cells)
	}
	if c, err := r.serve.Mail.TLSConfig(); err != nil || c.ServerName != "mx.example" || c.InsecureSkipVerify {
		t.Errorf("the server is known by %+v, %v", c, err)
	}
}

func TestSettingsOfMailsThatCannotBeAreRefused(t *testing.T) {
	server := []string{"--mail-host=mx.example", "--mail-from=Tea House <shop@tea.example>"}
	with := func(more ...string) []string { return append(more, server...) }
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for want, args := range map[string][]string{
		"mail-host needs mail-from":             {"--mail-host=mx.example"},
		"mail-from is no address":               {"--mail-from=shop"},
		"mail-from has no name":                 {"--mail-from=shop@tea.example"},
		"need mail-host":                        {"--mail-user=shop", "--mail-password=secret"},
		"mail-user and mail-password":           with("--mail-user=shop"),
		"mail-tls none would send the password": with("--mail-user=shop", "--mail-password=secret", "--mail-tls=none"),
		"mail-tls-ca needs mail-tls":            with("--mail-tls=none", "--mail-tls-ca="+missing),
		"mail-tls-ca: open":                     with("--mail-tls-ca=" + missing),
		"holds no PEM certificate":              with("--mail-tls-ca=" + write(t, "no certificate")),
		"mail-tracking-url is no URL":           {"--mail-tracking-url=javascript:{tracking}"},
		"mail-tracking-url is no URL with {":    {"--mail-tracking-url=https://track.example/"},
		"mail-port 0 is below 1":                {"--mail-port=0"},
		"mail-connections 0 is below 1":         {"--mail-connections=0"},
		"mail-timeout 1ms is below 1s":          {"--mail-timeout=1ms"},
		"mail-outbox-files 0 is below 1":        {"--mail-outbox-files=0"},
	} {
		if r := run(t, args...); r.code == daemon.ExitOK || r.serve.ran || !strings.Contains(r.stderr, want) {
			t.Errorf("%v: exit code %d, %q; want %q", args, r.code, r.stderr, want)
		}
	}
	if r := run(t, "--mail-host=127.0.0.1", "--mail-from=Tea House <shop@tea.example>", "--mail-tls=none", "--mail-user=shop", "--mail-password=secret"); r.code != daemon.ExitOK {
		t.Errorf("on this machine: %s", r.stderr)
	}
}
