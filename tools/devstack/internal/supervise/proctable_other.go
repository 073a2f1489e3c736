//go:build unix && !linux

package supervise

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
)

// startTime returns the start time of a process as ps prints it, which is precise
// to the second.
func startTime(pid int) (string, error) {
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output() //nolint:noctx,gosec // does not block; a number
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

// marked returns nothing: there is no portable way to read the environment of
// another process.
func marked(string) []int { return nil }
