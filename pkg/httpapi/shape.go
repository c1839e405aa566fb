package httpapi

import (
	"bytes"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// shape is a JSON schema made ready for one quick question: is this JSON text surely valid?
// A yes is what huma's validator would say too; a no means "perhaps not, ask huma". It looks
// at the text in place and allocates nothing, which is most of what validation costs
// otherwise. It does not check that the text is well-formed JSON: the strict decoder that
// comes next does.
type shape struct {
	kind     string // of huma.Schema.Type; "" accepts anything
	nullable bool

	fields   []field // of objects
	required uint64  // bit i: fields[i] must be there
	extra    *shape  // for other names; nil if there may be none

	items              *shape // of arrays
	minItems, maxItems int

	minLength, maxLength int // of strings, in characters
	enum                 []string
	class                *class         // of all characters
	pattern              *regexp.Regexp // where it is more than a class
	format               string

	min, max float64 // of numbers
}

type field struct {
	name  string
	shape *shape
}

// anything accepts every value.
var anything = &shape{}

// newShape returns nil for schemas with parts that the quick check does not know.
func newShape(r huma.Registry, s *huma.Schema) *shape {
	c := shaper{registry: r, done: map[*huma.Schema]*shape{}}
	sh := c.shape(s)
	if c.beyond {
		return nil
	}
	return sh
}

type shaper struct {
	registry huma.Registry
	done     map[*huma.Schema]*shape // recursive types end here
	beyond   bool                    // something was met that a shape cannot say
}

func (c *shaper) shape(s *huma.Schema) *shape {
	for s.Ref != "" {
		s = c.registry.SchemaFromRef(s.Ref)
	}
	if sh := c.done[s]; sh != nil {
		return sh
	}
	sh := &shape{kind: s.Type, nullable: s.Nullable, maxItems: math.MaxInt, maxLength: math.MaxInt, min: math.Inf(-1), max: math.Inf(1)}
	c.done[s] = sh
	if s.OneOf != nil || s.AnyOf != nil || s.AllOf != nil || s.Not != nil || s.MultipleOf != nil || s.UniqueItems ||
		s.ContentEncoding != "" || len(s.DependentRequired) > 0 || s.MinProperties != nil || s.MaxProperties != nil {
		c.beyond = true
	}
	switch s.Type {
	case huma.TypeObject:
		c.object(sh, s)
	case huma.TypeArray:
		setInt(&sh.minItems, s.MinItems)
		setInt(&sh.maxItems, s.MaxItems)
		if s.Items == nil {
			c.beyond = true
			break
		}
		sh.items = c.shape(s.Items)
	case huma.TypeString:
		c.text(sh, s)
	case huma.TypeInteger, huma.TypeNumber:
		c.number(sh, s)
	}
	if len(s.Enum) > 0 && s.Type != huma.TypeString {
		c.beyond = true
	}
	return sh
}

func (c *shaper) object(sh *shape, s *huma.Schema) {
	if len(s.Properties) > 64 {
		c.beyond = true
		return
	}
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		p := s.Properties[name]
		sh.fields = append(sh.fields, field{name, c.shape(p)})
		if slices.Contains(s.Required, name) && !p.ReadOnly {
			sh.required |= 1 << i
		}
	}
	switch extra := s.AdditionalProperties.(type) {
	case bool:
		if extra {
			sh.extra = anything
		}
	case *huma.Schema:
		sh.extra = c.shape(extra)
	default:
		sh.extra = anything
	}
}

func (c *shaper) text(sh *shape, s *huma.Schema) {
	setInt(&sh.minLength, s.MinLength)
	setInt(&sh.maxLength, s.MaxLength)
	for _, e := range s.Enum {
		text, ok := e.(string)
		c.beyond = c.beyond || !ok
		sh.enum = append(sh.enum, text)
	}
	if s.Pattern != "" {
		if sh.class = newClass(s.Pattern); sh.class == nil {
			sh.pattern = regexp.MustCompile(s.Pattern)
		}
	}
	switch s.Format {
	case "", "uuid", "email", "date-time":
		sh.format = s.Format
	default:
		c.beyond = true
	}
}

