package localpg

import (
	"os/exec"
	"syscall"
)

// startBound starts a command that the kernel ends ("fast shutdown") when the
// calling thread does.
func startBound(cmd *exec.Cmd) (unbind func(), err error) {
	cmd.SysProcAttr.Pdeathsig = syscall.SIGINT
	return func() {}, cmd.Start()
}
