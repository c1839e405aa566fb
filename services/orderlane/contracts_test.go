package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheContractsAreThoseOfTheGoTypes(t *testing.T) {
	files, err := contracts()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("../../api", name))
		if err != nil || string(got) != string(want) {
			t.Errorf("api/%s is not what the Go types say (%v); run make generate and look at the difference", name, err)
		}
	}
	kept, err := filepath.Glob("../../api/schemas/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range kept {
		if files["schemas/"+filepath.Base(path)] == nil {
			t.Errorf("%s is of no message any more", path)
		}
	}
}

func TestEveryTopicIsDeclaredOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, topic := range topics(8, 1) {
		if seen[topic.Name] {
			t.Errorf("topic %s is declared twice", topic.Name)
		}
		seen[topic.Name] = true
	}
}
