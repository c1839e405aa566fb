package httpapi

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// Ready is the body of an answer that is JSON already, since it is stored as it is sent: reading it into
// a T, only to write it again, would cost more than finding it. It is documented as a T. Nobody checks that
// it is one: that is what tests of whoever makes it are for.
type Ready[T any] struct{ JSON []byte }

// Schema implements huma.SchemaProvider.
func (Ready[T]) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[T](), true, "")
}

func (r Ready[T]) ready() []byte { return r.JSON }
