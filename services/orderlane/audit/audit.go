// Package audit checks the platform's promises on a live system: it folds every event topic
// from its start, independently of the services, and compares what they come to with one another and
// with what the views show. It only reads.
//
// Topics move while it reads, and they are not ordered relative to one another. So what takes
// more than one topic to judge is judged only of orders to which nothing has happened for a
// while (the grace).
package audit

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/orderlane/orderlane/api"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// Bounds of an audit.
const (
	// ordersAtOnce is how many orders are held in memory; a longer history is gone through
	// several times.
	ordersAtOnce = 500_000
	maxFindings  = 100
)

// Source reads topics: kafka.Admin.
type Source interface {
	Offsets(ctx context.Context, topic string) (map[int32]kafka.Range, error)
	ReadRange(ctx context.Context, p kafka.Partition, from, to int64, fn func(kafka.Record) error) error
}

// Options say what to audit.
type Options struct {
	Source Source
	// Get reads a resource of the public API as staff, and returns its status; nil leaves
	// the views out.
	Get   func(ctx context.Context, path string, answer any) (status int, err error)
	Views int           // orders to compare with the views at the most
	Grace time.Duration // how long what belongs together may take to arrive
	Now   time.Time
	Tell  func(format string, args ...any) // progress
}

// Finding is a promise that does not hold.
type Finding struct {
	Rule   string // the promise
	What   string // the stream or command
	Detail string
	At     time.Time // when the thing last changed, to name the first one
}

// Report is what an audit found.
type Report struct {
	Records  int64 // messages read
	Orders   int64
	Judged   int64 // orders that were at rest, and so judged whole
	Compared int64 // with views
	Commands int64
	Findings []Finding // the first ones by time, maxFindings at the most
	Broken   int64     // promises that do not hold, all of them
}

// Run audits once. An error is one of reading; what is wrong is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	a := &audit{Options: o, report: &Report{}}
	total, err := a.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	passes := uint32(1 + total/ordersAtOnce)
	for pass := range passes {
		if passes > 1 {
			o.Tell("pass %d of %d over %d orders", pass+1, passes, total)
		}
		if err := a.pass(ctx, pass, passes); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(a.report.Findings, func(x, y Finding) int { return x.At.Compare(y.At) })
	if len(a.report.Findings) > maxFindings {
		a.report.Findings = a.report.Findings[:maxFindings]
	}
	return a.report, nil
}

// audit is one run.
type audit struct {
	Options
	report *Report
	ends   map[string]map[int32]kafka.Range // by topic, as of the beginning
}

// snapshot notes where every topic ends, and returns how many orders there may be.
func (a *audit) snapshot(ctx context.Context) (orders int64, err error) {
	a.ends = make(map[string]map[int32]kafka.Range)
	topics := []string{bus.OutcomesTopic}
	for _, s := range api.Services {
		topics = append(topics, bus.EventsTopic(s.Name), bus.CommandsTopic(s.Name))
	}
	// Effects before causes: what is seen of an effect has its cause within the snapshot.
	slices.Reverse(topics)
	for _, topic := range topics {
		if a.ends[topic], err = a.Source.Offsets(ctx, topic); err != nil {
			return 0, fmt.Errorf("audit: %w", err)
		}
	}
	for _, held := range a.ends[bus.EventsTopic("ordering")] {
		orders += held.Last - held.First
	}
	return orders, nil
}

// pass audits a part of all orders and streams.
func (a *audit) pass(ctx context.Context, pass, passes uint32) error {
	p := &part{audit: a, pass: pass, passes: passes, versions: map[string]int64{}, orders: map[string]*order{}, stocks: map[string]*stock{}}
	for _, s := range api.Services {
		if err := p.events(ctx, s.Name); err != nil {
			return err
		}
	}
	if err := p.commands(ctx); err != nil {
		return err
	}
	p.judgeOrders()
	return p.compareViews(ctx)
}

// found notes that a promise does not hold.
func (a *audit) found(at time.Time, rule, what, format string, args ...any) {
	a.report.Broken++
	f := Finding{Rule: rule, What: what, Detail: fmt.Sprintf(format, args...), At: at}
	if len(a.report.Findings) < 10*maxFindings {
		a.report.Findings = append(a.report.Findings, f)
	}
}

// part is what one pass folds.
type part struct {
	*audit
	pass, passes uint32
	versions     map[string]int64 // by stream
	orders       map[string]*order
	stocks       map[string]*stock
}

