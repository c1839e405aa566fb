package daemon

import (
	"errors"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// Exit codes of every command. A second signal during a stop exits with 128 and the
// signal's number: 130 for SIGINT, 143 for SIGTERM.
const (
	ExitOK     = 0
	ExitFailed = 1 // something the command needs failed for good
	ExitUsage  = 2 // the command line, a setting or a file of settings is wrong
)

// UsageError is an error that whoever typed the command can mend; it exits with ExitUsage.
type UsageError struct{ Err error }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error { return &UsageError{Err: fmt.Errorf(format, args...)} }

func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *UsageError) Unwrap() error { return e.Err }

// Execute parses the command line, runs the command that it names with binds as kong's
// bindings, and returns the process's exit code. An error is one line on the parser's
// standard error.
func Execute(parser *kong.Kong, args []string, binds ...any) int {
	ctx, err := parser.Parse(args)
	if err != nil {
		err = &UsageError{Err: err}
	} else {
		err = ctx.Run(binds...)
	}
	if err == nil {
		return ExitOK
	}
	fmt.Fprintf(parser.Stderr, "%s: %s\n", parser.Model.Name, oneLine(err))
	var usage *UsageError
	if errors.As(err, &usage) {
		return ExitUsage
	}
	return ExitFailed
}

func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
