package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Bounds of every listener. There is none on writing an answer, since clients may wait for
// outcomes and follow streams: handlers bound themselves.
const (
	readHeaderTimeout = 5 * time.Second // a client that trickles its header
	readTimeout       = time.Minute     // a client that trickles its body
	idleTimeout       = 2 * time.Minute // longer than load balancers keep a connection
	maxHeaderBytes    = 64 << 10
)

// Server is an HTTP listener as a component: it listens at Start, serves in Run, and in the
// drain takes no more connections and lets requests finish.
type Server struct {
	name     string
	addr     string
	log      *slog.Logger
	server   *http.Server
	listener net.Listener
}

// NewServer returns a server of handler on addr (HOST:PORT; port 0 takes a free one).
func NewServer(name, addr string, handler http.Handler, log *slog.Logger) *Server {
	return &Server{name: name, addr: addr, log: log, server: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // clients' broken connections
	}}
}

// Addr is where the server listens, HOST:PORT; what was asked for until it has started.
func (s *Server) Addr() string {
	if s.listener == nil {
		return s.addr
	}
	return s.listener.Addr().String()
}

// OnStop has f called when the drain begins, on a goroutine of its own: handlers that hold
// requests open are told to answer then. Call it before the server starts.
func (s *Server) OnStop(f func()) { s.server.RegisterOnShutdown(f) }

// Component is the server's place in a supervisor.
func (s *Server) Component() Component {
	return Component{Name: s.name, Start: s.start, Run: s.run}
}

func (s *Server) start(ctx context.Context) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", s.addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", s.addr, cause(err))
	}
	s.listener = l
	s.log.Info("listening", "listener", s.name, "address", s.Addr())
	return nil
}

// cause strips net's "listen tcp ADDRESS: bind:", which says the address again.
func cause(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Err
	}
	return err
}

func (s *Server) run(ctx context.Context) error {
	// Requests end with the time to drain, not with its beginning.
	grace := Grace(ctx)
	s.server.BaseContext = func(net.Listener) context.Context { return grace }
	ended := make(chan error, 1)
	go func() { ended <- s.server.Serve(s.listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	if err := s.server.Shutdown(grace); err != nil {
		s.log.Warn("requests were cut off by the drain deadline", "listener", s.name)
		_ = s.server.Close() // its errors are those of connections that are given up
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
