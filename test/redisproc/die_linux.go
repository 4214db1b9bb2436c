package redisproc

import "syscall"

// diesWithParent makes the kernel kill the server when the thread that started it ends. Go threads that start processes
// live as long as the program does unless a locked goroutine ends, which tests do not do.
func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
