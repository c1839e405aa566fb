package check

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yannh/kubeconform/pkg/validator"
	kubescore "github.com/zegl/kube-score/config"
	"github.com/zegl/kube-score/domain"
	"github.com/zegl/kube-score/parser"
	"github.com/zegl/kube-score/score"
	"github.com/zegl/kube-score/score/checks"
	"github.com/zegl/kube-score/scorecard"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// overlays are what is built: the base as it is, and the overlays on it.
var overlays = []string{"base", "dev"}

func kustomize(t *testing.T, name string) resmap.ResMap {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "../"+name)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

func text(t *testing.T, m resmap.ResMap) []byte {
	t.Helper()
	data, err := m.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// find returns the resources of a kind by name.
func find[T any](t *testing.T, m resmap.ResMap, kind string) map[string]*T {
	t.Helper()
	found := map[string]*T{}
	for _, r := range m.Resources() {
		if r.GetKind() != kind {
			continue
		}
		data, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		value := new(T)
		if err := yaml.UnmarshalStrict(data, value); err != nil {
			t.Fatal(err)
		}
		found[r.GetName()] = value
	}
	return found
}

func TestManifestsAreWhatKubernetesTakes(t *testing.T) {
	for _, overlay := range overlays {
		validate(t, overlay, kustomize(t, overlay))
	}
}

// validate checks resources with the schemas of Kubernetes.
func validate(t *testing.T, name string, m resmap.ResMap) {
	t.Helper()
	v, err := validator.New([]string{"schemas/{{.ResourceKind}}{{.KindSuffix}}.json"}, validator.Opts{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, r := range v.Validate(name, io.NopCloser(bytes.NewReader(text(t, m)))) {
		switch n++; r.Status {
		case validator.Valid, validator.Empty:
		default:
			who, _ := r.Resource.Signature() // what cannot be read has no name
			t.Errorf("%s: %+v: %v", name, who, r.Err)
		}
	}
	if n < 30 {
		t.Errorf("%s has %d resources", name, n)
	}
}

// named is a file for kube-score.
type named struct {
	io.Reader
	name string
}

func (n named) Name() string { return n.name }

// unscored are the checks of kube-score that do not apply, each with its reason.
var unscored = map[string]struct{}{
	"container-image-pull-policy": {}, // tags are not moved, and a registry that is away must not keep a pod from starting again
}

func TestManifestsAreFreeOfWhatKubeScoreCallsCritical(t *testing.T) {
	// A limit of CPU makes a process stand still while processors are idle.
	config := &kubescore.RunConfiguration{
		IgnoreContainerCpuLimitRequirement: true, UseIgnoreChecksAnnotation: true,
		KubernetesVersion: kubescore.Semver{Major: 1, Minor: 34}, MinReplicasDeployment: 2, MinReplicasHPA: 2,
	}
	for _, overlay := range overlays {
		p, err := parser.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := p.ParseFiles([]domain.NamedReader{named{bytes.NewReader(text(t, kustomize(t, overlay))), overlay}})
		if err != nil {
			t.Fatal(err)
		}
		card, err := score.Score(objects, score.RegisterAllChecks(objects, &checks.Config{IgnoredTests: unscored}, config), config)
		if err != nil {
			t.Fatal(err)
		}
		if len(*card) < 30 {
			t.Errorf("%s: %d resources are looked at", overlay, len(*card))
		}
		for _, o := range *card {
			for _, c := range o.Checks {
				if !c.Skipped && c.Grade <= scorecard.GradeCritical {
					t.Errorf("%s: %s %s: %s: %v", overlay, o.TypeMeta.Kind, o.ObjectMeta.Name, c.Check.ID, c.Comments)
				}
			}
		}
	}
}

func TestTheBaseHoldsNoSecret(t *testing.T) {
	if found := find[corev1.Secret](t, kustomize(t, "base"), "Secret"); len(found) > 0 {
		t.Errorf("the base holds secrets: %v", found)
	}
}

func TestEveryServiceHasADeploymentThatMigratesFirstAndDrains(t *testing.T) {
	services, _ := fleet(t)
	for _, overlay := range overlays {
		m := kustomize(t, overlay)
		deployments := find[appsv1.Deployment](t, m, "Deployment")
		front := find[corev1.Service](t, m, "Service")
		budgets := find[policyv1.PodDisruptionBudget](t, m, "PodDisruptionBudget")
		for _, name := range services {
			d, s, b := deployments[name], front[name], budgets[name]
			if d == nil || s == nil || b == nil {
				t.Errorf("%s: %s lacks a Deployment, a Service or a PodDisruptionBudget", overlay, name)
				continue
			}
			who := overlay + ": " + name
			pods := d.Spec.Template.Labels
			if d.Labels["app.kubernetes.io/name"] != name {
				t.Errorf("%s: kubectl -l cannot choose its Deployment", who)
			}
			if !matches(d.Spec.Selector.MatchLabels, pods) || !matches(s.Spec.Selector, pods) || !matches(b.Spec.Selector.MatchLabels, pods) {
				t.Errorf("%s: selectors do not match its pods", who)
			}
			checkPod(t, who, name, &d.Spec.Template.Spec)
		}
		for name, d := range deployments {
			if args := d.Spec.Template.Spec.Containers[0].Args; len(args) > 0 && args[0] == "serve" && !slices.Contains(services, name) {
				t.Errorf("%s runs %s, which is no service", overlay, name)
			}
		}
	}
}

func matches(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

func checkPod(t *testing.T, who, name string, pod *corev1.PodSpec) {
	t.Helper()
	if len(pod.InitContainers) != 1 || len(pod.Containers) != 1 {
		t.Errorf("%s has %d containers, and %d before them", who, len(pod.Containers), len(pod.InitContainers))
		return
	}
	first, c := pod.InitContainers[0], pod.Containers[0]
	checkCommand(t, who+", first", first.Args, "migrate", name)
	checkCommand(t, who, c.Args, "serve", name)
	if first.Image != c.Image {
		t.Errorf("%s migrates for %s and runs %s", who, first.Image, c.Image)
	}
	if c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep == nil {
		t.Fatalf("%s stops while requests are still sent there", who)
	}
	grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second
	if needs := time.Duration(c.Lifecycle.PreStop.Sleep.Seconds)*time.Second + drainDeadline + stopReserve; grace < needs {
		t.Errorf("%s is killed after %s, while it may drain for %s", who, grace, needs)
	}
	if c.StartupProbe == nil || c.LivenessProbe == nil || c.ReadinessProbe == nil {
		t.Fatalf("%s lacks a probe", who)
	}
	for probe, path := range map[*corev1.Probe]string{c.StartupProbe: "/livez", c.LivenessProbe: "/livez", c.ReadinessProbe: "/readyz"} {
		if probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port.String() != "operator" {
			t.Errorf("%s is probed with %v, not %s", who, probe.HTTPGet, path)
		}
	}
	if !*pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("%s may run as root, or calls what it likes", who)
	}
	for _, c := range []corev1.Container{first, c} {
		s := c.SecurityContext
		if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
			t.Errorf("%s: container %s has rights that it does not need", who, c.Name)
		}
	}
}

// TestTheSettingsOfTheDevOverlayAreTaken gives the binary the environment of each container, as a
// kubelet puts it together.
func TestTheSettingsOfTheDevOverlayAreTaken(t *testing.T) {
	m := kustomize(t, "dev")
	configs, secrets := find[corev1.ConfigMap](t, m, "ConfigMap"), find[corev1.Secret](t, m, "Secret")
	services, _ := fleet(t)
	for name, d := range find[appsv1.Deployment](t, m, "Deployment") {
		if !slices.Contains(services, name) {
			continue
		}
		pod := d.Spec.Template.Spec
		for _, c := range append(pod.InitContainers, pod.Containers...) {
			env, err := containerEnvironment(c, configs, secrets)
			if err != nil {
				t.Errorf("%s, %s: %v", name, c.Name, err)
				continue
			}
			if (env["ORDERLANE_POSTGRES"] == "") != (name == "commandapi") || env["ORDERLANE_KAFKA_BROKERS"] == "" {
				t.Errorf("%s, %s: it has the wrong addresses: %v", name, c.Name, env)
			}
			checkEnvironment(t, name+", "+c.Name, env)
		}
	}
}

func containerEnvironment(c corev1.Container, configs map[string]*corev1.ConfigMap, secrets map[string]*corev1.Secret) (map[string]string, error) {
	env := map[string]string{}
	for _, from := range c.EnvFrom {
		if ref := from.ConfigMapRef; ref != nil {
			if configs[ref.Name] == nil {
				return nil, fmt.Errorf("there is no ConfigMap %s", ref.Name)
			}
			for k, v := range configs[ref.Name].Data {
				env[k] = v
			}
		}
		if ref := from.SecretRef; ref != nil {
			optional := ref.Optional != nil && *ref.Optional
			if secrets[ref.Name] == nil && !optional {
				return nil, fmt.Errorf("there is no Secret %s", ref.Name)
			} else if secrets[ref.Name] == nil {
				continue
			}
			for k, v := range secrets[ref.Name].Data {
				env[k] = string(v)
			}
		}
	}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	return env, nil
}

// TestComposeAndTheDevOverlayHaveTheSameSettings keeps the two ways to try a fleet the same.
func TestComposeAndTheDevOverlayHaveTheSameSettings(t *testing.T) {
	m := kustomize(t, "dev")
	overlay := map[string]string{}
	for _, c := range find[corev1.ConfigMap](t, m, "ConfigMap") {
		for k, v := range c.Data {
			overlay[k] = v
		}
	}
	for _, s := range find[corev1.Secret](t, m, "Secret") {
		for k, v := range s.Data {
			overlay[k] = string(v)
		}
	}
	project := compose(t)
	for _, service := range []string{"migrate", "edge"} {
		for k, v := range environment(project.Services[service]) {
			if overlay[k] != v {
				t.Errorf("%s is %q in docker-compose.yml and %q in k8s/dev", k, v, overlay[k])
			}
		}
	}
	kafka := find[appsv1.StatefulSet](t, m, "StatefulSet")["kafka"].Spec.Template.Spec.Containers[0]
	inPod := map[string]string{}
	for _, e := range kafka.Env {
		inPod[e.Name] = e.Value
	}
	if inCompose := environment(project.Services["kafka"]); !maps.Equal(inPod, inCompose) || kafka.Image != project.Services["kafka"].Image {
		t.Errorf("Kafka is %s with %v in docker-compose.yml, and %s with %v in k8s/dev", project.Services["kafka"].Image, inCompose, kafka.Image, inPod)
	}
	if token := strings.Split(overlay["DEVELOPER_TOKEN"], "."); len(token) != 3 {
		t.Errorf("the developer's token has %d parts", len(token))
	} else if claims, err := base64.RawURLEncoding.DecodeString(token[1]); err != nil || !strings.Contains(string(claims), `"iss":"`+overlay["ORDERLANE_AUTH_ISSUER"]+`"`) {
		t.Errorf("the developer's token says %s (%v)", claims, err)
	}
}
