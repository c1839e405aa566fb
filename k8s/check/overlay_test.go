package check

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// TestTheOverlayInTheReadmeWorks builds the overlay that k8s/README.md shows, over the base as it is.
func TestTheOverlayInTheReadmeWorks(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`(?m)^    resources:.*\n((    .*)?\n)*`).Find(readme)
	files := filesys.MakeFsInMemory()
	write := func(path string, data []byte) {
		t.Helper()
		if err := files.WriteFile(path, data); err != nil {
			t.Fatal(err)
		}
	}
	write("/overlay/kustomization.yaml", []byte(strings.ReplaceAll("\n"+string(shown), "\n    ", "\n")))
	base, err := filepath.Glob("../base/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range base {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write("/base/"+filepath.Base(path), data)
	}
	m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, "/overlay")
	if err != nil {
		t.Fatal(err)
	}
	validate(t, "the README's overlay", m)
	d := find[appsv1.Deployment](t, m, "Deployment")["catalog"]
	if image := d.Spec.Template.Spec.Containers[0].Image; image != "registry.example/orderlane:v1.2.3" || d.Namespace != "shop" {
		t.Errorf("catalog runs %s in %s", image, d.Namespace)
	}
	secrets := map[string]*corev1.Secret{"orderlane-database": {Data: map[string][]byte{"ORDERLANE_POSTGRES": []byte("postgres://o:p@db:5432/o")}}}
	env, err := containerEnvironment(d.Spec.Template.Spec.Containers[0], find[corev1.ConfigMap](t, m, "ConfigMap"), secrets)
	if err != nil {
		t.Fatal(err)
	}
	checkEnvironment(t, "the README's overlay", env)
	route := find[httpRoute](t, m, "HTTPRoute")["orderlane"]
	if route.Spec.ParentRefs[0]["namespace"] != "gateways" || len(route.Spec.Hostnames) != 1 {
		t.Errorf("the route is at %v for %v", route.Spec.ParentRefs, route.Spec.Hostnames)
	}
}
