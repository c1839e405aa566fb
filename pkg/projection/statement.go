package projection

import (
	"strconv"
	"strings"
)

// Statement is an SQL text under way, with its arguments, for queries whose conditions are not always
// the same. Its text must come from a bounded set, see Queryer.
type Statement struct {
	strings.Builder
	Args []any
}

// Arg adds an argument and returns what it is called in the text.
func (s *Statement) Arg(v any) string {
	s.Args = append(s.Args, v)
	return "$" + strconv.Itoa(len(s.Args))
}
