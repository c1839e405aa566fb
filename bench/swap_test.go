package main

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
)

func TestAnAnswerThatIsOlderThanAnEarlierOneIsWrong(t *testing.T) {
	order := func(version int) []byte {
		return fmt.Appendf(nil, `{"id":"x","version":%d,"payment":{"version":99},"shipments":[{"version":1}]}`, version)
	}
	for _, c := range []struct {
		name   string
		order  int // 0 is in the data set, 1 is yet to come
		seen   int64
		least  int64 // that was seen before the request was sent
		status int
		body   []byte
		wrong  int64
		after  int64
		fails  bool
	}{
		{"as new", 0, 3, 3, http.StatusOK, order(3), 0, 3, false},
		{"newer", 0, 3, 3, http.StatusOK, order(4), 0, 4, false},
		{"older", 0, 3, 3, http.StatusOK, order(2), 1, 3, false},
		{"older than one that came while it was on its way", 0, 5, 3, http.StatusOK, order(4), 0, 5, false},
		{"gone", 0, 3, 3, http.StatusNotFound, nil, 1, 3, false},
		{"never there", 0, 0, 0, http.StatusNotFound, nil, 1, 0, false},
		{"yet to come", 1, 0, 0, http.StatusNotFound, nil, 0, 0, false},
		{"come and gone", 1, 1, 1, http.StatusNotFound, nil, 1, 1, false},
		{"an error", 0, 3, 3, http.StatusServiceUnavailable, nil, 0, 3, true},
		{"no order", 0, 3, 3, http.StatusOK, []byte("{}"), 0, 3, true},
	} {
		w := &watch{
			st:       &standing{system: &system{bench: &bench{progress: io.Discard}}, ids: []string{"x"}},
			versions: make([]atomic.Int64, 2),
		}
		w.versions[c.order].Store(c.seen)
		err := w.check(c.order, c.least, c.status, c.body)
		if (err != nil) != c.fails || w.wrong.Load() != c.wrong || w.versions[c.order].Load() != c.after {
			t.Errorf("%s: %v, %d wrong, version %d", c.name, err, w.wrong.Load(), w.versions[c.order].Load())
		}
	}
}
