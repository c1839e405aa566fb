package stored

import "github.com/orderlane/orderlane/pkg/es"

// Years that every store can hold the times of.
const firstYear, lastYear = 1970, 9999

// timers checks the batch's timers, and tells those that are set from those that are deleted.
func (p *Plan) timers(b *es.Batch) error {
	if len(b.Timers) == 0 {
		return nil
	}
	after := make(map[string]int64, len(b.Streams))
	for i, s := range b.Streams {
		after[s.Stream] = p.Streams[i].Version
	}
	for _, t := range b.Timers {
		if version, named := after[t.Stream]; !named || version != t.Version {
			return invalid("timer of stream %q as of version %d, which the batch does not name or end with, or a second one", t.Stream, t.Version)
		}
		delete(after, t.Stream)
		if t.Due.IsZero() {
			p.Disarmed = append(p.Disarmed, t)
			continue
		}
		if year := t.Due.UTC().Year(); year < firstYear || year > lastYear {
			return invalid("timer of stream %q is due at %s", t.Stream, t.Due)
		}
		p.Armed = append(p.Armed, t)
	}
	return nil
}
