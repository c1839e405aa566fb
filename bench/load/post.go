package load

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Request is a command for Post to send.
type Request struct {
	Path string
	Body string // JSON
}

// idle is how long a connection is used after it was used last: servers close those that wait for long.
const idle = 2 * time.Second

// renew opens the connection anew, unless it was used a moment ago.
func (c *conn) renew(addr string, used time.Time) error {
	if time.Since(used) < idle {
		return nil
	}
	if c.Conn != nil {
		_ = c.Close() // nothing is on its way
	}
	fresh, err := open(addr)
	if err == nil {
		*c = fresh
	}
	return err
}

// Post sends commands over some connections, each of which sends the next one when it has its
// answer, until the channel is closed. Any answer but 202 is an error, after which it takes
// no more of them, and so is the end of ctx.
func Post(ctx context.Context, addr string, connections int, requests <-chan Request) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	for range connections {
		wg.Go(func() {
			var c conn
			var used time.Time
			defer func() {
				if c.Conn != nil {
					_ = c.Close() // nothing is on its way
				}
			}()
			for {
				select {
				case <-ctx.Done():
					return
				case r, more := <-requests:
					if !more {
						return
					}
					err := c.renew(addr, used)
					status := 0
					if err == nil {
						_, status, err = c.send(post(addr, r.Path, r.Body))
						used = time.Now()
					}
					if err == nil && status != http.StatusAccepted {
						err = fmt.Errorf("it was answered with %d", status)
					}
					if err != nil {
						cancel(fmt.Errorf("POST %s: %w", r.Path, err))
						return
					}
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
