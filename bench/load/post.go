package load

import (
	"context"
	"fmt"
	"net/http"
	"sync"
)

// Request is a command for Post to send.
type Request struct {
	Path string
	Body string // JSON
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
		c, err := open(addr)
		if err != nil {
			cancel(err)
			break
		}
		wg.Go(func() {
			defer c.Close()
			for {
				select {
				case <-ctx.Done():
					return
				case r, more := <-requests:
					if !more {
						return
					}
					_, status, err := c.send(post(addr, r.Path, r.Body))
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
