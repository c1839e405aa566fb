package load

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// HTTP11 ends the first line of a request.
const HTTP11 = " HTTP/1.1\r\n"

// Reader reads resources over some connections, each of which asks when it has its answer.
type Reader struct {
	Addr        string // host:port
	Connections int
	Lasting     time.Duration
	Until       <-chan struct{} // ends it earlier; may be nil
	Rate        float64         // reads per second, each due at its time; 0: as fast as answers come

	// Ask appends what the n-th request of a connection is for to a buffer: a path, HTTP11, and headers
	// that each end in "\r\n", if there are any. It is called by each connection on its own goroutine.
	Ask func(b []byte, connection, n int) []byte

	// Check looks at the answer to it; nil: it must be 200. The body is there until it returns.
	Check func(connection, n, status int, body []byte) error
}

// Answers is what reads have come to.
type Answers struct {
	Took  time.Duration
	Bytes int64                   // of bodies
	Times *hdrhistogram.Histogram // from when each read was due to its answer, in nanoseconds
}

// PerSecond is how many answers came in a second.
func (a *Answers) PerSecond() float64 { return float64(a.Times.TotalCount()) / a.Took.Seconds() }

// Run reads until the time is up, or the first answer that is not right.
func (r *Reader) Run(ctx context.Context) (*Answers, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conns := make([]conn, r.Connections)
	for i := range conns {
		c, err := open(r.Addr)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		conns[i] = c
	}
	each := make([]Answers, r.Connections)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range conns {
		wg.Go(func() {
			if err := r.drive(ctx, &conns[i], i, start, &each[i]); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	all := &Answers{Took: time.Since(start), Times: times()}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	for i := range each {
		all.Bytes += each[i].Bytes
		all.Times.Merge(each[i].Times)
	}
	return all, nil
}

func times() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(10*time.Microsecond), int64(5*time.Minute), 3)
}

// drive is one connection's part.
func (r *Reader) drive(ctx context.Context, c *conn, connection int, start time.Time, a *Answers) error {
	a.Times = times()
	var request []byte
	for n := 0; ; n++ {
		due := time.Since(start)
		if r.Rate > 0 {
			due = time.Duration(float64(n*r.Connections+connection) / r.Rate * float64(time.Second))
		}
		if due >= r.Lasting || !r.wait(ctx, start.Add(due)) {
			return nil
		}
		request = append(r.Ask(append(request[:0], "GET "...), connection, n), "Host: "+r.Addr+"\r\n\r\n"...)
		body, status, err := c.send(request)
		if err != nil {
			return fmt.Errorf("GET %s: %w", request, err)
		}
		if err := a.Times.RecordValue(int64(time.Since(start) - due)); err != nil {
			return err
		}
		a.Bytes += int64(len(body))
		if r.Check != nil {
			err = r.Check(connection, n, status, body)
		} else if status != http.StatusOK {
			err = fmt.Errorf("it was answered with %d: %s", status, body)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", request, err)
		}
	}
}

// wait waits for a time; false: it is over.
func (r *Reader) wait(ctx context.Context, at time.Time) bool {
	ended := false
	if ahead := time.Until(at); ahead > 0 {
		timer := time.NewTimer(ahead)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Until:
			ended = true
		case <-ctx.Done():
		}
	} else {
		select {
		case <-r.Until:
			ended = true
		default:
		}
	}
	return !ended && ctx.Err() == nil
}
