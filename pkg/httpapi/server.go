package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Limits of a server's connections.
const (
	readTimeout    = 15 * time.Second // for a request's head and body; net/http lifts it when the body has been read
	writeTimeout   = 2 * time.Minute  // from the head of a request to the end of its answer; above MaxWait
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 16 << 10
)

// ServerOptions are what a server is made of.
type ServerOptions struct {
	Addr    string // host:port; port 0 takes a free one
	Handler http.Handler
	Log     *slog.Logger // slog.DiscardHandler if nil
	// OnShutdown is called when a shutdown begins, while requests are still served: API.Drain.
	OnShutdown func()
}

// Server serves HTTP on one address from Listen until Shutdown.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// Listen takes the address, so that nobody else has it, and serves nothing yet: clients that
// connect wait. If the address cannot be had, the error is one line that names it.
func Listen(ctx context.Context, o ServerOptions) (*Server, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Addr)
	if err != nil {
		var op *net.OpError
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return nil, fmt.Errorf("cannot listen on %s: another process has this address; stop it, or choose another port", o.Addr)
		case errors.Is(err, syscall.EACCES):
			return nil, fmt.Errorf("cannot listen on %s: this user may not; choose a port above 1023", o.Addr)
		case errors.As(err, &op):
			err = op.Err
		}
		return nil, fmt.Errorf("cannot listen on %s: %w", o.Addr, err)
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{listener: l, http: &http.Server{
		Handler:        o.Handler,
		ReadTimeout:    readTimeout,
		WriteTimeout:   writeTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what clients do wrong
	}}
	if o.OnShutdown != nil {
		s.http.RegisterOnShutdown(o.OnShutdown)
	}
	return s, nil
}

// Addr is the address in use, with its port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Serve answers requests until Shutdown, and returns nil then.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving HTTP on %s: %w", s.Addr(), err)
	}
	return nil
}

// Shutdown takes no more requests and waits for those under way, until ctx ends: then it cuts
// their connections and says so. It also gives the address back if Serve was never called.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if closeErr := s.listener.Close(); closeErr != nil && !errors.Is(closeErr, net.ErrClosed) {
		err = errors.Join(err, closeErr)
	}
	if err == nil {
		return nil
	}
	cut := fmt.Errorf("requests on %s were cut off at the end of the time to stop: %w", s.Addr(), err)
	if closeErr := s.http.Close(); closeErr != nil && !errors.Is(closeErr, net.ErrClosed) {
		cut = errors.Join(cut, closeErr)
	}
	return cut
}

// Run serves until ctx ends, then shuts down within grace. It returns nil if nothing was cut.
func (s *Server) Run(ctx context.Context, grace time.Duration) error {
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	select {
	case err := <-served:
		return errors.Join(err, s.Shutdown(ctx))
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	return errors.Join(s.Shutdown(stop), <-served)
}
