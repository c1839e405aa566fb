package storefront

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/orderlane/orderlane/pkg/fault"
	"github.com/orderlane/orderlane/pkg/projection"
)

// maxQueryWords bounds the words of a query. Its characters are bounded by the operation.
const maxQueryWords = 16

// search are the words that are searched for, each once. What a client sends is words and
// never a language: whatever is no letter or digit only separates them.
type search []string

func newSearch(q string) (search, error) {
	if q == "" {
		return nil, nil
	}
	var s search
	words(q, false, func(word string) {
		if !slices.Contains(s, word) {
			s = append(s, word)
		}
	})
	switch {
	case len(s) == 0:
		const detail = "q has no letter and no digit to search for"
		return nil, fault.Invalid("query_without_words", detail).With("query.q", detail)
	case len(s) > maxQueryWords:
		return nil, fault.Invalid("too_many_words", "q has more than %d words", maxQueryWords).With("query.q", "at most %d words", maxQueryWords)
	}
	return s, nil
}

// Prefixes that are searched for in names and all, and in descriptions. Short ones begin too many words:
// they find nearly every description, which nobody wants, and reading all that takes long.
const (
	minPrefix            = 2
	minDescriptionPrefix = 4
)

// language is how a database wants to be asked for words.
type language struct{ quote, and, or, not, prefix string }

var languages = map[projection.Dialect]language{
	projection.SQLite:   {`"`, " AND ", " OR ", " NOT ", "*"},
	projection.Postgres: {"'", " & ", " | ", " & !", ":*"},
}

// word asks for a word in any of the classes: for words that it begins, or for itself. It consists of
// letters and digits; it is quoted all the same, since some words are operators of a language.
func (l language) word(word, classes string, whole bool) string {
	terms := make([]string, len(classes))
	for i := range classes {
		class := classes[i : i+1]
		terms[i] = l.quote + class + word + l.quote
		letters := utf8.RuneCountInString(word)
		if !whole && letters >= minPrefix && (class != inDescription || letters >= minDescriptionPrefix) {
			terms[i] += l.prefix
		}
	}
	return "(" + strings.Join(terms, l.or) + ")"
}

// query joins what each word asks for.
func (s search) query(l language, joint, classes string, whole bool) string {
	parts := make([]string, len(s))
	for i, word := range s {
		parts[i] = l.word(word, classes, whole)
	}
	return "(" + strings.Join(parts, joint) + ")"
}

// results asks for all that the search finds: products that have all its words somewhere.
func (s search) results(d projection.Dialect) string {
	l := languages[d]
	return s.query(l, l.and, inName+inGroup+inAttributes+inDescription, false)
}

// tiers are the ranking: what is asked for first is shown first. They have no result in common, and together
// all of them. Within a tier the shorter name is first, and then the lower SKU. So a product's place
// depends on the product and on the query alone; by bm25, where words that are rare count for more, each product
// that comes or goes would move all others, and pages would overlap.
func (s search) tiers(d projection.Dialect) []string {
	l := languages[d]
	nested := []string{ // each has those before it
		s.query(l, l.and, inName, true),
		s.query(l, l.and, inName, false),
		s.query(l, l.and, inName+inGroup, false),
		s.query(l, l.and, inName+inGroup+inAttributes, false),
		s.results(d),
	}
	if len(s) > 1 { // some words in the name, the others anywhere, come before none in the name
		some := "(" + s.query(l, l.or, inName, false) + l.and + nested[4] + l.or + nested[3] + ")"
		nested = slices.Insert(nested, 4, some)
	}
	tiers := slices.Clone(nested)
	for i := 1; i < len(tiers); i++ {
		tiers[i] += l.not + nested[i-1]
	}
	return tiers
}
