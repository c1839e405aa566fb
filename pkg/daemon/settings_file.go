package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"gopkg.in/yaml.v3"
)

// envPrefix begins the environment's name of every setting, and so tells settings from
// the other flags of a command.
const envPrefix = "ORDERLANE_"

// environment is the name of a setting in the environment, "" for a flag that is none.
func environment(f *kong.Flag) string {
	for _, env := range f.Tag.Envs {
		if strings.HasPrefix(env, envPrefix) {
			return env
		}
	}
	return ""
}

// file is a YAML file of settings, each value by its flag's name. kong-yaml's own resolver
// is not used: it puts the command's name before every key, lets a file win over the
// environment, and says nothing about a misspelt key.
type file map[string]string

// readFile reads a settings file for a command with those flags.
func readFile(path string, flags []*kong.Flag) (file, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	var doc yaml.Node
	if err := yaml.NewDecoder(f).Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("config %s: %w", path, err)
	}
	known := make(map[string]bool, len(flags))
	for _, f := range flags {
		known[f.Name] = environment(f) != "" && f.Name != "config"
	}
	values := make(file)
	for _, n := range doc.Content {
		if err := values.take("", n, known); err != nil {
			return nil, fmt.Errorf("config %s: %w", path, err)
		}
	}
	return values, nil
}

// take adds what a node of the file says about the setting, or group of settings, of that name.
func (v file) take(name string, n *yaml.Node, known map[string]bool) error {
	switch {
	case n.Tag == "!!null":
		return nil // `name:` with nothing behind it, or nothing but comments, leaves the default
	case n.Kind == yaml.MappingNode && !known[name]:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := strings.ReplaceAll(n.Content[i].Value, "_", "-")
			if name != "" {
				key = name + "-" + key
			}
			if err := v.take(key, n.Content[i+1], known); err != nil {
				return err
			}
		}
		return nil
	case name == "":
		return fmt.Errorf("line %d: settings are written as name: value", n.Line)
	case !known[name]:
		return fmt.Errorf("line %d: there is no setting %q", n.Line, name)
	}
	if _, twice := v[name]; twice {
		return fmt.Errorf("line %d: %s is set twice", n.Line, name)
	}
	switch n.Kind {
	case yaml.ScalarNode:
		v[name] = n.Value
		return nil
	case yaml.SequenceNode:
		items := make([]string, len(n.Content))
		for i, c := range n.Content {
			if c.Kind != yaml.ScalarNode {
				return fmt.Errorf("line %d: %s is a list of plain values", c.Line, name)
			}
			items[i] = c.Value
		}
		v[name] = kong.JoinEscaped(items, ',')
		return nil
	default:
		return fmt.Errorf("line %d: %s is a plain value", n.Line, name)
	}
}

// Validate implements kong.Resolver; keys were checked while reading.
func (v file) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver. The environment is nearer to the process than a file
// that many share, and wins over it.
func (v file) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	env := environment(flag)
	if env == "" {
		return nil, nil
	}
	if _, set := os.LookupEnv(env); set {
		return nil, nil
	}
	if value, ok := v[flag.Name]; ok {
		return value, nil
	}
	return nil, nil
}
