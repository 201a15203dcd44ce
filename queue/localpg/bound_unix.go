//go:build unix && !linux

package localpg

import (
	"os/exec"
	"strconv"
	"syscall"
)

// startBound starts a command and a shell beside it that reads from a pipe of
// ours: when we are gone, however that came, the pipe ends, and the shell
// ends the command ("fast shutdown").
func startBound(cmd *exec.Cmd) (unbind func(), err error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	watch := exec.Command("/bin/sh", "-c", `read -r _; kill -INT "$1"`, "sh", strconv.Itoa(cmd.Process.Pid))
	watch.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	_, err = watch.StdinPipe() // open until watch.Wait
	if err == nil {
		err = watch.Start()
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	return func() {
		_ = watch.Process.Kill()
		_ = watch.Wait()
	}, nil
}
