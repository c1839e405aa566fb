package embedded

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxFrame bounds one request in bytes. kfake allocates what a frame's size says before it has read
// it; 32 MiB is a full batch for each of 32 partitions.
const maxFrame = 32 << 20

// minFrame is the least that a request can be: API key, version and correlation id.
const minFrame = 8

var errNotKafka = errors.New("embedded: not a Kafka request")

// guardedListener lets only Kafka requests through to kfake, which panics on an API key it does not
// know and allocates a gigabyte for the bytes "GET /". It also lets nobody in before
// the broker is complete, and knows when the last connection has gone.
type guardedListener struct {
	net.Listener
	addr   net.Addr // told to clients
	log    *slog.Logger
	opened chan struct{}
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	conns map[*guardedConn]struct{}
	gone  sync.WaitGroup
}

func listen(ctx context.Context, o Options) (*guardedListener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("embedded: listen on %s: %w", o.Addr, err)
	}
	g := &guardedListener{
		Listener: l, addr: l.Addr(), log: o.Log,
		opened: make(chan struct{}), closed: make(chan struct{}),
		conns: make(map[*guardedConn]struct{}),
	}
	if o.Advertise != "" {
		if _, _, err := net.SplitHostPort(o.Advertise); err != nil {
			_ = l.Close()
			return nil, fmt.Errorf("embedded: advertise %q: %w", o.Advertise, err)
		}
		g.addr = advertised(o.Advertise)
	}
	return g, nil
}

// advertised is an address that need not be one of this machine's.
type advertised string

func (advertised) Network() string  { return "tcp" }
func (a advertised) String() string { return string(a) }

// Addr is what kfake tells clients to connect to.
func (l *guardedListener) Addr() net.Addr { return l.addr }

// open lets clients in.
func (l *guardedListener) open() { close(l.opened) }

// Accept waits for open, then for a client.
func (l *guardedListener) Accept() (net.Conn, error) {
	select {
	case <-l.opened:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g := &guardedConn{Conn: c, in: bufio.NewReaderSize(c, readBuffer), listener: l}
		if l.add(g) {
			return g, nil
		}
		_ = c.Close()
	}
}

// readBuffer takes a whole request of the small kinds (fetch, heartbeat) in one read; larger ones
// pass it by.
const readBuffer = 2 << 10

func (l *guardedListener) add(c *guardedConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns == nil {
		return false
	}
	l.conns[c] = struct{}{}
	l.gone.Add(1)
	return true
}

// Close stops listening and cuts all connections.
func (l *guardedListener) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		err = l.Listener.Close()
		l.mu.Lock()
		conns := l.conns
		l.conns = nil
		l.mu.Unlock()
		for c := range conns {
			_ = c.Conn.Close() // kfake reads the error and closes its side
		}
	})
	return err
}

// wait returns when kfake has let go of every connection.
func (l *guardedListener) wait() { l.gone.Wait() }

// guardedConn checks the head of each frame before kfake sees it.
type guardedConn struct {
	net.Conn
	in       *bufio.Reader
	left     int // bytes of the present frame not yet read
	listener *guardedListener
	once     sync.Once
}

// Read reads at most to the end of a frame.
func (c *guardedConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		if err := c.nextFrame(); err != nil {
			return 0, err
		}
	}
	n, err := c.in.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func (c *guardedConn) nextFrame() error {
	head, err := c.in.Peek(6)
	if err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head)
	key := int16(binary.BigEndian.Uint16(head[4:]))
	if size < minFrame || size > maxFrame || kmsg.RequestForKey(key) == nil {
		c.listener.log.Warn("embedded broker: cut off a client that does not speak Kafka",
			"client", c.RemoteAddr().String(), "frame_bytes", size, "api_key", key)
		return errNotKafka
	}
	c.left = int(4 + size)
	return nil
}

// Close closes the connection; kfake does so from both of its ends.
func (c *guardedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.listener.mu.Lock()
		delete(c.listener.conns, c)
		c.listener.mu.Unlock()
		c.listener.gone.Done()
	})
	return err
}
