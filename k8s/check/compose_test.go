package check

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// stopReserve is what a process may take to stop beyond its drain deadline: a second for each
// stage that is late.
const stopReserve = 8 * time.Second

// drainDeadline is the default of the setting.
const drainDeadline = 10 * time.Second

// compose loads docker-compose.yml as Docker does: unknown keys and dependencies that are not
// there are errors.
func compose(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")})
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func environment(s types.ServiceConfig) map[string]string {
	env := map[string]string{}
	for name, value := range s.Environment {
		if value != nil {
			env[name] = *value
		}
	}
	return env
}

func TestComposeRunsEveryServiceOnItsOwnAfterTheMigration(t *testing.T) {
	project := compose(t)
	services, _ := fleet(t)
	for _, name := range services {
		s, ok := project.Services[name]
		if !ok {
			t.Errorf("docker-compose.yml has no service %s", name)
			continue
		}
		checkCommand(t, "compose: "+name, s.Command, "serve", name)
		checkEnvironment(t, "compose: "+name, environment(s))
		if d := s.DependsOn["migrate"]; d.Condition != types.ServiceConditionCompletedSuccessfully {
			t.Errorf("%s does not wait for migrate", name)
		}
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || len(s.Ports) > 0 {
			t.Errorf("%s may write to its root, has rights, or is reached past the edge", name)
		}
		if s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) < drainDeadline+stopReserve {
			t.Errorf("%s is killed after %v, while it may still drain", name, s.StopGracePeriod)
		}
		if s.HealthCheck == nil || !slices.Equal(s.HealthCheck.Test, []string{"CMD", "/orderlane", "health"}) {
			t.Errorf("nobody asks %s whether it is ready", name)
		}
		if d := project.Services["edge"].DependsOn[name]; d.Condition != types.ServiceConditionHealthy {
			t.Errorf("edge does not wait for %s", name)
		}
	}
	for name, s := range project.Services {
		if len(s.Command) == 2 && s.Command[0] == "serve" && !slices.Contains(services, name) {
			t.Errorf("docker-compose.yml runs %s, which is no service", name)
		}
	}
	migrate := project.Services["migrate"]
	if !slices.Equal(migrate.Command, []string{"migrate"}) || migrate.Build == nil {
		t.Errorf("migrate runs %q", migrate.Command)
	}
	checkEnvironment(t, "compose: migrate", environment(migrate))
}

func TestComposePublishesTheEdgeToThisMachineOnly(t *testing.T) {
	for name, s := range compose(t).Services {
		for _, p := range s.Ports {
			if name != "edge" || p.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s:%s, and its secrets are known to everybody", name, p.HostIP, p.Published)
			}
		}
	}
}

func TestComposePinsTheImagesOfOthers(t *testing.T) {
	for name, s := range compose(t).Services {
		image, tag, _ := strings.Cut(s.Image, ":")
		if image == "" || tag == "" || tag == "latest" {
			t.Errorf("%s runs image %q", name, s.Image)
		}
	}
}
