// Package daemon is what every process of the fleet shares around its services: settings,
// logs, metrics, health, the operator listener, and the ordered start and stop of what the
// main program adds. It knows of no particular service.
//
// A main program embeds Settings in its kong command, calls Serve in the command's Run,
// adds components in the build function, and passes the command line to Execute:
//
//	func (c *serveCommand) Run() error {
//		return daemon.Serve(context.Background(), &c.Settings, os.Stderr, func(env *daemon.Env, sup *daemon.Supervisor) error {
//			sup.Add(daemon.StageResources, ...)
//			sup.Add(daemon.StageHTTP, daemon.NewServer("http", env.Settings.Listen, api, env.Log).Component())
//			return nil
//		})
//	}
package daemon

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// Env is what the process offers to its parts. Everything in it is safe for concurrent use.
type Env struct {
	Settings *Settings
	Log      *slog.Logger
	Metrics  *Metrics
	Health   *Health
	Admin    *http.ServeMux // for patterns below /admin/, on the operator listener
	Clock    func() time.Time
	NewID    func() uuid.UUID // version 7: ordered by time

	// Stopping is closed when the process begins to stop. A handler that holds a request
	// open, waiting for an outcome or following a stream, answers then.
	Stopping <-chan struct{}
}

// Logger returns the logger of a service or another part; each line names it.
func (e *Env) Logger(service string) *slog.Logger { return e.Log.With("service", service) }

// Serve runs a process until SIGINT or SIGTERM, or until a component fails for good, whose
// error it returns. It starts the operator listener and whatever build adds; build itself
// only puts things together, since signals are not heeded and no probe is answered before
// it returns. Logs go to w.
func Serve(ctx context.Context, s *Settings, w io.Writer, build func(*Env, *Supervisor) error) error {
	ctx, release := Signals(ctx)
	defer release()

	env := NewEnv(s, NewLogger(w, s.Log))
	sup := NewSupervisor(env.Log, env.Health, s.DrainDeadline)
	slog.SetDefault(env.Log) // what is given no logger writes the same lines
	operator := operatorHandler(env.Health, env.Metrics.Registry, env.Admin, s.OperatorRemote)
	sup.Add(StageOperator, NewServer("operator", s.OperatorListen, operator, env.Log).Component())
	if err := build(env, sup); err != nil {
		return err
	}
	return sup.Run(ctx)
}

// NewEnv returns the environment of a process that logs to log. Serve makes one; a program
// that only puts things together, to describe them, makes its own.
func NewEnv(s *Settings, log *slog.Logger) *Env {
	health := NewHealth(log, time.Now)
	return &Env{
		Settings: s,
		Log:      log,
		Metrics:  NewMetrics(),
		Health:   health,
		Admin:    newAdmin(),
		Clock:    time.Now,
		NewID:    newID,
		Stopping: health.stopped,
	}
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
