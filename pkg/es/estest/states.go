package estest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/fault"
)

// Machine says how the state machine of an aggregate is found: every command is tried in every
// state that can be reached, so that what is drawn is what the code does.
type Machine[S, E, C any] struct {
	Title string
	Intro string // what the states are of
	// Status names what is drawn of a state; "" for a stream that has not begun.
	Status func(S) string
	// Attempts are the commands to try. Different ones of one name are drawn as one.
	Attempts []Attempt[C]
}

// Attempt is a command, and who gives it.
type Attempt[C any] struct {
	Name    string
	By      string
	Command C
}

// maxStates bounds how many different states are gone through; a machine with more of them
// needs smaller attempts.
const maxStates = 20_000

// Draw compares a Markdown file with the state machine of an aggregate, as a Mermaid diagram
// and a table of what may be done in which state, and writes the file with the flag -update.
func Draw[S, E, C any](t testing.TB, agg *es.Aggregate[S, E, C], m Machine[S, E, C], path string) {
	t.Helper()
	d := &drawing[S, E, C]{t: t, agg: agg, machine: m, arrows: map[[2]string][]string{}, allowed: map[[2]string][]string{}}
	d.explore()
	Golden(t, path, d.markdown())
}

type drawing[S, E, C any] struct {
	t        testing.TB
	agg      *es.Aggregate[S, E, C]
	machine  Machine[S, E, C]
	statuses []string               // in the order in which they were met
	arrows   map[[2]string][]string // events, by the statuses before and after
	allowed  map[[2]string][]string // what comes of it, by attempt and status
}

// explore goes through all states breadth first. States are told apart by their JSON.
func (d *drawing[S, E, C]) explore() {
	d.t.Helper()
	first := d.encode(d.agg.Initial())
	seen := map[string]bool{first: true}
	for queue := []string{first}; len(queue) > 0; queue = queue[1:] {
		d.meet(d.machine.Status(d.decode(queue[0])))
		for _, a := range d.machine.Attempts {
			next := d.attempt(a, queue[0])
			if seen[next] {
				continue
			}
			if len(seen) == maxStates {
				d.t.Fatalf("%s has more than %d states", d.machine.Title, maxStates)
			}
			seen[next] = true
			queue = append(queue, next)
		}
	}
}

// attempt decides a command on a state and returns the state that it leads to.
func (d *drawing[S, E, C]) attempt(a Attempt[C], at string) string {
	d.t.Helper()
	state := d.decode(at)
	before := d.machine.Status(state)
	events, err := d.agg.Decide(a.Command, state)
	if err != nil {
		var f *fault.Fault
		if !errors.As(err, &f) {
			d.t.Fatalf("%s in %q: %v", a.Name, before, err)
		}
		d.note(a, before, "`"+f.Code+"`")
		return at
	}
	if len(events) == 0 {
		d.note(a, before, "–")
		return at
	}
	var names []string
	state = d.decode(at)
	for _, e := range events {
		r, err := d.agg.Codec.Encode(e)
		if err != nil {
			d.t.Fatalf("%s in %q: %v", a.Name, before, err)
		}
		names = append(names, r.Type)
		from := d.machine.Status(state)
		state = d.agg.Evolve(e, state)
		add(d.arrows, [2]string{from, d.machine.Status(state)}, r.Type)
	}
	d.note(a, before, strings.Join(names, ", "))
	return d.encode(state)
}

func (d *drawing[S, E, C]) note(a Attempt[C], status, what string) {
	add(d.allowed, [2]string{a.Name + "|" + a.By, status}, what)
}

func add(m map[[2]string][]string, key [2]string, what string) {
	if !slices.Contains(m[key], what) {
		m[key] = append(m[key], what)
	}
}

func (d *drawing[S, E, C]) meet(status string) {
	if !slices.Contains(d.statuses, status) {
		d.statuses = append(d.statuses, status)
	}
}

func (d *drawing[S, E, C]) encode(state S) string {
	data, err := json.Marshal(state, json.Deterministic(true))
	if err != nil {
		d.t.Fatalf("encode a state: %v", err)
	}
	return string(data)
}

func (d *drawing[S, E, C]) decode(data string) S {
	state := d.agg.Initial()
	if err := json.Unmarshal([]byte(data), &state); err != nil {
		d.t.Fatalf("decode a state: %v", err)
	}
	return state
}

// markdown is the file: a diagram, then the table.
func (d *drawing[S, E, C]) markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n\n%s\n\nDrawn from the code by a test: every command was tried in every state that can be reached.\n\n", d.machine.Title, d.machine.Intro)
	b.WriteString("```mermaid\nstateDiagram-v2\n")
	for _, from := range d.statuses {
		for _, to := range d.statuses {
			if events := d.arrows[[2]string{from, to}]; len(events) > 0 && from != to {
				slices.Sort(events)
				fmt.Fprintf(&b, "    %s --> %s: %s\n", node(from), node(to), strings.Join(events, ", "))
			}
		}
	}
	b.WriteString("```\n\n## Who may do what, and what comes of it\n\nAn event, a refusal (`code`), or – where nothing changes.\n\n| command | by |")
	for _, s := range d.statuses {
		fmt.Fprintf(&b, " %s |", heading(s))
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(d.statuses)) + "\n")
	var done []string
	for _, a := range d.machine.Attempts {
		key := a.Name + "|" + a.By
		if slices.Contains(done, key) {
			continue
		}
		done = append(done, key)
		fmt.Fprintf(&b, "| %s | %s |", a.Name, a.By)
		for _, s := range d.statuses {
			what := d.allowed[[2]string{key, s}]
			slices.Sort(what)
			fmt.Fprintf(&b, " %s |", strings.Join(what, "<br>"))
		}
		b.WriteString("\n")
	}
	return b.Bytes()
}

func node(status string) string {
	if status == "" {
		return "[*]"
	}
	return status
}

func heading(status string) string {
	if status == "" {
		return "(not there)"
	}
	return status
}
