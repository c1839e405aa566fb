package embedded

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderlane/orderlane/pkg/kafka"
)

var latest = []kafka.TopicSpec{{Name: "latest", Partitions: 2, Config: map[string]string{"cleanup.policy": "compact"}}}

func TestClosingDropsWhatALaterRecordOfTheKeyReplaced(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Options{Dir: dir, Topics: append(latest, oneTopic...)})
	c, stop := client(t, b.Addr())
	for _, v := range []string{"1", "2", "3"} {
		produce(t, c, "latest", 0, v)
		produce(t, c, "things", 0, v)
	}
	stop()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = start(t, Options{Dir: dir})
	c, _ = client(t, b.Addr())
	if got := strings.Join(values(t, c, "latest", 0, 1), ""); got != "23" { // the last batch stands apart
		t.Errorf("the compacted topic holds %q", got)
	}
	if got := strings.Join(values(t, c, "things", 0, 0), ""); got != "123" {
		t.Errorf("the other topic holds %q", got)
	}
	if _, next := offsets(t, c, "latest", 0); next != 3 {
		t.Errorf("the next offset is %d", next)
	}
}

func TestACompactionThatWasCutShortIsUndone(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Options{Dir: dir, Topics: latest})
	c, stop := client(t, b.Addr())
	produce(t, c, "latest", 0, "1")
	produce(t, c, "latest", 0, "2")
	stop()
	part := filepath.Join(dir, "partitions", "latest-0")
	if err := linkAll(part, filepath.Join(dir, backupDir, "latest-0")); err != nil {
		t.Fatal(err)
	}
	crashed := copyDir(t, dir)
	if err := os.Remove(filepath.Join(crashed, "partitions", "latest-0", "0.dat")); err != nil { // as kfake does first
		t.Fatal(err)
	}
	b = start(t, Options{Dir: crashed})
	c, _ = client(t, b.Addr())
	if got := strings.Join(values(t, c, "latest", 0, 0), ""); got != "12" {
		t.Errorf("read %q", got)
	}
	if _, err := os.Stat(filepath.Join(crashed, backupDir)); err == nil {
		t.Error("what was put back is still there")
	}
}

func TestALargeTopicIsCompactedAgainOnlyOnceItHasDoubled(t *testing.T) {
	dir := t.TempDir()
	big := strings.Repeat("x", 1<<19)
	write := func(n int) (left int64) {
		b := start(t, Options{Dir: dir, Topics: latest})
		c, stop := client(t, b.Addr())
		for range n {
			produce(t, c, "latest", 0, big)
		}
		stop()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		size, err := sizeOf(filepath.Join(dir, "partitions"))
		if err != nil {
			t.Fatal(err)
		}
		return size
	}
	if left := write(4); left > 3<<19 {
		t.Errorf("a small topic was left at %d bytes", left)
	}
	if err := os.WriteFile(filepath.Join(dir, sizeFile), []byte("5000000"), 0o600); err != nil {
		t.Fatal(err)
	}
	if left := write(12); left < 12<<19 {
		t.Errorf("it was compacted to %d bytes before it had doubled", left)
	}
	if left := write(12); left > 3<<19 {
		t.Errorf("it was left at %d bytes although it had doubled", left)
	}
}