// mine reports whether a key belongs to this pass.
func (p *part) mine(key string) bool {
	if p.passes == 1 {
		return true
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // never fails
	return h.Sum32()%p.passes == p.pass
}

// read calls fold for every record of a topic up to the snapshot.
func (p *part) read(ctx context.Context, topic string, fold func(*kafka.Record, *bus.Envelope) error) error {
	for id, held := range p.ends[topic] {
		at := kafka.Partition{Topic: topic, ID: id}
		err := p.Source.ReadRange(ctx, at, held.First, held.Last, func(r kafka.Record) error {
			if p.pass == 0 {
				p.report.Records++
			}
			e, err := bus.EnvelopeOf(&r)
			if err != nil {
				p.found(r.Time, "messages can be read", fmt.Sprintf("%s/%d@%d", topic, id, r.Offset), "%v", err)
				return nil
			}
			return fold(&r, &e)
		})
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
	}
	return nil
}

// events folds the events of a service, each the first time that it comes.
func (p *part) events(ctx context.Context, service string) error {
	topic := bus.EventsTopic(service)
	lost, err := p.lost(ctx, topic)
	if err != nil {
		return err
	}
	return p.read(ctx, topic, func(r *kafka.Record, e *bus.Envelope) error {
		if e.Type == bus.TypeEpochBegan || lost.has(r, e) {
			return nil
		}
		key := e.Subject
		if i := strings.IndexByte(key, '-'); i > 0 && key[:i] != "stock" && key[:i] != "product" && key[:i] != "discount" {
			key = key[i+1:] // all streams of an order that are named after it are judged together
		}
		known, mine := p.versions[e.Subject], p.mine(key)
		if service == "shipping" || service == "inventory" {
			mine = true // which order it is of, its body says
		}
		switch {
		case !mine, e.StreamVersion <= known: // a repeat
			return nil
		case e.StreamVersion != known+1:
			p.found(e.Time, "versions of a stream are 1..n", e.Subject, "version %d follows version %d on %s", e.StreamVersion, known, topic)
		}
		p.versions[e.Subject] = e.StreamVersion
		if err := p.fold(e, r.Value); err != nil {
			p.found(e.Time, "events can be read", e.ID, "%s: %v", e.Type, err)
		}
		return nil
	})
}

// revocations are the events that a restored log has lost: those before the message that begins
// a new epoch, of another one, and above the position that stayed.
type revocations map[kafka.Partition][]revocation

type revocation struct {
	offset, after int64
	epoch         string
}

func (l revocations) has(r *kafka.Record, e *bus.Envelope) bool {
	for _, began := range l[kafka.Partition{Topic: r.Topic, ID: r.Partition}] {
		if r.Offset < began.offset && e.Epoch != began.epoch && e.Position > began.after {
			return true
		}
	}
	return false
}

// lost reads what the epochs of a topic have revoked. Topics of one epoch are not read for it.
func (p *part) lost(ctx context.Context, topic string) (revocations, error) {
	found := revocations{}
	for id, held := range p.ends[topic] {
		at := kafka.Partition{Topic: topic, ID: id}
		first, last, err := p.ofEpochs(ctx, at, held)
		if err != nil {
			return nil, err
		}
		if first == last {
			continue
		}
		err = p.Source.ReadRange(ctx, at, held.First, held.Last, func(r kafka.Record) error {
			e, err := bus.EnvelopeOf(&r)
			if err == nil && e.Type == bus.TypeEpochBegan {
				found[at] = append(found[at], revocation{r.Offset, e.Position, e.Epoch})
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
	}
	return found, nil
}

// ofEpochs returns the epochs of the first and the last record of a partition.
func (p *part) ofEpochs(ctx context.Context, at kafka.Partition, held kafka.Range) (first, last string, err error) {
	const window = 1 // records to look at, at each end
	note := func(epoch *string) func(kafka.Record) error {
		return func(r kafka.Record) error {
			*epoch = r.Header(bus.HeaderEpoch)
			return nil
		}
	}
	if held.Last == held.First {
		return "", "", nil
	}
	if err = p.Source.ReadRange(ctx, at, held.First, held.First+window, note(&first)); err == nil {
		err = p.Source.ReadRange(ctx, at, max(held.First, held.Last-10), held.Last, note(&last))
	}
	if err != nil {
		return "", "", fmt.Errorf("audit: %w", err)
	}
	return first, last, nil
}
