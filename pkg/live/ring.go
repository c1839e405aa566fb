package live

import "slices"

// item is an event at its place. As a stream keeps it, part is the place of its partition among
// those that the stream depends on.
type item struct {
	part   int32
	offset int64
	event  *Event
}

// ring keeps the last events of a partition.
type ring struct {
	from  int64  // all events at this offset and later are here
	items []item // the oldest at first
	first int
	limit int
}

// add takes in the newest event, and gives up the oldest if there is no room.
func (r *ring) add(it item) {
	if len(r.items) < r.limit {
		r.items = append(r.items, it)
		return
	}
	r.from = r.items[r.first].offset + 1
	r.items[r.first] = it
	r.first = (r.first + 1) % len(r.items)
}

// clear forgets all events; those from offset on will be here.
func (r *ring) clear(offset int64) {
	r.from, r.items, r.first = offset, nil, 0
}

// since calls fn for the events at offset and later, in order.
func (r *ring) since(offset int64, fn func(item)) {
	older, newer := r.items[r.first:], r.items[:r.first]
	for _, part := range [][]item{older, newer} {
		at, _ := slices.BinarySearchFunc(part, offset, func(it item, o int64) int { return int(it.offset - o) })
		for _, it := range part[at:] {
			fn(it)
		}
	}
}
