package supervise

import "errors"

// errNoProcess means that no live process has the pid. A process that has ended
// but has not been waited for by its parent does not count as live.
var errNoProcess = errors.New("no such process")
