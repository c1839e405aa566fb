//go:build unix

package server

import (
	"fmt"
	"net/url"
)

// withDatabase is an address of PostgreSQL with another database in it.
func withDatabase(address, name string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return "", fmt.Errorf("the address of PostgreSQL is to be written as postgres://user@host:port/database: %q", address)
	}
	u.Path = "/" + name
	return u.String(), nil
}
