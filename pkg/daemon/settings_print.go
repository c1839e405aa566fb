package daemon

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"
)

// PrintSettings writes one table of all settings of the command that was parsed: its name
// as a flag and in a file, its name in the environment, the value in force, the default,
// where the value came from, and what it is. Secrets are masked.
func PrintSettings(w io.Writer, ctx *kong.Context) error {
	from := sources(ctx)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SETTING\tENVIRONMENT\tVALUE\tDEFAULT\tFROM\tWHAT IT IS")
	for _, f := range ctx.Flags() {
		env := environment(f)
		if env == "" {
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", f.Name, env, shown(f), orDash(defaultOf(f)), from[f.Value], f.Help)
	}
	return t.Flush()
}

// sources says for every flag where its value came from.
func sources(ctx *kong.Context) map[*kong.Value]string {
	from := make(map[*kong.Value]string)
	for _, f := range ctx.Flags() {
		from[f.Value] = "default"
		if _, set := os.LookupEnv(environment(f)); set {
			from[f.Value] = "environment"
		}
	}
	for _, p := range ctx.Path {
		switch {
		case p.Flag == nil:
		case p.Resolved:
			from[p.Flag.Value] = "file"
		default:
			from[p.Flag.Value] = "flag"
		}
	}
	return from
}

func defaultOf(f *kong.Flag) string {
	if f.IsBool() && !f.HasDefault {
		return "false"
	}
	return f.Default
}

// shown is a setting's value as it may be shown to anybody. The tag says how secret it is:
// secret:"all", or secret:"url" for a URL in which only the password is one.
func shown(f *kong.Flag) string {
	value := fmt.Sprint(f.Target.Interface())
	if list, ok := f.Target.Interface().([]string); ok {
		value = strings.Join(list, ",")
	}
	switch secret := f.Tag.Get("secret"); {
	case value == "":
	case secret == "all":
		return "(set)"
	case secret == "url":
		return redactURL(value)
	}
	return orDash(value)
}

// redactURL masks the password in a URL, and the values of its parameters, where drivers
// take a password too.
func redactURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "(set)"
	}
	q := u.Query()
	for name := range q {
		if strings.Contains(name, "pass") || strings.Contains(name, "secret") || strings.Contains(name, "token") || strings.Contains(name, "key") {
			q.Set(name, "xxxxx")
			u.RawQuery = q.Encode()
		}
	}
	return u.Redacted()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
