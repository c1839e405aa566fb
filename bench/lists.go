package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"reflect"
	"time"

	"github.com/orderlane/orderlane/bench/child"
	"github.com/orderlane/orderlane/bench/load"
	"github.com/orderlane/orderlane/bench/normal"
	"github.com/orderlane/orderlane/services/insights"
)

// Of lists.
const (
	listReaders = 16
	listSamples = 4096 // different questions
	listChecks  = 50   // answers that are compared
	listGoal    = 5    // times the joins
)

// question is a kind of question, and how it is asked.
type question struct {
	name  string
	short string
	path  func(st *standing, i int) string
	same  func(ctx context.Context, path string, our, their *system) error
}

var questions = []question{
	{"a customer's orders, newest first", "customer", func(st *standing, i int) string {
		return "/v1/orders?limit=20&customer_id=" + st.sample(i).CustomerID
	}, sameOrders},
	{"orders of a status, newest first", "status", func(st *standing, i int) string {
		return "/v1/orders?limit=20&status=" + string(st.sample(i).Status)
	}, sameOrders},
	{"orders of a product, newest first", "sku", func(st *standing, i int) string {
		return "/v1/orders?limit=20&sku=" + st.sample(i).Lines[0].SKU
	}, sameOrders},
	{"sales of 30 days by day", "day", func(st *standing, i int) string { return st.month(i) + "&by=day" }, sameSales},
	{"sales of 30 days by product", "product", func(st *standing, i int) string { return st.month(i) + "&by=product" }, sameSales},
}

// measureLists is how fast lists and sums are read from the views, against joins on normalised tables with the
// same orders.
func measureLists(ctx context.Context, b *bench) error {
	st, err := b.stand(ctx)
	if err != nil {
		return err
	}
	their, err := b.startNormal(ctx, st)
	if err != nil {
		return err
	}
	store := "SQLite"
	if b.postgres != "" {
		store = "PostgreSQL"
	}
	for _, q := range questions {
		b.say("lists: %s", q.name)
		paths := make([]string, listSamples)
		for i := range paths {
			paths[i] = q.path(st, i)
		}
		r := row{
			measure: fmt.Sprintf("%s, of %s orders, against joins in %s", q.name, thousands(float64(len(st.ids))), store),
			goal:    fmt.Sprintf(">= %dx", listGoal), measured: "not answered",
		}
		rates, err := st.ask(ctx, &q, paths, their)
		if err != nil {
			b.say("  %v", err)
			b.report.add(r)
			continue
		}
		r.measured, r.baseline, r.ratio, r.met = perSecond(rates[0]), perSecond(rates[1]), ratio(rates[0], rates[1]), rates[0] >= listGoal*rates[1]
		b.report.add(r)
	}
	return errors.Join(st.proc.Stop(), their.proc.Stop())
}

// startNormal fills the normalised tables and starts the process that queries them.
func (b *bench) startNormal(ctx context.Context, st *standing) (*system, error) {
	their, err := b.newPlace(ctx, theirs, 1)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	file := filepath.Join(their.dir, "normal.db")
	store, err := normal.Open(ctx, their.postgres, file)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(normal.Load(ctx, store, st.data, len(st.ids)), store.Close()); err != nil {
		return nil, err
	}
	b.say("  the normalised tables were filled in %v", time.Since(began).Round(time.Millisecond))
	if their.api, err = child.FreeAddr(); err != nil {
		return nil, err
	}
	their.proc, err = child.Start(ctx, their.dir, "normal", b.self, roleNormal, "-listen", their.api, "-postgres", their.postgres, "-file", file)
	if err != nil {
		return nil, err
	}
	b.running = append(b.running, their.proc)
	return their, their.proc.Until(ctx, startWithin, 10*time.Millisecond, func() error { return listens(their.api) })
}

// ask compares some answers, and returns how many of them each system gives in a second.
func (st *standing) ask(ctx context.Context, q *question, paths []string, their *system) (rates [2]float64, err error) {
	for _, path := range paths[:listChecks] {
		if err := q.same(ctx, path, st.system, their); err != nil {
			return rates, err
		}
	}
	st.bench.doing = "lists-" + q.short
	for i, s := range []*system{st.system, their} {
		r := load.Reader{Addr: s.api, Connections: listReaders, Lasting: st.bench.lasting / 5, Ask: func(b []byte, connection, n int) []byte {
			return append(append(b, paths[chance(connection, n, len(paths))]...), load.HTTP11...)
		}}
		before, cpuErr := s.proc.CPU()
		done := st.bench.profile(ctx, s, r.Lasting)
		answers, err := r.Run(ctx)
		done()
		if err != nil {
			return rates, err
		}
		after, err := s.proc.CPU()
		if err := errors.Join(cpuErr, err); err != nil {
			return rates, err
		}
		rates[i] = answers.PerSecond()
		n := answers.Times.TotalCount()
		st.bench.say("  %s: %s, %s, %v of CPU and %d bytes an answer", [...]string{"views", "joins"}[i], perSecond(rates[i]), quantiles(answers.Times),
			((after - before) / time.Duration(n)).Round(time.Microsecond), answers.Bytes/n)
	}
	return rates, nil
}

// sameOrders holds that both systems list the same orders.
func sameOrders(ctx context.Context, path string, our, their *system) error {
	type list struct {
		Items []struct {
			ID       string    `json:"id"`
			Status   string    `json:"status"`
			PlacedAt time.Time `json:"placed_at"`
			Lines    []struct {
				SKU string `json:"sku"`
			} `json:"lines"`
		} `json:"items"`
	}
	return same[list](ctx, path, our, their, func(l *list) bool { return len(l.Items) > 0 })
}

// sameSales holds that both systems have the same sums.
func sameSales(ctx context.Context, path string, our, their *system) error {
	type list struct {
		Items []struct {
			Day   string                `json:"day"`
			SKU   string                `json:"sku"`
			Units insights.GoodsFigures `json:"units"`
			Goods insights.GoodsFigures `json:"goods"`
			Money struct {
				Captured int64 `json:"captured"`
				Refunded int64 `json:"refunded"`
				Net      int64 `json:"net"`
			} `json:"money"`
		} `json:"items"`
	}
	return same[list](ctx, path, our, their, func(l *list) bool { return len(l.Items) > 0 })
}

func same[T any](ctx context.Context, path string, our, their *system, some func(*T) bool) error {
	var answers [2]T
	for i, s := range []*system{our, their} {
		status, err := s.look(ctx, path, &answers[i])
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return fmt.Errorf("%v answers %s with %d", s.kind, path, status)
		}
	}
	if !some(&answers[0]) || !reflect.DeepEqual(answers[0], answers[1]) {
		return fmt.Errorf("%s is answered with %.500s, and by the joins with %.500s", path, fmt.Sprint(answers[0]), fmt.Sprint(answers[1]))
	}
	return nil
}
