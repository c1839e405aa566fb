package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
)

// lockFile is held for as long as a broker has its directory open.
const lockFile = "LOCK"

// prepare creates and locks the directory, and clears away what the last broker, or its crash,
// has left there. Closing the returned file gives the lock back; so does the end of the process.
func prepare(dir string) (*os.File, error) {
	if dir == "" {
		return nil, errors.New("embedded: no data directory given")
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("embedded: create data directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, fmt.Errorf("embedded: open data directory: %w", err)
	}
	if err := tryLock(lock); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("embedded: data directory %s is in use by another process", dir)
	}
	if err := repair(dir); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return lock, nil
}

func repair(dir string) error {
	if err := restoreCompaction(dir); err != nil {
		return err
	}
	// Remembered group members are gone with their process. kfake would wait for their sessions to
	// expire before it gives a partition to anybody.
	if err := os.Remove(filepath.Join(dir, "session_state.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("embedded: forget group members: %w", err)
	}
	// kfake skips a torn entry at the end of these, but appends after it: what comes later would
	// be lost at the next start.
	for _, name := range []string{"groups.log", "pids.log"} {
		if err := truncateTorn(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("embedded: repair %s: %w", name, err)
		}
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// truncateTorn cuts a state log of kfake after its last whole entry. An entry is its length and
// its CRC-32C, 4 bytes each, little endian, then as many bytes as the length says, at least 2.
func truncateTorn(path string) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	whole := 0
	for rest := raw; len(rest) >= 8; rest = raw[whole:] {
		n := uint64(binary.LittleEndian.Uint32(rest))
		if n < 2 || n > uint64(len(rest)-8) ||
			crc32.Checksum(rest[8:8+n], castagnoli) != binary.LittleEndian.Uint32(rest[4:]) {
			break
		}
		whole += 8 + int(n)
	}
	if whole == len(raw) {
		return nil
	}
	return os.Truncate(path, int64(whole))
}

// sizeOf adds up the sizes of all files under a directory.
func sizeOf(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		sum += info.Size()
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("embedded: read data directory: %w", err)
	}
	return sum, nil
}
