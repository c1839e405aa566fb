package orderview

import (
	"fmt"
	"time"

	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/projection"
)

// folded is a document as it was folded from a history.
type folded[T any] struct {
	doc     T
	version int64
	at      time.Time // of its last event
}

// foldPast folds the streams of a category, by the functions that the view folds records by.
func foldPast[T any](all []past, category string, fold func(*projection.Record) (func(*T) error, error)) (map[string]*folded[T], error) {
	docs := make(map[string]*folded[T])
	for i := range all {
		p := &all[i]
		if bus.ResourceOf(p.stream).Type != category {
			continue
		}
		d := docs[p.stream]
		if d == nil {
			d = new(folded[T])
			docs[p.stream] = d
		}
		change, err := fold(p.record())
		if err == nil && change != nil {
			err = change(&d.doc)
		}
		if err != nil {
			return nil, fmt.Errorf("orderview: fold the history's %s: %w", p.id(), err)
		}
		d.version, d.at = p.version, p.at
	}
	return docs, nil
}
