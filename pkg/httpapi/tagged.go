package httpapi

// Conditional is what a query of a single resource takes, beside its name; embed it in an
// operation's input.
type Conditional struct {
	IfNoneMatch string `header:"If-None-Match" doc:"Answer 304 if the resource still has this ETag"`
	ReadParams
}

// Tagged is the answer of a query of a single resource: the resource with its ETag.
type Tagged[T any] struct {
	ETag string `header:"ETag"`
	Body *T
}

// Answer gives a resource the ETag of the versions that it shows, or says with NotModified that
// the client has it already. An err, of whoever looked for the resource, is returned as it is. A
// resource that is to be sent in any case has no c.
func Answer[T any](c *Conditional, body *T, err error, shown func(*T) Tokens) (*Tagged[T], error) {
	if err != nil {
		return nil, err
	}
	etag := ETag(shown(body))
	if c != nil && NoneMatch(c.IfNoneMatch, etag) {
		return nil, NotModified(etag)
	}
	return &Tagged[T]{ETag: etag, Body: body}, nil
}
