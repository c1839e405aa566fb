package fleet

import "syscall"

// childAttributes: a process group of its own, so that Ctrl-C reaches the tests and not the
// processes they watch; and the kernel kills it when the tests die.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
