package pglog_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/es/pglog"
)

// order is a batch of one command with one event of size bytes on a new stream.
func order(seen int64, stream string, size int) es.Batch {
	command := uuid.NewSHA1(uuid.NameSpaceOID, []byte(stream))
	return es.Batch{
		Seen: seen, Streams: []es.StreamVersion{{Stream: stream}},
		Events: []es.Record{{
			Stream: stream, Version: 1, Type: "placed", Meta: es.Metadata{Command: command},
			Data: fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("x", size)),
		}},
		Outcomes: []es.Outcome{{Command: command, Stream: stream, Status: es.StatusSucceeded, Version: 1}},
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestNotificationsAloneWakeAWaitOnAnotherInstance(t *testing.T) {
	address := realparts.Postgres(t)
	ctx := within(t)
	one := open(t, address, "ordering")
	other, err := pglog.Open(ctx, address, "ordering", pglog.Options{Poll: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	for n := range int64(5) {
		woken := make(chan error, 1)
		go func() { woken <- other.Wait(ctx, n) }()
		if _, err := one.Append(ctx, order(n, fmt.Sprintf("order-%d", n), 10)); err != nil {
			t.Fatal(err)
		}
		if err := <-woken; err != nil {
			t.Fatal(err)
		}
	}
}

func TestALogComesBackWithItsServer(t *testing.T) {
	server := realparts.StartPostgres(t)
	ctx := within(t)
	log, err := pglog.Open(ctx, server.URL(), "ordering", pglog.Options{Poll: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	if _, err := log.Append(ctx, order(0, "order-1", 10)); err != nil {
		t.Fatal(err)
	}
	woken := make(chan error, 1)
	go func() { woken <- log.Wait(ctx, 1) }()
	server.Kill()
	if _, err := log.Append(ctx, order(1, "order-2", 10)); err == nil {
		t.Fatal("an append without a server: no error")
	}
	if _, err := log.Head(ctx); err == nil {
		t.Fatal("a read without a server: no error")
	}
	server.Start()
	// The call that meets a connection of before may fail; from then on all is well.
	_, _ = log.Append(ctx, order(1, "order-2", 10))
	if head, err := log.Append(ctx, order(1, "order-3", 10)); err != nil || head.Position < 2 {
		t.Fatalf("append after the server came back: %+v, %v", head, err)
	}
	if err := <-woken; err != nil {
		t.Fatalf("wait over the restart: %v", err)
	}
}

func TestAClientThatFreezesInTheMiddleOfABatchHoldsNoLock(t *testing.T) {
	address := realparts.Postgres(t)
	ctx := within(t)
	p := newProxy(t, address)
	frozen := open(t, p.url, "ordering")
	if _, err := frozen.Append(ctx, order(0, "order-1", 10)); err != nil { // connects and prepares
		t.Fatal(err)
	}
	p.holdAfter(200_000)
	appended := make(chan error, 1)
	go func() {
		_, err := frozen.Append(ctx, order(1, "order-2", 400_000))
		appended <- err
	}()
	select {
	case <-p.held:
	case <-ctx.Done():
		t.Fatal("the batch did not reach the proxy")
	}
	if _, err := open(t, address, "ordering").Append(ctx, order(1, "order-3", 10)); err != nil {
		t.Fatalf("append of another instance meanwhile: %v", err)
	}
	p.release()
	if err := <-appended; err != nil { // its stream is its own: nothing conflicts
		t.Fatalf("append of the instance that was frozen: %v", err)
	}
	if head, err := frozen.Head(ctx); err != nil || head.Position != 3 {
		t.Fatalf("head: %+v, %v; want 3", head, err)
	}
}

func TestAnAnswerThatIsLostLeavesTheOutcomeToBeRead(t *testing.T) {
	ctx := within(t)
	p := newProxy(t, realparts.Postgres(t))
	log := open(t, p.url, "ordering")
	if _, err := log.Append(ctx, order(0, "order-1", 10)); err != nil {
		t.Fatal(err)
	}
	b := order(1, "order-2", 3000)
	p.loseAnswer(2000)
	_, err := log.Append(ctx, b)
	if conflict := (*es.ConflictError)(nil); err == nil || errors.As(err, &conflict) {
		t.Fatalf("append whose answer is lost: %v; want an error that is no conflict", err)
	}
	id := b.Outcomes[0].Command
	found, err := log.Outcomes(ctx, []uuid.UUID{id})
	if err != nil || found[id].Position != 2 {
		t.Fatalf("outcome: %+v, %v; want position 2", found[id], err)
	}
	_, err = log.Append(ctx, b)
	if conflict := (*es.ConflictError)(nil); !errors.As(err, &conflict) || len(conflict.Commands) != 1 || len(conflict.Streams) != 1 {
		t.Fatalf("the same append again: %v; want a conflict that names stream and command", err)
	}
}

func TestAnAppendToAFrozenServerEndsWithItsContext(t *testing.T) {
	server := realparts.StartPostgres(t)
	log := open(t, server.URL(), "ordering")
	if _, err := log.Append(within(t), order(0, "order-1", 10)); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := log.Append(ctx, order(1, "order-2", 10)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want %v", err, context.DeadlineExceeded)
	}
	server.Resume()
	if head, err := log.Append(within(t), order(1, "order-3", 10)); err != nil || head.Position < 2 {
		t.Fatalf("append after the freeze: %+v, %v", head, err)
	}
}

// proxy stands between a log and its server, and does what networks and frozen processes do.
type proxy struct {
	url  string
	held chan struct{} // closed when bytes are held back

	mu     sync.Mutex
	budget int           // bytes that still go to the server; -1 for all
	freed  chan struct{} // closed by release
	lose   int           // the answer to a request of so many bytes is lost; 0 for none
	conns  []net.Conn
}

func newProxy(t *testing.T, address string) *proxy {
	t.Helper()
	to, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{held: make(chan struct{}), freed: make(chan struct{}), budget: -1}
	from := *to
	from.Host = l.Addr().String()
	p.url = from.String()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to.Host)
			if err != nil {
				_ = client.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, server)
			p.mu.Unlock()
			cut := make(chan struct{}, 1)
			wg.Go(func() { p.pass(server, client, func(n int) bool { return p.request(n, cut) }) })
			wg.Go(func() { p.pass(client, server, func(int) bool { return len(cut) == 0 }) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		wg.Wait()
	})
	return p
}

// pass copies from one side to the other what allow lets through.
func (p *proxy) pass(to, from net.Conn, allow func(n int) bool) {
	defer func() { _ = to.Close() }()
	defer func() { _ = from.Close() }()
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		if n > 0 && !allow(n) {
			return
		}
		if _, err2 := to.Write(b[:n]); err != nil || err2 != nil {
			return
		}
	}
}

func (p *proxy) request(n int, cut chan<- struct{}) bool {
	p.mu.Lock()
	if p.lose > 0 && n >= p.lose {
		p.lose = 0
		cut <- struct{}{}
	}
	if p.budget < 0 {
		p.mu.Unlock()
		return true
	}
	p.budget -= n
	hold := p.budget < 0
	if hold {
		close(p.held) // once: from here on the budget is below zero, and all passes after release
	}
	p.mu.Unlock()
	if hold {
		<-p.freed
	}
	return true
}

// holdAfter holds back what is sent to the server after so many bytes, until release.
func (p *proxy) holdAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget = n
}

func (p *proxy) release() { close(p.freed) }

// loseAnswer closes the connection that sends a request of at least so many bytes, at most a
// read of the proxy's, when the server has answered.
func (p *proxy) loseAnswer(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = bytes
}
