package embedded

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
)

// childDir names the directory in which a child process runs a broker until it is killed.
const childDir = "ORDERLANE_TEST_EMBEDDED_CHILD"

func child(dir string) {
	b, err := Start(context.Background(), Options{Dir: dir, Topics: oneTopic})
	if err != nil {
		fmt.Fprintln(os.Stdout, "error:", err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stdout, b.Addr())
	select {} // until the kill
}

// startChild runs a broker in a process of its own, and returns its address and what kills it.
func startChild(t *testing.T, dir string) (addr string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error") {
		t.Fatal("the child did not start: ", line, err)
	}
	return strings.TrimSpace(line), kill
}

func TestKillingTheProcessUnderLoadLosesAndDoublesNothing(t *testing.T) {
	dir := t.TempDir()
	next := 0
	acked := make(map[string]bool)
	for range 3 {
		addr, kill := startChild(t, dir)
		c, stop := client(t, addr)
		busy, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for n := 0; ; n++ {
				value := fmt.Sprintf("%06d", next)
				next++
				resp, err := c.Produce(context.Background(), &kafkago.ProduceRequest{
					Topic: "things", Partition: 0, RequiredAcks: kafkago.RequireAll,
					Records: kafkago.NewRecordReader(kafkago.Record{Value: kafkago.NewBytes([]byte(value))}),
				})
				if err != nil || resp.Error != nil {
					return
				}
				acked[value] = true
				if n == 300 {
					close(busy)
				}
			}
		}()
		select {
		case <-busy:
		case <-done:
			t.Fatal("it ended before the kill")
		}
		kill()
		<-done
		stop()
	}
	b := start(t, Options{Dir: dir, Topics: oneTopic})
	c, _ := client(t, b.Addr())
	got := values(t, c, "things", 0, 0)
	for i, v := range got {
		if i > 0 && v <= got[i-1] {
			t.Errorf("%s comes after %s", v, got[i-1])
		}
		delete(acked, v)
	}
	if len(acked) != 0 {
		t.Errorf("%d acknowledged records are gone", len(acked))
	}
	if len(got) > next {
		t.Errorf("%d records are there of %d", len(got), next)
	}
}
