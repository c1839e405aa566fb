// Command makeschemas writes the JSON Schemas that manifests are checked with: those of the
// kinds that are named, from the OpenAPI document in Kubernetes' own source and from the
// Gateway API's custom resource definitions, both of which the Go module proxy has. Nothing
// beyond what is described is let through, as with strict validation on a server.
//
//	makeschemas DIR
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"
	"sigs.k8s.io/yaml"
)

// The sources. A new version of Kubernetes that drops a field shows in what this writes.
const (
	kubernetes = "k8s.io/kubernetes@v1.34.2"
	gatewayAPI = "sigs.k8s.io/gateway-api@v1.4.0"
)

// kinds are the definitions that files are written for, by the files' names.
var kinds = map[string]string{
	"configmap-v1.json":                  "io.k8s.api.core.v1.ConfigMap",
	"namespace-v1.json":                  "io.k8s.api.core.v1.Namespace",
	"secret-v1.json":                     "io.k8s.api.core.v1.Secret",
	"service-v1.json":                    "io.k8s.api.core.v1.Service",
	"serviceaccount-v1.json":             "io.k8s.api.core.v1.ServiceAccount",
	"deployment-apps-v1.json":            "io.k8s.api.apps.v1.Deployment",
	"statefulset-apps-v1.json":           "io.k8s.api.apps.v1.StatefulSet",
	"networkpolicy-networking-v1.json":   "io.k8s.api.networking.v1.NetworkPolicy",
	"poddisruptionbudget-policy-v1.json": "io.k8s.api.policy.v1.PodDisruptionBudget",
}

type object = map[string]any

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: makeschemas DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir string) error {
	swagger, err := read(kubernetes, "api/openapi-spec/swagger.json")
	if err != nil {
		return err
	}
	definitions := swagger["definitions"].(object)
	for name, kind := range kinds {
		used := object{}
		collect(definitions, kind, used)
		if err := write(filepath.Join(dir, name), object{"$ref": "#/definitions/" + kind, "definitions": used}); err != nil {
			return err
		}
	}
	crd, err := read(gatewayAPI, "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml")
	if err != nil {
		return err
	}
	for _, v := range crd["spec"].(object)["versions"].([]any) {
		version := v.(object)
		schema := version["schema"].(object)["openAPIV3Schema"].(object)
		schema["properties"].(object)["metadata"] = object{"type": "object"}
		name := fmt.Sprintf("httproute-gateway-%s.json", version["name"])
		if version["storage"] != true {
			continue
		}
		if err := write(filepath.Join(dir, name), tighten(schema)); err != nil {
			return err
		}
	}
	return nil
}

// read returns a document in a Go module, which is downloaded if need be.
func read(module, path string) (object, error) {
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("download %s: %w", module, err)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(found.Dir, path))
	if err != nil {
		return nil, err
	}
	var doc object
	return doc, yaml.Unmarshal(data, &doc)
}

// collect copies a definition, and those that it refers to, to used.
func collect(definitions object, name string, used object) {
	if used[name] != nil {
		return
	}
	switch name {
	case "io.k8s.apimachinery.pkg.api.resource.Quantity":
		used[name] = object{"type": []any{"string", "number"}}
		return
	case "io.k8s.apimachinery.pkg.util.intstr.IntOrString":
		used[name] = object{"type": []any{"string", "integer"}}
		return
	}
	tight := tighten(definitions[name].(object))
	used[name] = tight
	for _, ref := range references(tight) {
		collect(definitions, ref, used)
	}
}

// tighten returns a schema without its texts, that refuses fields it does not name.
func tighten(schema object) object {
	out := object{}
	for key, value := range schema {
		switch key {
		case "description", "default", "format":
			continue
		case "properties":
			fields := object{}
			for name, field := range value.(object) {
				fields[name] = tighten(field.(object))
			}
			out[key] = fields
			continue
		}
		switch v := value.(type) {
		case object:
			out[key] = tighten(v)
		default:
			if !strings.HasPrefix(key, "x-kubernetes-") {
				out[key] = v
			}
		}
	}
	if out["properties"] != nil && out["additionalProperties"] == nil && out["type"] == "object" {
		out["additionalProperties"] = false
	}
	return out
}

// references are the names of the definitions that a schema refers to.
func references(value any) (names []string) {
	switch v := value.(type) {
	case object:
		for key, inner := range v {
			if ref, ok := inner.(string); ok && key == "$ref" {
				names = append(names, strings.TrimPrefix(ref, "#/definitions/"))
				continue
			}
			names = append(names, references(inner)...)
		}
	case []any:
		for _, inner := range v {
			names = append(names, references(inner)...)
		}
	}
	return names
}

func write(path string, schema object) error {
	data, err := json.Marshal(schema, json.Deterministic(true))
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
