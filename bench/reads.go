package main

import (
	"context"
	"fmt"
	"time"

	"github.com/orderlane/orderlane/bench/load"
)

// Of reads of single orders.
const (
	readers   = 64
	readsGoal = 25_000 // per second
)

// measureReads is how many single orders are answered in a second, with the load beside the process.
func measureReads(ctx context.Context, b *bench) error {
	st, err := b.stand(ctx)
	if err != nil {
		return err
	}
	b.say("reads: %d connections, %v", readers, b.lasting)
	read := func(lasting time.Duration) (*load.Answers, error) {
		r := load.Reader{Addr: st.api, Connections: readers, Lasting: lasting, Ask: st.askOrder}
		return r.Run(ctx)
	}
	if _, err := read(time.Second); err != nil { // everything was done once
		return err
	}
	before, cpuErr := st.proc.CPU()
	done := b.profile(ctx, st.system, b.lasting)
	answers, err := read(b.lasting)
	done()
	if err != nil {
		return err
	}
	if after, err := st.proc.CPU(); err == nil && cpuErr == nil {
		b.say("  %s, %s, %v of CPU a read, %d bytes", perSecond(answers.PerSecond()), quantiles(answers.Times),
			((after - before) / time.Duration(answers.Times.TotalCount())).Round(time.Microsecond), answers.Bytes/answers.Times.TotalCount())
	}
	b.report.add(row{
		measure: fmt.Sprintf("single orders read, %d connections, %s orders", readers, thousands(float64(len(st.ids)))), goal: ">= 25,000/s",
		measured: perSecond(answers.PerSecond()), met: answers.PerSecond() >= readsGoal,
	})
	return st.proc.Stop()
}

// askOrder asks for any order.
func (st *standing) askOrder(b []byte, connection, n int) []byte {
	b = append(b, "/v1/orders/"...)
	b = append(b, st.ids[chance(connection, n, len(st.ids))]...)
	return append(b, load.HTTP11...)
}
