package es

// recent is a map that remembers at least the last n keys that were put or got, and at
// most 2n: when the young half is full it becomes the old one, and the old one is dropped.
// It is not safe for concurrent use.
type recent[K comparable, V any] struct {
	n          int
	young, old map[K]V
}

func newRecent[K comparable, V any](n int) *recent[K, V] {
	return &recent[K, V]{n: n, young: make(map[K]V)}
}

func (r *recent[K, V]) get(k K) (V, bool) {
	if v, ok := r.young[k]; ok {
		return v, true
	}
	v, ok := r.old[k]
	if ok {
		r.put(k, v)
	}
	return v, ok
}

func (r *recent[K, V]) put(k K, v V) {
	if len(r.young) >= r.n {
		r.old, r.young = r.young, make(map[K]V, r.n)
	}
	r.young[k] = v
}

func (r *recent[K, V]) drop(k K) {
	delete(r.young, k)
	delete(r.old, k)
}

func (r *recent[K, V]) clear() { r.old, r.young = nil, make(map[K]V) }
