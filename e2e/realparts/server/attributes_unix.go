//go:build unix && !linux

package server

import "syscall"

// childAttributes: a process group of its own, so that Ctrl-C reaches the tests
// and not the servers they are about to use. Only Linux can tie the life of a
// child to ours; elsewhere realparts.Main stops it.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
