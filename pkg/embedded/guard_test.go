package embedded

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/orderlane/orderlane/pkg/kafka"
)

func deleteRecords(t *testing.T, addr, topic string, partition int32, before int64) {
	t.Helper()
	a, err := kafka.NewAdmin(kafka.Config{Brokers: []string{addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.DeleteRecords(t.Context(), kafka.Partition{Topic: topic, ID: partition}, before); err != nil {
		t.Fatal(err)
	}
}

// send writes bytes to the port and waits until the broker has hung up.
func send(t *testing.T, addr string, raw []byte) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write(raw); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil && isTimeout(err) {
		t.Fatal("the broker did not hang up")
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func frame(size uint32, key int16, rest int) []byte {
	b := binary.BigEndian.AppendUint32(nil, size)
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	return append(b, make([]byte, rest)...)
}

func TestGarbageOnThePortStopsNobodyElse(t *testing.T) {
	b := start(t, Options{Dir: t.TempDir(), Topics: oneTopic})
	c, _ := client(t, b.Addr())
	produce(t, c, "things", 0, "before")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for what, raw := range map[string][]byte{
		"14 bytes with an unknown API key": frame(10, 30000, 8),
		"a negative API key":               frame(10, -2, 8),
		"a size of zero":                   frame(0, 3, 8),
		"a size of a gigabyte":             frame(1<<30, 0, 8),
		"a known key and a garbage body":   append(frame(10, 0, 2), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"text":                             []byte("hello, is this a mail server?\r\n"),
	} {
		t.Log(what)
		send(t, b.Addr(), raw)
	}
	hc := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	if resp, err := hc.Get("http://" + b.Addr() + "/"); err == nil {
		_ = resp.Body.Close()
		t.Error("an HTTP request got an answer")
	}
	runtime.ReadMemStats(&after)
	if grew := after.TotalAlloc - before.TotalAlloc; grew > 64<<20 {
		t.Errorf("%d MiB were allocated for it", grew>>20)
	}
	produce(t, c, "things", 0, "after")
	if got := values(t, c, "things", 0, 0); len(got) != 2 {
		t.Errorf("read %q", got)
	}
}

func TestAFrameThatComesInPiecesIsServed(t *testing.T) {
	b := start(t, Options{Dir: t.TempDir(), Topics: oneTopic})
	c, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	// ApiVersions v0, correlation 7, no client id, twice on one connection.
	raw := append(frame(10, 18, 2), 0, 0, 0, 7, 0xff, 0xff)
	for range 2 {
		for _, one := range raw {
			if _, err := c.Write([]byte{one}); err != nil {
				t.Fatal(err)
			}
		}
		head := make([]byte, 8)
		if _, err := io.ReadFull(c, head); err != nil {
			t.Fatal(err)
		}
		if binary.BigEndian.Uint32(head[4:]) != 7 {
			t.Fatalf("answered %x", head)
		}
		if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head))-4); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCloseDoesNotWaitForIdleClients(t *testing.T) {
	b := start(t, Options{Dir: t.TempDir(), Topics: oneTopic})
	c, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	closed := make(chan error, 1)
	go func() { closed <- b.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it waits")
	}
}
