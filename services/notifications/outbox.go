package notifications

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/wneessen/go-mail"

	api "github.com/orderlane/orderlane/api/notifications"
	"github.com/orderlane/orderlane/pkg/fault"
)

// transport takes mails to the outside world. It is called concurrently. Its errors say nothing
// personal, since they are logged: neither the address nor what a mail server says of it.
type transport interface {
	// send takes a mail out. name is the same for the same mail, and never that of another; names
	// are in the order in which mails were asked for. A fault that is refused (fault.Refuse) is
	// final; after any other error the mail may be out all the same.
	send(ctx context.Context, name string, m *mail.Msg) error
}

// outbox is the transport of a shop that has no mail server: a directory in which each mail is a
// file that mail programs open. It keeps the newest ones.
type outbox struct {
	dir  string
	most int // files that are kept

	mu    sync.Mutex
	names []string // of the files that are there, the oldest first
}

const (
	mailFile    = ".eml"
	partialFile = ".partial" // a mail that is being written
)

// openOutbox opens the directory, and makes it if there is none. What it holds is personal.
func openOutbox(dir string, most int) (*outbox, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, err
	}
	b := &outbox{dir: dir, most: most}
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case mailFile:
			b.names = append(b.names, e.Name())
		case partialFile: // of a process that was killed
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return nil, err
			}
		}
	}
	return b, b.trim()
}

// send implements transport. A mail whose file is there is not written again.
func (b *outbox) send(_ context.Context, name string, m *mail.Msg) error {
	var data bytes.Buffer // go-mail writes in many small pieces
	if _, err := m.WriteTo(&data); err != nil {
		return fmt.Errorf("notifications: write the mail %s", name) // go-mail's error might name who gets it
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.write(name+mailFile, data.Bytes()); err != nil {
		return fault.Unavailable(api.ReasonUnwritable, "the mail can't be put into the outbox: %v", err)
	}
	return nil
}

func (b *outbox) write(name string, data []byte) error {
	at, there := slices.BinarySearch(b.names, name)
	if there {
		return nil
	}
	path := filepath.Join(b.dir, name)
	partial := strings.TrimSuffix(path, mailFile) + partialFile
	if err := os.WriteFile(partial, data, 0o600); err != nil {
		return err
	}
	if err := os.Rename(partial, path); err != nil {
		return err
	}
	b.names = slices.Insert(b.names, at, name)
	return b.trim()
}

// trim removes the oldest files that are too many. One that somebody else has removed is gone too.
func (b *outbox) trim() error {
	for len(b.names) > b.most {
		if err := os.Remove(filepath.Join(b.dir, b.names[0])); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		b.names = b.names[1:]
	}
	return nil
}
