package server

import "syscall"

// childAttributes: a process group of its own, so that Ctrl-C reaches the tests
// and not the servers they are about to use; and the kernel kills it when the
// thread that started it ends. Go ends a thread only when a goroutine that is
// locked to it ends, which neither the harness nor the tests let happen.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
