package projection

import (
	"context"
	"errors"
)

// Errors of a projection.
var (
	// ErrNotOwner says that another instance owns the key's partitions: ask that one.
	ErrNotOwner = errors.New("projection: no owned partition has records of that key")
	// ErrFenced is returned by Deliver when another instance has been assigned the partition.
	ErrFenced = errors.New("projection: the partition has another owner")
	// ErrTooManyBroken is a step's error when Options.MaxBroken keys are broken already.
	ErrTooManyBroken = errors.New("projection: too many broken keys: the view is at fault, not the records")
)

// Projection drives one view.
type Projection struct{ o Options }

// New returns the projection of a view, and makes its tables where they are missing.
func New(ctx context.Context, o Options) (*Projection, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	return nil, errors.New("projection: being built")
}

// Step takes what waits in the queue, up to Options.Step records, and commits it.
func (p *Projection) Step(ctx context.Context) (Stepped, error) { return Stepped{}, nil }

// Run steps until ctx ends.
func (p *Projection) Run(ctx context.Context) error { return nil }

// Repair folds a key anew.
func (p *Projection) Repair(ctx context.Context, key string) error { return nil }

// Broken returns why a key is broken, by topic; usually nothing.
func (p *Projection) Broken(ctx context.Context, key string) ([]BrokenKey, error) { return nil, nil }

// AllBroken lists broken keys, up to limit after the key given.
func (p *Projection) AllBroken(ctx context.Context, after string, limit int) ([]BrokenKey, error) {
	return nil, nil
}

// WaitVersion returns when the view shows at least that version of the stream, or at once if
// it never holds such a stream, or with ctx's error.
func (p *Projection) WaitVersion(ctx context.Context, stream string, version int64) error { return nil }

// Await returns when check answers true, or with its error or ctx's. It is asked at once,
// whenever this instance has committed a record whose key or id (ce_id) is id, and every so
// often, since another instance may have.
func (p *Projection) Await(ctx context.Context, id string, check func(context.Context) (bool, error)) error {
	return nil
}
