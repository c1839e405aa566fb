package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Of a process that has had much to do, and has nothing to do now.
const (
	restLook  = 500 * time.Millisecond // how often that is looked at
	restBytes = 4 << 20                // allocated between two looks at the most: consumers poll, and probes ask
	workBytes = 64 << 20               // allocated since memory was given back last, at the least
)

// rest tells when to give memory back to the operating system. What a load leaves to the
// collector would stay for minutes in a process that allocates nothing more, since the
// runtime gives back what it has collected, and collects as it allocates.
type rest struct {
	allocated uint64 // at the last look
	work      uint64 // allocated since memory was given back
}

// look says whether to give memory back now, when so many bytes were allocated in all.
func (r *rest) look(allocated uint64) bool {
	lately := allocated - r.allocated
	r.allocated = allocated
	r.work += lately
	if lately > restBytes || r.work < workBytes {
		return false
	}
	r.work = 0
	return true
}

// giveMemoryBack does so whenever the process comes to rest, until ctx ends.
func giveMemoryBack(ctx context.Context) error {
	var r rest
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	t := time.NewTicker(restLook)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if metrics.Read(sample); r.look(sample[0].Value.Uint64()) {
				debug.FreeOSMemory()
			}
		}
	}
}
