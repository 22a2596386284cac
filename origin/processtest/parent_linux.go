package processtest

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill what cmd starts when this process ends without having stopped it.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
