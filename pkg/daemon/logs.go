package daemon

import (
	"io"
	"log/slog"
	"os"

	"github.com/mattn/go-isatty"
)

// NewLogger returns a logger that writes to w as the settings say: text for people at a
// terminal, a JSON object a line for machines. It is safe for concurrent use.
func NewLogger(w io.Writer, s LogSettings) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.Level)); err != nil {
		level = slog.LevelInfo // kong allows no other name; "" is a struct made by hand
	}
	opts := &slog.HandlerOptions{Level: level}
	if s.Format == "text" || (s.Format != "json" && terminal(w)) {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
