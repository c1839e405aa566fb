//go:build unix

// Command realparts runs another command with a real Apache Kafka and a real
// PostgreSQL beside it, one of each for all test binaries:
//
//	realparts -- go test ./...
//
// It sets ORDERLANE_TEST_KAFKA and ORDERLANE_TEST_POSTGRES for the command,
// unless they are set already, stops the servers at its end, and exits with its
// exit code. What is not installed is said aloud, before and after, since go test
// keeps quiet about skipped tests; with ORDERLANE_TEST_REAL=required it is an
// error instead.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/orderlane/orderlane/e2e/realparts"
	"github.com/orderlane/orderlane/e2e/realparts/server"
)

func main() {
	// The servers die with the thread that started them: make it the main one.
	runtime.LockOSThread()
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: realparts -- command [argument...]")
		os.Exit(2)
	}
	code, err := run(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "realparts:", err)
	}
	os.Exit(code)
}

// run returns the exit code of the command, or 1 when it could not be run.
func run(args []string) (code int, err error) {
	// A signal is the command's to act on; the servers are stopped once it ended.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)

	kafka, err := provide(realparts.EnvKafka, "Apache Kafka", func() (io.Closer, string, error) {
		k, err := server.StartKafka()
		if err != nil {
			return nil, "", err
		}
		return k, strings.Join(k.Brokers(), ","), nil
	})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, kafka.Close()) }()

	postgres, err := provide(realparts.EnvPostgres, "PostgreSQL", func() (io.Closer, string, error) {
		p, err := server.StartPostgres()
		if err != nil {
			return nil, "", err
		}
		return p, p.URL(), nil
	})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, postgres.Close()) }()
	return command(args, signals)
}

// nothing is what there is to close of a server that is not ours.
type nothing struct{}

func (nothing) Close() error { return nil }

// missing is a server that could not be had; closing it says so once more.
type missing string

func (m missing) Close() error {
	fmt.Fprintln(os.Stderr, m)
	return nil
}

// provide sets the environment variable to the address of a server.
func provide(env, what string, start func() (io.Closer, string, error)) (io.Closer, error) {
	if address := os.Getenv(env); address != "" {
		fmt.Fprintf(os.Stderr, "realparts: %s at %s, as %s says\n", what, address, env)
		return nothing{}, nil
	}
	closer, address, err := start()
	switch {
	case err == nil:
		fmt.Fprintf(os.Stderr, "realparts: %s at %s\n", what, address)
		return closer, os.Setenv(env, address)
	case server.IsMissing(err) && os.Getenv(realparts.EnvReal) != "required":
		loud := missing(fmt.Sprintf("realparts: NOT TESTED on a real %s: %v", what, err))
		fmt.Fprintln(os.Stderr, loud)
		return loud, os.Setenv(env, err.Error())
	case server.IsMissing(err):
		return nil, fmt.Errorf("%s=required, and there is no %s: %w", realparts.EnvReal, what, err)
	default:
		return nil, err
	}
}

func command(args []string, signals <-chan os.Signal) (int, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case sig := <-signals:
			// Ctrl-C reached the command as well; a signal to us alone did not.
			if sig != syscall.SIGINT {
				_ = cmd.Process.Signal(sig)
			}
		case err := <-done:
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				return max(exit.ExitCode(), 1), nil // -1: ended by a signal
			}
			return 0, err
		}
	}
}
