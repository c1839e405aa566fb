package es

import (
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"
)

// Codec knows the stored shape of every event of a decider: a name, a schema version, and
// how shapes of earlier schemas are brought up to date when they are read. It is immutable
// and safe for concurrent use.
type Codec[E any] struct {
	byType map[reflect.Type]*shape[E]
	byName map[string]*shape[E]
}

// Shape is the stored shape of one event type; make it with Stored.
type Shape[E any] struct{ s *shape[E] }

type shape[E any] struct {
	name    string
	goType  reflect.Type
	decode  func([]byte) (E, error)
	upcasts []Upcast // i brings schema i+1 to i+2
}

// Upcast brings the stored JSON of one schema version to the next one.
type Upcast func([]byte) ([]byte, error)

// Stored declares that events of type T, one of the events E, are stored as JSON under a
// name, which is fixed for ever. The present schema version is one more than the number of
// upcasts; upcast i brings schema i+1 to schema i+2.
func Stored[T, E any](name string, upcasts ...Upcast) Shape[E] {
	return Shape[E]{&shape[E]{
		name:    name,
		goType:  reflect.TypeFor[T](),
		upcasts: upcasts,
		decode: func(data []byte) (E, error) {
			var event T
			if err := json.Unmarshal(data, &event); err != nil {
				var none E
				return none, err
			}
			return any(event).(E), nil
		},
	}}
}

// NewCodec returns the codec of the shapes. It panics if a name or a type is declared
// twice or a type is no E, which is a mistake in the program.
func NewCodec[E any](shapes ...Shape[E]) *Codec[E] {
	c := &Codec[E]{byType: make(map[reflect.Type]*shape[E]), byName: make(map[string]*shape[E])}
	for _, sh := range shapes {
		s := sh.s
		if _, ok := reflect.Zero(s.goType).Interface().(E); !ok {
			panic(fmt.Sprintf("es: %v is no event of this codec", s.goType))
		}
		if c.byName[s.name] != nil || c.byType[s.goType] != nil {
			panic(fmt.Sprintf("es: event %s (%v) is declared twice", s.name, s.goType))
		}
		c.byName[s.name], c.byType[s.goType] = s, s
	}
	return c
}

// Encode returns the stored form of an event: type, schema, data and personal payload.
func (c *Codec[E]) Encode(event E) (Record, error) {
	s := c.byType[reflect.TypeOf(event)]
	if s == nil {
		return Record{}, fmt.Errorf("es: no stored shape is declared for %T", event)
	}
	data, err := json.Marshal(event)
	if err != nil {
		return Record{}, fmt.Errorf("es: encode %s: %w", s.name, err)
	}
	r := Record{Type: s.name, Schema: len(s.upcasts) + 1, Data: data, Event: event}
	if p, ok := any(event).(Personal); ok {
		if payload := p.PersonalPayload(); payload != nil {
			r.HasPersonal = true
			if r.Personal, err = json.Marshal(payload); err != nil {
				return Record{}, fmt.Errorf("es: encode the personal payload of %s: %w", s.name, err)
			}
		}
	}
	_, r.Erases = any(event).(Eraser)
	return r, nil
}

// Decode returns the event of a record, brought up to date from whatever schema it was
// stored with. Personal payloads are not part of it.
func (c *Codec[E]) Decode(r *Record) (E, error) {
	if event, ok := r.Event.(E); ok {
		return event, nil
	}
	var none E
	s := c.byName[r.Type]
	if s == nil {
		return none, fmt.Errorf("es: stored event %s has the unknown type %q", r.ID(), r.Type)
	}
	if r.Schema < 1 || r.Schema > len(s.upcasts)+1 {
		return none, fmt.Errorf("es: stored event %s has schema %d of %s, and this program knows 1 to %d",
			r.ID(), r.Schema, r.Type, len(s.upcasts)+1)
	}
	data := r.Data
	var err error
	for i := r.Schema - 1; i < len(s.upcasts); i++ {
		if data, err = s.upcasts[i](data); err != nil {
			return none, fmt.Errorf("es: bring %s from schema %d up to date: %w", r.ID(), i+1, err)
		}
	}
	event, err := s.decode(data)
	if err != nil {
		return none, fmt.Errorf("es: decode %s (%s): %w", r.ID(), r.Type, err)
	}
	return event, nil
}

// Schemas returns the present schema version of every stored type, so that a test can see
// that it knows all of them.
func (c *Codec[E]) Schemas() map[string]int {
	schemas := make(map[string]int, len(c.byName))
	for name, s := range c.byName {
		schemas[name] = len(s.upcasts) + 1
	}
	return schemas
}
