//go:build !linux

package redisproc

import "syscall"

// diesWithParent has no equivalent here: a killed test binary leaves its server behind.
func diesWithParent() *syscall.SysProcAttr { return nil }
