package supervise

import "errors"

// errNoProcess means that no live process has the pid. One that has ended and
// waits to be collected by its parent counts as none.
var errNoProcess = errors.New("no such process")
