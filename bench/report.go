package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one line of the table: a measure, what it should be, and what it is.
type row struct {
	measure  string
	goal     string // empty if there is none
	measured string
	baseline string // what the measure's baseline reached in the same run; empty if there is none
	ratio    string
	met      bool
}

// report collects rows.
type report struct {
	rows  []row
	notes []string
}

func (r *report) add(rows ...row) { r.rows = append(r.rows, rows...) }

// note adds a line below the table.
func (r *report) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// print writes the table. Its error is that of the writer.
func (r *report) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join([]string{"MEASURE", "GOAL", "MEASURED", "BASELINE", "RATIO", ""}, "\t"))
	for _, r := range r.rows {
		verdict := "not met"
		switch {
		case r.goal == "":
			verdict = ""
		case r.met:
			verdict = "met"
		}
		fmt.Fprintln(t, strings.Join([]string{r.measure, dash(r.goal), r.measured, dash(r.baseline), dash(r.ratio), verdict}, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, n := range r.notes {
		fmt.Fprintln(w, n)
	}
	return nil
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// perSecond writes a rate.
func perSecond(rate float64) string { return thousands(rate) + "/s" }

// ratio writes how many times b goes into a; nothing, if one was not measured.
func ratio(a, b float64) string {
	if a == 0 || b == 0 {
		return ""
	}
	return fmt.Sprintf("%.1fx", a/b)
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func mebibytes(bytes int64) string { return fmt.Sprintf("%d MiB", bytes>>20) }

// thousands writes a number with its thousands set apart.
func thousands(x float64) string {
	s := fmt.Sprintf("%.0f", x)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// rate is n per second of d.
func rate(n int64, d time.Duration) float64 { return float64(n) / d.Seconds() }
