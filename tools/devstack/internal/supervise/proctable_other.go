//go:build unix && !linux

package supervise

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
)

// startTime returns when a process was started, as ps prints it.
func startTime(pid int) (string, error) {
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output() //nolint:noctx,gosec // ends by itself; a number
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", errNoProcess
	}
	if err != nil {
		return "", err
	}
	fields := strings.Fields(string(out))
	if len(fields) < 2 || strings.HasPrefix(fields[0], "Z") {
		return "", errNoProcess
	}
	return strings.Join(fields[1:], " "), nil
}

// marked finds nothing here: the environment of others cannot be read.
func marked(string) []int { return nil }
