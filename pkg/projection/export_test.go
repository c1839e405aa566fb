package projection

// Running are the projections of the builds that are folded here, for tests that drive them themselves.
func (b *Builds) Running() map[int]*Projection {
	b.mu.Lock()
	defer b.mu.Unlock()
	running := make(map[int]*Projection)
	for number, r := range b.runners {
		if r.cancel == nil {
			running[number] = r.Projection
		}
	}
	return running
}

// BuildText returns a statement with the names of a build.
func BuildText(view string, version, build int, sql string) string {
	return newNaming(view, version, build).text(sql)
}
