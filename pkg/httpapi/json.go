package httpapi

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// malformed begins the message of an error about text that is no JSON at all; newProblem
// tells it by that, since huma passes on the message only.
const malformed = "malformed JSON: "

// strict refuses fields that the Go type does not have; duplicate names, invalid UTF-8 and
// anything after the value are refused by default.
var strict = json.RejectUnknownMembers(true)

var output = json.Deterministic(true)

// marshal writes a value as JSON.
func marshal(w io.Writer, v any) error {
	if r, ok := v.(interface{ ready() []byte }); ok {
		_, err := w.Write(r.ready())
		return err
	}
	return json.MarshalWrite(w, v, output)
}

// unmarshal reads strict JSON. Its errors are *decodeError: nothing of our Go types shows.
func unmarshal(data []byte, v any) error {
	if err := json.Unmarshal(data, v, strict); err != nil {
		return decodeFailure(err)
	}
	return nil
}

// decodeError says where in a body something is that cannot be read.
type decodeError struct{ text string }

func (e *decodeError) Error() string { return e.text }

func decodeFailure(err error) *decodeError {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		what := "the body is not valid JSON"
		switch {
		case errors.Is(err, jsontext.ErrDuplicateName):
			what = "a field is given more than once"
		case errors.Is(err, io.ErrUnexpectedEOF):
			what = "the body ends too early"
		}
		return &decodeError{malformed + what + ", at " + location(syntax.JSONPointer)}
	}
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		what := "has the wrong type or is out of range"
		if errors.Is(err, json.ErrUnknownName) {
			what = "unexpected property"
		}
		return &decodeError{location(semantic.JSONPointer) + ": " + what}
	}
	return &decodeError{"body: cannot be read"}
}

// location turns a JSON pointer into the form of all our locations: body.lines[0].sku.
func location(p jsontext.Pointer) string {
	var b strings.Builder
	b.WriteString("body")
	for token := range p.Tokens() {
		if token != "" && strings.Trim(token, "0123456789") == "" {
			b.WriteString("[" + token + "]")
		} else {
			b.WriteString("." + token)
		}
		if b.Len() > maxFieldText {
			break
		}
	}
	return shorten(b.String())
}

// hasNUL reports whether a JSON text spells the character NUL in a string, which the
// databases behind us refuse.
func hasNUL(data []byte) bool {
	for {
		i := bytes.Index(data, []byte(`\u0000`))
		if i < 0 {
			return false
		}
		n := i // the backslash counts unless it is itself escaped
		for n > 0 && data[n-1] == '\\' {
			n--
		}
		if (i-n)%2 == 0 {
			return true
		}
		data = data[i+1:]
	}
}
