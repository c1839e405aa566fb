package projection

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Build is one set of tables that a version of a view is folded into. Builds are numbered from 1;
// numbers are not used again.
type Build struct {
	Version int
	Number  int
	State   BuildState
	Created time.Time
	Changed time.Time // when it got into its state

	// Frozen says that its checkpoints stay where they are: it gives way to another build, or has.
	Frozen bool

	shown bool // it was active once
}

// BuildState is how far a build has come.
type BuildState string

// The states of a build. One that is given up or replaced twice is dropped, piece by piece.
const (
	Building BuildState = "building" // is folded beside the active one, or before there is one
	Swapping BuildState = "swapping" // takes over: the active one is frozen until it has caught up
	Active   BuildState = "active"   // is what queries see
	Previous BuildState = "previous" // was active before, and is kept to go back to
	Dropping BuildState = "dropping" // its tables are deleted
	Dropped  BuildState = "dropped"  // its number stays used
)

// buildID names a build in checkpoints and broken keys.
func buildID(view string, build int) string {
	if build == 0 {
		return view
	}
	return view + "/b" + strconv.Itoa(build)
}

// schemaName names the tables of a build, see Store.Migrate.
func schemaName(view string, version, build int) string {
	name := fmt.Sprintf("%s v%d", view, version)
	if build > 0 {
		name += " b" + strconv.Itoa(build)
	}
	return name
}

// naming turns the names of a view's tables, and those that begin with them, such as names of indexes,
// into those of a build: orderview_orders_v3_placed into orderview_orders_v3_b2_placed. It is safe for
// concurrent use.
type naming struct {
	names  *regexp.Regexp // what may be such a name
	after  *regexp.Regexp // where the build goes
	suffix string

	mu    sync.RWMutex
	texts map[string]string
}

// maxTexts bounds the statements whose new texts are kept: more than views have, and stores prepare.
const maxTexts = 1024

func newNaming(view string, version, build int) *naming {
	return &naming{
		names:  regexp.MustCompile(`\b` + regexp.QuoteMeta(view) + `_\w+`),
		after:  regexp.MustCompile(`^(.*?_v` + strconv.Itoa(version) + `)(_.*)?$`),
		suffix: "_b" + strconv.Itoa(build), texts: make(map[string]string),
	}
}

// text returns a statement, or a name, with the names of the build.
func (n *naming) text(sql string) string {
	n.mu.RLock()
	s, ok := n.texts[sql]
	n.mu.RUnlock()
	if ok {
		return s
	}
	s = n.names.ReplaceAllStringFunc(sql, func(name string) string { return n.after.ReplaceAllString(name, "${1}"+n.suffix+"${2}") })
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.texts) >= maxTexts {
		clear(n.texts)
	}
	n.texts[sql] = s
	return s
}

// buildStore is a Store in which the names of a view's tables are those of a build.
type buildStore struct {
	Store
	names *naming
}

func newBuildStore(s Store, v View, build int) *buildStore {
	return &buildStore{Store: s, names: newNaming(v.Name(), v.Version(), build)}
}

func (s *buildStore) Query(ctx context.Context, sql string, args []any, scan func(Row) error) error {
	return s.Store.Query(ctx, s.names.text(sql), args, scan)
}

func (s *buildStore) Load(ctx context.Context, q Lookup, scan func(Row) error) error {
	q.Table = s.names.text(q.Table)
	return s.Store.Load(ctx, q, scan)
}

func (s *buildStore) Update(ctx context.Context, fn func(Tx) error) error {
	return s.Store.Update(ctx, func(tx Tx) error { return fn(&buildTx{tx, s.names}) })
}

func (s *buildStore) Migrate(ctx context.Context, name string, statements []string) error {
	texts := make([]string, len(statements))
	for i, sql := range statements {
		texts[i] = s.names.text(sql)
	}
	return s.Store.Migrate(ctx, name, texts)
}

// buildTx is a transaction of a buildStore.
type buildTx struct {
	Tx
	names *naming
}

func (t *buildTx) Query(ctx context.Context, sql string, args []any, scan func(Row) error) error {
	return t.Tx.Query(ctx, t.names.text(sql), args, scan)
}

func (t *buildTx) Load(ctx context.Context, q Lookup, scan func(Row) error) error {
	q.Table = t.names.text(q.Table)
	return t.Tx.Load(ctx, q, scan)
}

func (t *buildTx) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	return t.Tx.Exec(ctx, t.names.text(sql), args...)
}

func (t *buildTx) Upsert(ctx context.Context, table Table, rows [][]any) error {
	table.Name = t.names.text(table.Name)
	return t.Tx.Upsert(ctx, table, rows)
}

// tables are those that statements of a schema make. Virtual says which are full-text indexes and the
// like, of SQLite.
var makesTable = regexp.MustCompile(`(?i)\bCREATE\s+(VIRTUAL\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?"?(\w+)`)

type schemaTable struct {
	name    string
	virtual bool
}

func tablesOf(statements []string) (tables []schemaTable) {
	for _, sql := range statements {
		for _, m := range makesTable.FindAllStringSubmatch(sql, -1) {
			tables = append(tables, schemaTable{m[2], strings.TrimSpace(m[1]) != ""})
		}
	}
	return tables
}

// showTables returns the statements that make a build what queries see: the plain names become SQL views
// of its tables.
func showTables(d Dialect, v View, build int) (statements []string) {
	names := newNaming(v.Name(), v.Version(), build)
	for _, t := range tablesOf(v.Schema(d)) {
		of := names.text(t.name)
		switch {
		case d == Postgres:
			statements = append(statements, "CREATE OR REPLACE VIEW "+t.name+" AS SELECT * FROM "+of)
		case t.virtual:
			// What a full-text index is asked by are hidden columns: the one of its own name, and rank.
			statements = append(statements, "DROP VIEW IF EXISTS "+t.name,
				"CREATE VIEW "+t.name+" AS SELECT rowid, *, "+of+" AS "+t.name+", rank FROM "+of)
		default:
			statements = append(statements, "DROP VIEW IF EXISTS "+t.name, "CREATE VIEW "+t.name+" AS SELECT * FROM "+of)
		}
	}
	return statements
}
