package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"time"

	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/projection"
)

// ViewReport says how a view is.
type ViewReport struct {
	View    string  `json:"view"`
	Version int     `json:"version"`
	Ready   bool    `json:"ready"` // queries are answered
	Waiting string  `json:"waiting,omitzero"`
	Builds  []Build `json:"builds"`

	Differences  []Difference  `json:"differences,omitzero"`  // of the active build, that were found and not mended
	Verification *Verification `json:"verification,omitzero"` // the last one that was asked for
	Broken       []BrokenKey   `json:"broken"`
}

// Build is a set of tables of a view, as operators see it.
type Build struct {
	View     string    `json:"view"`
	Version  int       `json:"version"`
	Build    int       `json:"build"` // 0: of a release that had no builds
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	Progress string    `json:"progress,omitzero"`
	Done     int64     `json:"done,omitzero"`
	Total    int64     `json:"total,omitzero"`
	Rate     float64   `json:"records_per_second,omitzero"`
	Left     float64   `json:"seconds_left,omitzero"`
}

// BrokenKey is a key that a view can't fold on, as operators see it.
type BrokenKey struct {
	View      string    `json:"view"`
	Build     int       `json:"build"`
	Key       string    `json:"key"`
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Type      string    `json:"type"`
	Reason    string    `json:"reason"`
	Time      time.Time `json:"time"`
}

// Verification is what the comparison of a view with a fresh fold of its topics came to, as operators see it.
type Verification struct {
	Number      int          `json:"number"`
	View        string       `json:"view"`
	Build       int          `json:"build"`
	All         bool         `json:"all"`
	Running     bool         `json:"running"`
	Started     time.Time    `json:"started"`
	Ended       time.Time    `json:"ended,omitzero"`
	Error       string       `json:"error,omitzero"`
	Records     int64        `json:"records"`
	Keys        int64        `json:"keys,omitzero"`
	Rows        int64        `json:"rows"`
	Count       int64        `json:"different"`
	Undecided   int64        `json:"undecided,omitzero"`
	Differences []Difference `json:"differences,omitzero"` // of the first rows
	Skipped     []string     `json:"skipped,omitzero"`
}

// Difference is a value, or a row, that is not what a fresh fold comes to.
type Difference struct {
	Table  string `json:"table"`
	Row    string `json:"row"`
	Key    string `json:"key,omitzero"` // to repair; a rebuild mends what has none
	Column string `json:"column,omitzero"`
	Live   string `json:"live"`
	Fresh  string `json:"fresh"`
}

func (o *operator) handleProjections() {
	admin := o.platform.Env.Admin
	admin.HandleFunc("GET /admin/projections", answer(o.listProjections))
	admin.HandleFunc("POST /admin/projections/repair/{key}", answer(o.repair))
	for name, do := range map[string]func(*projection.Builds, context.Context) (projection.Build, error){
		"rebuild": (*projection.Builds).Rebuild, "rollback": (*projection.Builds).Rollback, "cancel": (*projection.Builds).Cancel,
	} {
		admin.HandleFunc("POST /admin/projections/"+name+"/{view}", answer(o.onBuilds(do)))
	}
	admin.HandleFunc("POST /admin/projections/verify/{view}", answer(o.verify))
	admin.HandleFunc("GET /admin/projections/verify/{view}", answer(o.verification))
	admin.HandleFunc("POST /admin/projections/drop/{view}/{version}", answer(o.dropVersion))
}

func (o *operator) addProjection(view string, b *projection.Builds) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.projections[view] = b
}

// views returns the views of this process, by name.
func (o *operator) views() (names []string, views map[string]*projection.Builds) {
	o.mu.Lock()
	defer o.mu.Unlock()
	views = make(map[string]*projection.Builds, len(o.projections))
	for name, b := range o.projections {
		names, views[name] = append(names, name), b
	}
	sort.Strings(names)
	return names, views
}

// view returns the view that the request names.
func (o *operator) view(r *http.Request) (*projection.Builds, error) {
	name := r.PathValue("view")
	_, views := o.views()
	if b := views[name]; b != nil {
		return b, nil
	}
	return nil, fault.NotFound("view", name)
}

func (o *operator) listProjections(r *http.Request) (any, error) {
	reports := []ViewReport{}
	names, views := o.views()
	for _, name := range names {
		report, err := viewReport(r.Context(), name, views[name])
		if err != nil {
			return nil, fmt.Errorf("list the builds of %s: %w", name, err)
		}
		reports = append(reports, report)
	}
	return reports, nil
}

