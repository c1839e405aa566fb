package main

import (
	"testing"

	"github.com/google/pprof/profile"

	"github.com/orderlane/orderlane/pkg/daemon"
)

func TestCPUTimeIsThatOfTheServiceWhoseComponentHasSpentIt(t *testing.T) {
	sample := func(component string, cpu int64) *profile.Sample {
		s := &profile.Sample{Value: []int64{1, cpu}}
		if component != "" {
			s.Label = map[string][]string{daemon.ProfileLabel: {component}}
		}
		return s
	}
	shares := sharesOf(&profile.Profile{Sample: []*profile.Sample{
		sample("fulfilment engine", 30), sample("fulfilment-forwarder", 10), sample("fulfilment engine", 10),
		sample("public", 20), sample("broker", 20), sample("", 10),
	}})
	for _, want := range []struct {
		service, part string
		of, ofPart    float64
	}{
		{"fulfilment", "engine", 0.5, 0.4},
		{"fulfilment", "forwarder", 0.5, 0.1},
		{"commandapi", "public", 0.2, 0.2},
		{"broker", "", 0.2, 0.2},
		{"runtime", "collector and scheduler", 0.1, 0.1},
	} {
		s := shares[want.service]
		if s == nil || s.of != want.of || s.parts[want.part] != want.ofPart {
			t.Errorf("%s %s: %+v, and not %v, of it %v", want.service, want.part, s, want.of, want.ofPart)
		}
	}
	if len(shares) != 4 {
		t.Errorf("there are %d services", len(shares))
	}
}
