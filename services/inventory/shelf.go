package inventory

import (
	"cmp"
	"slices"
)

// Level is what a location holds.
type Level struct {
	Location string `json:"location"`
	OnHand   int64  `json:"on_hand"`
	Reserved int64  `json:"reserved"` // of what is on hand; allocated quantities included
}

func (l Level) free() int64 { return l.OnHand - l.Reserved }

// Part is a quantity at one location.
type Part struct {
	Location string `json:"location"`
	Quantity int64  `json:"quantity"`
}

func total(parts []Part) (sum int64) {
	for _, p := range parts {
		sum += p.Quantity
	}
	return sum
}

// After is what an event leaves: the levels of the locations that it has changed, and what is
// available at all of them.
type After struct {
	Levels    []Level `json:"levels,omitzero"`
	Available int64   `json:"available"`
}

// shelf is how much there is where. Its sums are kept, so that nobody adds up.
type shelf struct {
	levels           []Level // in the order of their first event
	onHand, reserved int64   // of all levels
	safety           int64
}

// available is what can be reserved: on hand - reserved - safety stock, never below zero.
func (s *shelf) available() int64 { return max(0, s.onHand-s.reserved-s.safety) }

// draft is a copy to plan on.
func (s *shelf) draft() *shelf {
	d := *s
	d.levels = slices.Clone(s.levels)
	return &d
}

// level is what a location holds; nothing, if it is not known.
func (s *shelf) level(location string) Level {
	for _, l := range s.levels {
		if l.Location == location {
			return l
		}
	}
	return Level{Location: location}
}

// room reports whether a location is known, or can be added.
func (s *shelf) room(location string) bool {
	return len(s.levels) < maxLocations ||
		slices.ContainsFunc(s.levels, func(l Level) bool { return l.Location == location })
}

// set takes over what a location holds now.
func (s *shelf) set(l Level) {
	for i := range s.levels {
		if s.levels[i].Location == l.Location {
			s.onHand += l.OnHand - s.levels[i].OnHand
			s.reserved += l.Reserved - s.levels[i].Reserved
			s.levels[i] = l
			return
		}
	}
	s.onHand, s.reserved = s.onHand+l.OnHand, s.reserved+l.Reserved
	s.levels = append(s.levels, l)
}

// take over what an event left.
func (s *shelf) apply(a After) {
	for _, l := range a.Levels {
		s.set(l)
	}
}

// put changes what is on hand at a location.
func (s *shelf) put(location string, quantity int64) After {
	l := s.level(location)
	l.OnHand += quantity
	s.set(l)
	return After{Levels: []Level{l}, Available: s.available()}
}

// ship takes a reserved quantity away from a location.
func (s *shelf) ship(location string, quantity int64) After {
	l := s.level(location)
	l.OnHand, l.Reserved = l.OnHand-quantity, l.Reserved-quantity
	s.set(l)
	return After{Levels: []Level{l}, Available: s.available()}
}

// reserve changes what is reserved by the parts: kept (sign 1), or given free (sign -1).
func (s *shelf) reserve(parts []Part, sign int64) After {
	if len(parts) == 0 {
		return After{Available: s.available()}
	}
	levels := make([]Level, len(parts))
	for i, p := range parts {
		l := s.level(p.Location)
		l.Reserved += sign * p.Quantity
		s.set(l)
		levels[i] = l
	}
	return After{Levels: levels, Available: s.available()}
}

// pick says where an available quantity is to come from. One location is one parcel: of those
// that can serve it whole the one with the least left over is taken, so that large lines still
// find a full shelf. Where none can, the fullest locations serve it together, which makes the
// fewest parcels.
func (s *shelf) pick(quantity int64) []Part {
	best := -1
	for i, l := range s.levels {
		if l.free() >= quantity && (best < 0 || l.free() < s.levels[best].free()) {
			best = i
		}
	}
	if best >= 0 {
		return []Part{{Location: s.levels[best].Location, Quantity: quantity}}
	}
	fullest := slices.Clone(s.levels)
	slices.SortStableFunc(fullest, func(a, b Level) int { return cmp.Compare(b.free(), a.free()) })
	var parts []Part
	for _, l := range fullest {
		part := min(l.free(), quantity)
		if part == 0 {
			break
		}
		parts, quantity = append(parts, Part{Location: l.Location, Quantity: part}), quantity-part
	}
	return parts
}