func viewReport(ctx context.Context, name string, b *projection.Builds) (ViewReport, error) {
	now := b.Report()
	report := ViewReport{View: name, Version: now.Version, Ready: b.Ready(), Waiting: now.Waiting, Builds: []Build{}, Broken: []BrokenKey{}}
	for _, d := range b.Differences() {
		report.Differences = append(report.Differences, Difference(d))
	}
	if v := b.LastVerification(); v.Number > 0 {
		report.Verification = verificationOf(v)
	}
	builds, err := b.List(ctx)
	if err != nil {
		return report, err
	}
	for _, one := range builds {
		shown := buildOf(name, one)
		if p := now.Progress; p != nil && p.Build == one.Number && one.Version == now.Version {
			shown.Progress, shown.Done, shown.Total, shown.Rate, shown.Left = p.String(), p.Done, p.Total, p.Rate, p.Left.Seconds()
		}
		report.Builds = append(report.Builds, shown)
		if one.Version != now.Version || one.State == projection.Dropping {
			continue
		}
		broken, err := b.AllBroken(ctx, one.Number, "", maxListed)
		if err != nil {
			return report, err
		}
		for _, k := range broken {
			report.Broken = append(report.Broken, BrokenKey{
				View: name, Build: one.Number, Key: k.Key, Topic: k.Topic, Partition: k.Partition, Offset: k.Offset,
				Type: k.Type, Reason: k.Reason, Time: k.Time,
			})
		}
	}
	return report, nil
}

func buildOf(view string, b projection.Build) Build {
	return Build{View: view, Version: b.Version, Build: b.Number, State: string(b.State), Since: b.Changed}
}

// onBuilds makes a handler of what changes the builds of a view.
func (o *operator) onBuilds(do func(*projection.Builds, context.Context) (projection.Build, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		b, err := o.view(r)
		if err != nil {
			return nil, err
		}
		build, err := do(b, r.Context())
		return buildOf(r.PathValue("view"), build), err
	}
}

func (o *operator) dropVersion(r *http.Request) (any, error) {
	b, err := o.view(r)
	if err != nil {
		return nil, err
	}
	version, err := strconv.Atoi(r.PathValue("version"))
	if err != nil {
		return nil, fault.Invalid("bad_version", "%q is no version", r.PathValue("version"))
	}
	return Build{View: r.PathValue("view"), Version: version, State: string(projection.Dropping)}, b.Drop(r.Context(), version)
}

// defaultSample is the share of the keys that is compared if nothing else is asked for.
const defaultSample = 0.01

// verify begins to compare a view with a fresh fold.
func (o *operator) verify(r *http.Request) (any, error) {
	b, err := o.view(r)
	if err != nil {
		return nil, err
	}
	options := projection.VerifyOptions{All: r.FormValue("all") == "true", Sample: defaultSample, Seed: uint64(o.platform.Clock().UnixNano())}
	for name, into := range map[string]func(string) error{
		"sample": func(s string) (err error) { options.Sample, err = strconv.ParseFloat(s, 64); return err },
		"rate":   func(s string) (err error) { options.Rate, err = strconv.Atoi(s); return err },
	} {
		if s := r.FormValue(name); s != "" {
			if err := into(s); err != nil {
				return nil, fault.Invalid("bad_"+name, "%s is a number, not %q", name, s)
			}
		}
	}
	if _, err := b.StartVerify(options); err != nil {
		return nil, err
	}
	return verificationOf(b.LastVerification()), nil
}

func (o *operator) verification(r *http.Request) (any, error) {
	b, err := o.view(r)
	if err != nil {
		return nil, err
	}
	return verificationOf(b.LastVerification()), nil
}

func verificationOf(v projection.Verification) *Verification {
	out := &Verification{
		Number: v.Number, View: v.View, Build: v.Build, All: v.All, Running: v.Running, Started: v.Started, Ended: v.Ended, Error: v.Error,
		Records: v.Records, Keys: v.Keys, Rows: v.Rows, Count: v.Count, Undecided: v.Undecided, Skipped: v.Skipped,
	}
	for _, d := range v.Differences {
		out.Differences = append(out.Differences, Difference(d))
	}
	return out
}

// Repaired says which views folded a key anew.
type Repaired struct {
	Key   string   `json:"key"`
	Views []string `json:"views"`
}

// repair folds a key anew in every view here that has records of it.
func (o *operator) repair(r *http.Request) (any, error) {
	key := r.PathValue("key")
	done := Repaired{Key: key, Views: []string{}}
	names, views := o.views()
	for _, name := range names {
		if only := r.FormValue("view"); only != "" && only != name {
			continue
		}
		err := views[name].Repair(r.Context(), key)
		switch {
		case errors.Is(err, projection.ErrNotOwner):
		case err != nil:
			return nil, fmt.Errorf("repair %s in %s: %w", key, name, err)
		default:
			done.Views = append(done.Views, name)
		}
	}
	if len(done.Views) == 0 {
		return nil, &fault.Fault{
			Kind: fault.KindNotFound, Code: "key_not_here",
			Detail: fmt.Sprintf("no view of this process has records of the key %q; ask the other instances, or look at the key", key),
		}
	}
	return done, nil
}
