package notifications

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/wneessen/go-mail"

	api "github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/pkg/fault"
)

func aMessage(t *testing.T, subject string) *mail.Msg {
	t.Helper()
	m, err := message(teaHouse, aTask, noon, newFacts(nil), written{subject, "Hello", "<p>Hello</p>"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newOutbox(t *testing.T, dir string, most int) *outbox {
	t.Helper()
	b, err := openOutbox(dir, most)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func files(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestAMailInTheOutboxIsWrittenOnceAndAsItGoesOnTheWire(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "outbox")
	b := newOutbox(t, dir, 10)
	for _, subject := range []string{"first", "second"} {
		if err := b.send(t.Context(), "a", aMessage(t, subject)); err != nil {
			t.Fatal(err)
		}
	}
	if err := newOutbox(t, dir, 10).send(t.Context(), "a", aMessage(t, "third")); err != nil { // after a restart
		t.Fatal(err)
	}
	var want bytes.Buffer
	if _, err := aMessage(t, "first").WriteTo(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "a.eml"))
	if err != nil || !bytes.Equal(got, want.Bytes()) || files(t, dir) != "a.eml" {
		t.Errorf("%v, the outbox holds %s:\n%s", err, files(t, dir), got)
	}
	if info, err := os.Stat(filepath.Join(dir, "a.eml")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v, %v", info.Mode(), err)
	}
}

func TestTheOutboxKeepsTheNewestMails(t *testing.T) {
	dir := t.TempDir()
	b := newOutbox(t, dir, 3)
	for _, name := range []string{"1", "2", "4", "3", "5"} {
		if err := b.send(t.Context(), name, aMessage(t, name)); err != nil {
			t.Fatal(err)
		}
	}
	if got := files(t, dir); got != "3.eml 4.eml 5.eml" {
		t.Errorf("it holds %s", got)
	}
	if err := os.Remove(filepath.Join(dir, "3.eml")); err != nil { // somebody tidies up
		t.Fatal(err)
	}
	if err := b.send(t.Context(), "6", aMessage(t, "6")); err != nil || files(t, dir) != "4.eml 5.eml 6.eml" {
		t.Errorf("%v, it holds %s", err, files(t, dir))
	}
	newOutbox(t, dir, 1)
	if got := files(t, dir); got != "6.eml" {
		t.Errorf("opened with a lower bound it holds %s", got)
	}
}

func TestWhatAKillLeftHalfWrittenIsNotInTheOutbox(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.partial", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := newOutbox(t, dir, 1)
	if err := b.send(t.Context(), "a", aMessage(t, "a")); err != nil || files(t, dir) != "a.eml notes.txt" {
		t.Errorf("%v, it holds %s", err, files(t, dir))
	}
}

func TestAnOutboxThatCannotBeWrittenIsTriedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "outbox")
	b := newOutbox(t, dir, 1)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	err := b.send(t.Context(), "a", aMessage(t, "a"))
	if f, ok := fault.Of(err); !ok || f.Code != api.ReasonUnwritable || fault.TreatmentOf(err) != fault.Retry {
		t.Errorf("got %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := b.send(t.Context(), "a", aMessage(t, "a")); err != nil || files(t, dir) != "a.eml" {
		t.Errorf("%v, it holds %s", err, files(t, dir))
	}
}

func TestManyWriteToTheOutboxAtOnce(t *testing.T) {
	dir := t.TempDir()
	b := newOutbox(t, dir, 20)
	var wg sync.WaitGroup
	for n := range 60 {
		m := aMessage(t, "many")
		wg.Go(func() {
			if err := b.send(t.Context(), fmt.Sprintf("%02d", n%30), m); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := strings.Fields(files(t, dir)); len(got) != 20 {
		t.Errorf("%d files: %v", len(got), got)
	}
}
