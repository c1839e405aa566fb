package httpapi

import "github.com/google/uuid"

// CanonicalID is the one spelling of a UUID that streams and rows have, of the several that a
// schema with the format uuid lets through. What is no UUID is returned as it is: it names
// nothing.
func CanonicalID(id string) string {
	if parsed, err := uuid.Parse(id); err == nil {
		return parsed.String()
	}
	return id
}
