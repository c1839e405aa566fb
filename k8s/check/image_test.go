package check

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func dockerfile(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// imageEnvironment is what ENV of the last stage says.
func imageEnvironment(t *testing.T) map[string]string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^ENV (.*)$`).FindStringSubmatch(dockerfile(t))
	if m == nil {
		t.Fatal("the Dockerfile sets no environment")
	}
	env := map[string]string{}
	for _, pair := range strings.Fields(m[1]) {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return env
}

func TestTheImageIsBuiltWithTheGoOfTheModule(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)[1]
	got := regexp.MustCompile(`golang:(\d+\.\d+)-`).FindStringSubmatch(dockerfile(t))
	if got == nil || got[1] != string(want) {
		t.Errorf("the Dockerfile builds with %v, and go.mod wants Go %s", got, want)
	}
}

func TestTheBinarySaysWhichVersionItWasBuiltAs(t *testing.T) {
	out, err := run(t, nil, "version")
	if err != nil || strings.TrimSpace(out) != "orderlane "+stamped {
		t.Errorf("orderlane version prints %q (%v)", out, err)
	}
}

// TestTheBuildContextHoldsAllThatIsCompiled reads .dockerignore as it is written: everything is
// left out but the directories named, and of those tests and their data.
func TestTheBuildContextHoldsAllThatIsCompiled(t *testing.T) {
	ignore, err := os.ReadFile(filepath.Join(root, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]bool{}
	for line := range strings.Lines(string(ignore)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "!"); ok {
			kept[name] = true
		}
	}
	list := exec.Command("go", "list", "-deps", "-f",
		`{{if not .Standard}}{{if .Module.Main}}{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`,
		"./services/orderlane")
	list.Dir, list.Stderr = root, os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Fields(string(out))
	if len(files) < 100 {
		t.Fatalf("only %d files are compiled", len(files))
	}
	for _, file := range files {
		path := strings.TrimPrefix(file, top+"/")
		first, _, _ := strings.Cut(path, "/")
		if !kept[first] || strings.Contains(path, "testdata") || strings.HasSuffix(path, "_test.go") {
			t.Errorf(".dockerignore keeps %s out of the build", path)
		}
	}
}

// TestTheLastStageRunsAndIsTheSameEachTime builds the last stage of the Dockerfile around the
// binary of this test: the first one needs an image from a registry.
func TestTheLastStageRunsAndIsTheSameEachTime(t *testing.T) {
	if _, err := exec.LookPath("buildah"); err != nil {
		t.Skip("NOT TESTED: the image's last stage: buildah is not installed")
	}
	if os.Getuid() != 0 {
		t.Skip("NOT TESTED: the image's last stage: buildah is run as root here, with storage of its own")
	}
	context := stageContext(t)
	storage := []string{"--root", filepath.Join(context, "..", "root"), "--runroot", filepath.Join(context, "..", "run"), "--storage-driver", "vfs"}
	buildah := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("buildah", append(storage[:len(storage):len(storage)], args...)...)
		out, err := cmd.Output()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			t.Fatalf("buildah %s: %v: %s", args[0], err, exit.Stderr)
		} else if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	build := func() string {
		return buildah("bud", "--quiet", "--isolation", "chroot", "--pull-never", "--timestamp", "0", "--no-cache",
			"--build-arg", "VERSION="+stamped, "--build-arg", "REVISION=abc", context)
	}
	id := build()
	if again := build(); again != id {
		t.Errorf("the same files make image %s, and then %s", id, again)
	}
	var image struct {
		OCIv1 struct {
			Config struct {
				User       string
				Env        []string
				Entrypoint []string
				Cmd        []string
				Labels     map[string]string
			} `json:"config"`
		}
	}
	if err := yaml.Unmarshal([]byte(buildah("inspect", "--type", "image", id)), &image); err != nil {
		t.Fatal(err)
	}
	c := image.OCIv1.Config
	for name, value := range imageEnvironment(t) {
		if !slices.Contains(c.Env, name+"="+value) {
			t.Errorf("the image has environment %v, without %s=%s", c.Env, name, value)
		}
	}
	if c.User != "65532:65532" || c.Labels["org.opencontainers.image.version"] != stamped || c.Labels["org.opencontainers.image.licenses"] != "Apache-2.0" {
		t.Errorf("the image has user %q and labels %v", c.User, c.Labels)
	}
	container := buildah("from", "--pull-never", id)
	defer buildah("rm", container)
	if got := buildah("run", "--isolation", "chroot", container, "--", "/orderlane", "services"); !strings.Contains(got, "commandapi") {
		t.Errorf("orderlane services in the image prints %s", got)
	}
}

// stageContext makes a directory with what the last stage copies, and that stage as its Dockerfile.
func stageContext(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "context")
	for _, d := range []string{"out/data", "etc/ssl/certs"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	_, last, ok := strings.Cut(dockerfile(t), "\nFROM scratch\n")
	if !ok {
		t.Fatal("the Dockerfile has no last stage from scratch")
	}
	files := map[string]string{
		"etc/ssl/certs/ca-certificates.crt": "certificates\n",
		"Dockerfile":                        "FROM scratch AS build\nCOPY out /out\nCOPY etc /etc\n\nFROM scratch\n" + last,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	binary, err := os.ReadFile(orderlane)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "out/orderlane"), binary, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
