package check

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the repository.
const root = "../.."

// orderlane is the binary that the tests ask.
var orderlane string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "orderlane-check")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	orderlane = filepath.Join(dir, "orderlane")
	code := 1
	if err := build(); err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, "build the binary:", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// stamped is the version that the binary is built with.
const stamped = "v1.2.3"

// build builds the binary as the Dockerfile does.
func build() error {
	file, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		return err
	}
	flags := regexp.MustCompile(`go build (-.*) \\\s+-ldflags "(.*)" -o`).FindSubmatch(file)
	if flags == nil {
		return errors.New("the Dockerfile does not")
	}
	args := append([]string{"build"}, strings.Fields(string(flags[1]))...)
	args = append(args, "-ldflags", strings.ReplaceAll(string(flags[2]), "$VERSION", stamped), "-o", orderlane, "./services/orderlane")
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stderr, cmd.Env = root, os.Stderr, append(os.Environ(), "CGO_ENABLED=0")
	return cmd.Run()
}

// run runs the binary with this environment and nothing else, and returns what it prints.
func run(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(orderlane, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("orderlane %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// route is an HTTP route of a service.
type route struct{ service, method, path string }

// example is a path of the route.
func (r route) example() string {
	return regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(r.path, "x-1")
}

// fleet is what the binary says of its services.
func fleet(t *testing.T) (services []string, routes []route) {
	t.Helper()
	out, err := run(t, nil, "services")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(out), "\n") {
		f := strings.Fields(line)
		if len(f) != 3 {
			t.Fatalf("orderlane services prints %q", line)
		}
		if i == 0 {
			continue
		}
		if !slices.Contains(services, f[0]) {
			services = append(services, f[0])
		}
		if f[1] != "-" {
			routes = append(routes, route{f[0], f[1], f[2]})
		}
	}
	if len(services) < 11 || len(routes) < 30 {
		t.Fatalf("orderlane services tells of %d services and %d routes", len(services), len(routes))
	}
	return services, routes
}

// checkEnvironment fails the test if a process with this environment would complain of it, or
// not know part of it.
func checkEnvironment(t *testing.T, who string, env map[string]string) {
	t.Helper()
	out, err := run(t, nil, "config")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for name, value := range imageEnvironment(t) {
		list = append(list, name+"="+value)
	}
	for name, value := range env {
		list = append(list, name+"="+value)
		if strings.HasPrefix(name, "ORDERLANE_") && !slices.Contains(strings.Fields(out), name) {
			t.Errorf("%s: orderlane knows no setting %s", who, name)
		}
	}
	if _, err := run(t, list, "config"); err != nil {
		t.Errorf("%s: %v", who, err)
	}
}

// checkCommand fails the test unless the arguments serve or migrate a service by that name.
func checkCommand(t *testing.T, who string, args []string, verb, service string) {
	t.Helper()
	if !slices.Equal(args, []string{verb, service}) {
		t.Errorf("%s runs %q, not %s %s", who, args, verb, service)
	}
}
