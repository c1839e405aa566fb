// Package demo drives believable traffic through a running platform over its public API:
// customers who order what is popular, change their minds, have their cards declined and send
// goods back, and staff who pack, deliver and restock. It is a client like any other.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what to drive, and how hard.
type Options struct {
	API   string        // base URL of the public API
	Token string        // bearer token of a member of staff; empty where authentication is off
	Rate  float64       // orders per second
	For   time.Duration // 0: until ctx ends
	Seed  uint64        // of who orders what; the same seed is the same shop's day
	Clock func() time.Time
	Out   io.Writer // for the progress
	Fancy bool      // Out is a terminal
}

// maxUnderWay bounds the customers who wait for an answer: a platform that does not keep up
// is told so in the progress, and not piled up on.
const maxUnderWay = 256

// shop is one run of the demo.
type shop struct {
	Options
	client
	tally  tally
	places chan struct{}

	mu       sync.Mutex
	random   *rand.Rand
	products []product
	zipf     *rand.Zipf
	sells    map[string]bool // by SKU; what comes into the catalogue later is not the demo's
}

// tally counts what happened.
type tally struct {
	ordered, refused, failed, busy  atomic.Int64
	cancelled, returned             atomic.Int64
	dispatched, delivered, received atomic.Int64
	restocked                       atomic.Int64
	stuck                           atomic.Int64 // orders that staff has to look at, now
	latency                         latency
}

// Run drives traffic until ctx or the time that is asked for ends. It needs a catalogue.
func Run(ctx context.Context, o Options) error {
	if o.Rate <= 0 || o.Rate > 1000 {
		return fmt.Errorf("a rate of %g: want more than 0 and at most 1000 orders a second", o.Rate)
	}
	s := &shop{
		Options: o, client: client{base: o.API, token: o.Token, http: &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{
			MaxIdleConnsPerHost: maxUnderWay,
		}}},
		places: make(chan struct{}, maxUnderWay),
		random: rand.New(rand.NewPCG(o.Seed, o.Seed)), //nolint:gosec // it is a demo
	}
	defer s.http.CloseIdleConnections()
	if err := s.open(ctx); err != nil {
		return err
	}
	if o.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.For)
		defer cancel()
	}
	var all sync.WaitGroup
	for _, work := range []func(context.Context){s.customers, s.packers, s.carriers, s.returnDesk, s.storekeepers, s.clerk} {
		all.Go(func() { work(ctx) })
	}
	err := s.show(ctx)
	all.Wait()
	return err
}

// open looks the catalogue up: popular products first, as a shop's are, by Zipf's law.
func (s *shop) open(ctx context.Context) error {
	var list struct {
		Items []product `json:"items"`
	}
	if err := s.get(ctx, "/v1/products?limit=200", &list); err != nil {
		return fmt.Errorf("look for products: %w", err)
	}
	if len(list.Items) == 0 {
		return errors.New("there are no products: start the platform with --sample, or define some")
	}
	s.products, s.sells = list.Items, make(map[string]bool)
	for _, p := range s.products {
		s.sells[p.SKU] = true
	}
	s.random.Shuffle(len(s.products), func(i, j int) { s.products[i], s.products[j] = s.products[j], s.products[i] })
	s.zipf = rand.NewZipf(s.random, 1.2, 1, uint64(len(s.products)-1))
	return nil
}

// product is what a customer sees of a product.
type product struct {
	SKU       string `json:"sku"`
	Available int64  `json:"available"`
	Price     struct {
		Currency string `json:"currency"`
	} `json:"price"`
}

// draw calls f with the demo's source of chance, which is not safe for concurrent use.
func (s *shop) draw(f func(r *rand.Rand)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.random)
}

// chance is true in so many of a hundred cases.
func (s *shop) chance(percent int) (yes bool) {
	s.draw(func(r *rand.Rand) { yes = r.IntN(100) < percent })
	return yes
}

// every calls work now and then until ctx ends.
func every(ctx context.Context, d time.Duration, work func(context.Context)) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			work(ctx)
		}
	}
}
