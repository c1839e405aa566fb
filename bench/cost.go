package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"

	"github.com/orderlane/orderlane/api"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// share is a part of the CPU time of a process, and the parts that it is made of.
type share struct {
	of    float64 // of all: 0 to 1
	parts map[string]float64
}

// Components whose names do not begin with that of their service.
var serviceOf = map[string]string{"public": "commandapi", "command": "commandapi", "replies": "commandapi", "mail": "notifications"}

// unlabelled is the CPU time that is for no component.
const unlabelled = "runtime"

// readShares reads a CPU profile, by the services whose components are named in its labels.
func readShares(path string) (map[string]*share, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := profile.Parse(f)
	if err != nil {
		return nil, fmt.Errorf("read the profile: %w", err)
	}
	return sharesOf(p), nil
}

func sharesOf(p *profile.Profile) map[string]*share {
	all := 0.0
	shares := make(map[string]*share)
	for _, s := range p.Sample {
		service, part := unlabelled, "collector and scheduler"
		if label := s.Label[daemon.ProfileLabel]; len(label) > 0 {
			service, part, _ = strings.Cut(strings.Replace(label[0], "-", " ", 1), " ")
			if owner, ok := serviceOf[service]; ok {
				service, part = owner, label[0]
			}
		}
		if shares[service] == nil {
			shares[service] = &share{parts: make(map[string]float64)}
		}
		cpu := float64(s.Value[len(s.Value)-1])
		shares[service].of += cpu
		shares[service].parts[part] += cpu
		all += cpu
	}
	for _, s := range shares {
		s.of /= all
		for part := range s.parts {
			s.parts[part] /= all
		}
	}
	return shares
}

// noteCosts writes below the table what each service takes of a complete order's CPU time, and how
// many messages each puts on its topics for an order. n orders are on the topics.
func (b *bench) noteCosts(ctx context.Context, s *system, path string, each time.Duration, n int64) error {
	shares, err := readShares(path)
	if err != nil {
		return err
	}
	messages, all, err := s.messages(ctx, n)
	if err != nil {
		return err
	}
	micros := func(share float64) float64 { return share * float64(each) / float64(time.Microsecond) }
	b.report.note("A complete order takes %.0f us of CPU and %.1f messages:", micros(1), all)
	names := slices.SortedFunc(maps.Keys(shares), func(x, y string) int { return compare(shares[y].of, shares[x].of) })
	for _, name := range names {
		var parts []string
		of := shares[name].parts
		for _, part := range slices.SortedFunc(maps.Keys(of), func(x, y string) int { return compare(of[y], of[x]) }) {
			if part != "" && micros(of[part]) >= 1 {
				parts = append(parts, fmt.Sprintf("%s %.0f", part, micros(of[part])))
			}
		}
		b.report.note("  %-14s %5.0f us  %-44s %s", name, micros(shares[name].of), messages[name], strings.Join(parts, ", "))
	}
	return nil
}

func compare(x, y float64) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// messages says how many messages an order has on the topics of each service, and on all.
func (s *system) messages(ctx context.Context, n int64) (words map[string]string, all float64, err error) {
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: s.brokers})
	if err != nil {
		return nil, 0, err
	}
	defer admin.Close()
	words = make(map[string]string)
	count := func(service, what, topic string) error {
		held, err := admin.Offsets(ctx, topic)
		if err != nil {
			return err
		}
		offsets := int64(0)
		for _, r := range held {
			offsets += r.Last // also of what retention has deleted
		}
		each := float64(offsets) / float64(n)
		if all += each; each >= 0.05 {
			words[service] = strings.TrimPrefix(fmt.Sprintf("%s, %.1f %s", words[service], each, what), ", ")
		}
		return nil
	}
	for _, service := range api.Services {
		if err := count(service.Name, "commands", bus.CommandsTopic(service.Name)); err != nil {
			return nil, 0, err
		}
		if err := count(service.Name, "events", bus.EventsTopic(service.Name)); err != nil {
			return nil, 0, err
		}
		if len(service.Tasks) > 0 {
			if err := count(service.Name, "tasks", bus.TasksTopic(service.Name)); err != nil {
				return nil, 0, err
			}
		}
		if len(service.Personal) > 0 {
			if err := count(service.Name, "personal", bus.PersonalTopic(service.Name)); err != nil {
				return nil, 0, err
			}
		}
	}
	return words, all, count("commandapi", "outcomes", bus.OutcomesTopic)
}
