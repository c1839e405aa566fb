// Package httpapi is the HTTP edge of the platform: commands come in and queries are
// answered through one API value that every service of a process registers its
// operations on.
//
// It is chi for routing and huma for typed operations and OpenAPI 3.1, held together so
// that a service writes its handler and nothing else:
//
//	request ──> admission (path, caller, limits) ──> chi ──> guard (body, schema) ──> huma ──> handler
//
// Whatever goes wrong on that way is answered with RFC 9457 problem details that carry a
// stable code and the trace id; bad input never gets a 5xx. Handlers return values of
// package fault, whose table says the status.
//
// The guard reads each JSON body once and checks it against the operation's schema in
// place, without building a generic tree; huma's own validator is asked only when that
// check does not accept, to say what is wrong. See guard.go and shape.go.
package httpapi
