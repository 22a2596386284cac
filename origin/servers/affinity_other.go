//go:build !linux

package servers

import (
	"errors"
	"os/exec"
)

var errNoAffinity = errors.New("servers: processes are pinned to processors on Linux only")

// Processors returns the numbers of the processors that this process may use.
func Processors() ([]int, error) { return nil, errNoAffinity }

// StartOn starts cmd so that from its first instruction on it runs on the processors of these numbers alone; without numbers
// wherever this process may.
func StartOn(cmd *exec.Cmd, processors ...int) error {
	if len(processors) == 0 {
		return cmd.Start()
	}
	return errNoAffinity
}

func pin(int, []int) error { return errNoAffinity }
