package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// kfake compacts a partition by deleting its files and writing them anew: kill -9 in between
// takes the partition with it. So compaction runs once the clients are cut off, when
// nothing more is acknowledged, and with the old files kept beside it by hard links.
// A start that finds them puts them back.
const (
	backupDir  = "compacting"      // complete, and to be put back
	backupPart = "compacting.part" // not complete, or no longer needed

	// sizeFile holds how many bytes the last compaction has left.
	sizeFile = "compacted.size"
	// smallEnough is what may be compacted at each Close: some 50 ms. Above that it waits until as
	// much again has been written, so that stopping stays quick and each byte is copied about once.
	smallEnough = 4 << 20
)

// compact drops what later records of the same key have replaced, in topics that ask for it,
// if there is enough of it to be worth while. The last batch of a partition always stays.
func (b *Broker) compact() error {
	parts, err := compacted(b.dir)
	if err != nil || len(parts) == 0 {
		return err
	}
	size, err := sizeOfPartitions(b.dir, parts)
	if err != nil || (size > smallEnough && size < 2*lastSize(b.dir)) {
		return err
	}
	if err := b.compactNow(parts); err != nil {
		return err
	}
	size, err = sizeOfPartitions(b.dir, parts)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.dir, sizeFile), strconv.AppendInt(nil, size, 10), 0o640); err != nil {
		return fmt.Errorf("embedded: remember the size: %w", err)
	}
	return nil
}

func lastSize(dir string) int64 {
	raw, err := os.ReadFile(filepath.Join(dir, sizeFile))
	if err != nil {
		return 0
	}
	return max(0, atoi(string(raw)))
}

func sizeOfPartitions(dir string, parts []string) (int64, error) {
	var sum int64
	for _, p := range parts {
		n, err := sizeOf(filepath.Join(dir, "partitions", p))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a partition that holds nothing has no directory
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func (b *Broker) compactNow(parts []string) error {
	part := filepath.Join(b.dir, backupPart)
	for _, p := range parts {
		err := linkAll(filepath.Join(b.dir, "partitions", p), filepath.Join(part, p))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(fmt.Errorf("embedded: keep %s while it is compacted: %w", p, err), os.RemoveAll(part))
		}
	}
	if err := os.Rename(part, filepath.Join(b.dir, backupDir)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // all of them are empty
		}
		return fmt.Errorf("embedded: keep partitions while they are compacted: %w", err)
	}
	b.cluster.Compact()
	return dropBackup(b.dir)
}

// restoreCompaction puts back what a compaction that did not finish had kept. It may itself be
// cut short and run again.
func restoreCompaction(dir string) error {
	if err := os.RemoveAll(filepath.Join(dir, backupPart)); err != nil {
		return fmt.Errorf("embedded: clear away: %w", err)
	}
	backup := filepath.Join(dir, backupDir)
	parts, err := os.ReadDir(backup)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("embedded: put back partitions: %w", err)
	}
	for _, p := range parts {
		live := filepath.Join(dir, "partitions", p.Name())
		if err := errors.Join(os.RemoveAll(live), linkAll(filepath.Join(backup, p.Name()), live)); err != nil {
			return fmt.Errorf("embedded: put back partition %s: %w", p.Name(), err)
		}
	}
	return dropBackup(dir)
}

func dropBackup(dir string) error {
	part := filepath.Join(dir, backupPart)
	if err := errors.Join(os.Rename(filepath.Join(dir, backupDir), part), os.RemoveAll(part)); err != nil {
		return fmt.Errorf("embedded: clear away: %w", err)
	}
	return nil
}

// compacted names the directories of the partitions that are to be compacted.
func compacted(dir string) ([]string, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "topics.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("embedded: read topics: %w", err)
	}
	var stored struct {
		Topics []struct {
			Name       string            `json:"name"`
			Partitions int               `json:"partitions"`
			Configs    map[string]string `json:"configs"`
		} `json:"topics"`
	}
	if err := json.Unmarshal(raw, &stored); err != nil {
		return nil, fmt.Errorf("embedded: read topics: %w", err)
	}
	var parts []string
	for _, t := range stored.Topics {
		if !strings.Contains(t.Configs["cleanup.policy"], "compact") {
			continue
		}
		for i := range t.Partitions {
			parts = append(parts, fmt.Sprintf("%s-%d", url.PathEscape(t.Name), i))
		}
	}
	return parts, nil
}

func linkAll(from, to string) error {
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o750); err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Link(filepath.Join(from, f.Name()), filepath.Join(to, f.Name())); err != nil {
			return err
		}
	}
	return nil
}