func (c *shaper) number(sh *shape, s *huma.Schema) {
	if s.Minimum != nil {
		sh.min = *s.Minimum
	}
	if s.Maximum != nil {
		sh.max = *s.Maximum
	}
	if s.ExclusiveMinimum != nil {
		sh.min = max(sh.min, math.Nextafter(*s.ExclusiveMinimum, math.Inf(1)))
	}
	if s.ExclusiveMaximum != nil {
		sh.max = min(sh.max, math.Nextafter(*s.ExclusiveMaximum, math.Inf(-1)))
	}
}

func setInt(to *int, from *int) {
	if from != nil {
		*to = *from
	}
}

// fits reports whether a string without escapes is one of the shape's.
func (s *shape) fits(text []byte) bool {
	if n := len(text); n > s.maxLength || n < s.minLength || s.minLength > 0 {
		n = utf8.RuneCount(text)
		if n > s.maxLength || n < s.minLength {
			return false
		}
	}
	if s.class != nil && !s.class.fits(text) || s.pattern != nil && !s.pattern.Match(text) {
		return false
	}
	switch s.format {
	case "uuid":
		if !isUUID(text) {
			return false
		}
	case "email":
		if !isPlainEmail(text) {
			return false
		}
	case "date-time":
		if _, err := time.Parse(time.RFC3339, string(text)); err != nil {
			return false
		}
	}
	if s.enum == nil {
		return true
	}
	for _, e := range s.enum {
		if string(text) == e {
			return true
		}
	}
	return false
}

// class is a pattern of the form ^[chars]{min,max}$, as most are; a table is an order of
// magnitude faster than the regular expression.
type class struct {
	is       [utf8.RuneSelf]bool
	min, max int
}

func newClass(pattern string) *class {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || re.Op != syntax.OpConcat || len(re.Sub) != 3 ||
		re.Sub[0].Op != syntax.OpBeginText || re.Sub[2].Op != syntax.OpEndText {
		return nil
	}
	c, rep := &class{max: math.MaxInt}, re.Sub[1]
	switch rep.Op {
	case syntax.OpPlus:
		c.min = 1
	case syntax.OpStar:
	case syntax.OpRepeat:
		c.min = rep.Min
		if rep.Max >= 0 {
			c.max = rep.Max
		}
	default:
		return nil
	}
	set := rep.Sub[0]
	if set.Op != syntax.OpCharClass {
		return nil
	}
	for i := 0; i < len(set.Rune); i += 2 {
		if set.Rune[i+1] >= utf8.RuneSelf {
			return nil
		}
		for r := set.Rune[i]; r <= set.Rune[i+1]; r++ {
			c.is[r] = true
		}
	}
	return c
}

func (c *class) fits(text []byte) bool {
	if len(text) < c.min || len(text) > c.max {
		return false
	}
	for _, b := range text {
		if b >= utf8.RuneSelf || !c.is[b] {
			return false
		}
	}
	return true
}

func isUUID(t []byte) bool {
	if len(t) != 36 {
		return false
	}
	for i, b := range t {
		switch i {
		case 8, 13, 18, 23:
			if b != '-' {
				return false
			}
		default:
			if !('0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F') {
				return false
			}
		}
	}
	return true
}

// isPlainEmail knows the everyday addresses, which every validator takes.
func isPlainEmail(t []byte) bool {
	at, prev := 0, byte('.') // no dot first
	for i, b := range t {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '-', b == '_', b == '+' && at == 0:
		case b == '.' && prev != '.' && prev != '@':
		case b == '@' && at == 0 && prev != '.':
			at = i
		default:
			return false
		}
		prev = b
	}
	return at > 0 && prev != '.' && prev != '@' && len(t) <= 254 && bytes.IndexByte(t[at:], '_') < 0
}
