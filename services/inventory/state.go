package inventory

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// storedStock is a stock as its state row has it, with a text for each line: a state with
// thousands of lines is stored often, so it is small, and written without reflection.
//
//	reserved   <order> <line> <expires> <parts>
//	allocated  <order> <line> <parts> and +<shipment> for each that took a part already
//	waiting    <order> <line> <quantity>
//	gone       <order> <line> <expired quantity> <when>
//	done       <order> <line>
//	back       <order> <line> <reference>
//
// A part is <index of the location>:<quantity>, times are seconds since 1970. The order of
// reserved is that of a heap.
type storedStock struct {
	Levels    []Level   `json:"levels,omitzero"`
	Safety    int64     `json:"safety,omitzero"`
	Woken     time.Time `json:"woken,omitzero"`
	Reserved  []string  `json:"reserved,omitzero"`
	Allocated []string  `json:"allocated,omitzero"`
	Waiting   []string  `json:"waiting,omitzero"`
	Gone      []string  `json:"gone,omitzero"`
	Done      []string  `json:"done,omitzero"`
	Back      []string  `json:"back,omitzero"`
}

// A line of the state takes about so many bytes.
const lineRoom = 64

// MarshalJSON returns the stock's stored form.
func (s *Stock) MarshalJSON() ([]byte, error) {
	head, err := json.Marshal(storedStock{Levels: s.shelf.levels, Safety: s.shelf.safety, Woken: s.woken})
	if err != nil {
		return nil, fmt.Errorf("inventory: encode the levels: %w", err)
	}
	known := len(s.lines) + len(s.gone.order) + len(s.done.order) + len(s.back.order)
	w := stateWriter{buf: append(make([]byte, 0, len(head)+known*lineRoom), head[:len(head)-1]...), stock: s}
	w.list("reserved", len(s.expiring.claims), func(i int) {
		c := s.expiring.claims[i]
		w.line(c.line)
		w.number(c.expires.Unix())
		w.parts(c.parts)
	})
	w.list("allocated", len(s.firm), func(i int) {
		w.line(s.firm[i].line)
		w.parts(s.firm[i].parts)
		for _, shipment := range s.firm[i].shipped {
			w.buf = append(append(w.buf, " +"...), shipment...)
		}
	})
	next := s.queue.waiting.Front()
	w.list("waiting", s.queue.waiting.Len(), func(int) {
		w.line(claimOf(next).line)
		w.number(claimOf(next).wants)
		next = next.Next()
	})
	w.list("gone", len(s.gone.order), func(i int) {
		w.line(s.gone.order[i].Line)
		p := s.gone.of[s.gone.order[i]]
		w.number(p.expired)
		w.number(p.released.Unix())
	})
	w.list("done", len(s.done.order), func(i int) { w.line(s.done.order[i].Line) })
	w.list("back", len(s.back.order), func(i int) {
		w.line(s.back.order[i].Line)
		w.buf = append(append(w.buf, ' '), s.back.order[i].ref...)
	})
	return append(w.buf, '}'), nil
}

// stateWriter appends to a JSON object. No text needs escaping: names are checked before they
// come into an event.
type stateWriter struct {
	buf   []byte
	stock *Stock
}

func (w *stateWriter) list(name string, n int, item func(int)) {
	if n == 0 {
		return
	}
	if w.buf[len(w.buf)-1] != '{' {
		w.buf = append(w.buf, ',')
	}
	w.buf = append(append(append(w.buf, '"'), name...), `":["`...)
	for i := range n {
		if i > 0 {
			w.buf = append(w.buf, `","`...)
		}
		item(i)
	}
	w.buf = append(w.buf, `"]`...)
}

func (w *stateWriter) line(l Line) {
	w.buf = append(w.buf, l.Order...)
	w.number(int64(l.Number))
}

func (w *stateWriter) number(n int64) { w.buf = strconv.AppendInt(append(w.buf, ' '), n, 10) }

func (w *stateWriter) parts(parts []Part) {
	for _, p := range parts {
		for i := range w.stock.shelf.levels {
			if w.stock.shelf.levels[i].Location == p.Location {
				w.number(int64(i))
				w.buf = strconv.AppendInt(append(w.buf, ':'), p.Quantity, 10)
				break
			}
		}
	}
}

// UnmarshalJSON reads a stock's stored form.
func (s *Stock) UnmarshalJSON(data []byte) error {
	var stored storedStock
	if err := json.Unmarshal(data, &stored); err != nil {
		return fmt.Errorf("inventory: decode a stock: %w", err)
	}
	*s = *NewStock()
	s.shelf.safety, s.woken = stored.Safety, stored.Woken
	for _, l := range stored.Levels {
		s.shelf.set(l)
	}
	for _, list := range []struct {
		texts []string
		read  func(*stateReader, Line)
	}{
		{stored.Reserved, s.readReserved},
		{stored.Allocated, s.readAllocated},
		{stored.Waiting, s.readWaiting},
		{stored.Gone, func(r *stateReader, l Line) {
			s.gone.put(mark{Line: l}, past{expired: r.number(), released: r.time()})
		}},
		{stored.Done, func(_ *stateReader, l Line) { s.done.put(mark{Line: l}, past{}) }},
		{stored.Back, func(r *stateReader, l Line) { s.back.put(mark{l, r.word()}, past{}) }},
	} {
		for _, text := range list.texts {
			r := &stateReader{rest: text}
			list.read(r, Line{r.word(), int(r.number())})
			if r.err == nil && r.rest != "" {
				r.err = errors.New("it is too long")
			}
			if r.err != nil {
				return fmt.Errorf("inventory: decode the line %q of a stock: %w", text, r.err)
			}
		}
	}
	return nil
}

func (s *Stock) readReserved(r *stateReader, l Line) {
	c := &claim{line: l, expires: r.time(), parts: r.parts(s)}
	s.lines[l] = c
	s.expiring.add(c)
}

func (s *Stock) readAllocated(r *stateReader, l Line) {
	c := &claim{line: l, firm: true, parts: r.parts(s)}
	for strings.HasPrefix(r.rest, "+") {
		c.shipped = append(c.shipped, r.word()[1:])
	}
	s.lines[l] = c
	s.firm.add(c)
}

func (s *Stock) readWaiting(r *stateReader, l Line) {
	c := &claim{line: l, wants: r.number()}
	s.lines[l] = c
	s.queue.add(c)
}

// stateReader reads the words of a line of the state.
type stateReader struct {
	rest string
	err  error
}

func (r *stateReader) word() string {
	word, rest, _ := strings.Cut(r.rest, " ")
	if word == "" && r.err == nil {
		r.err = errors.New("it is too short")
	}
	r.rest = rest
	return word
}

func (r *stateReader) number() int64 { return r.parse(r.word()) }

func (r *stateReader) parse(word string) int64 {
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil && r.err == nil {
		r.err = err
	}
	return n
}

func (r *stateReader) time() time.Time { return time.Unix(r.number(), 0).UTC() }

func (r *stateReader) parts(s *Stock) []Part {
	parts := make([]Part, 0, 1)
	for r.rest != "" && r.rest[0] != '+' && r.err == nil {
		index, quantity, _ := strings.Cut(r.word(), ":")
		i, n := r.parse(index), r.parse(quantity)
		if i < 0 || i >= int64(len(s.shelf.levels)) {
			r.err = fmt.Errorf("there is no location %d", i)
			break
		}
		parts = append(parts, Part{s.shelf.levels[i].Location, n})
	}
	return parts
}
