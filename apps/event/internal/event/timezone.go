package event

import (
	_ "embed" // for timezoneNames
	"strings"
	"sync"
)

// timezoneNames are the names in the IANA time zone database of the Go distribution, one
// on each line, without Factory, which means that no zone was chosen. The list is part of
// the program, because time.LoadLocation also accepts other names that the machine happens
// to know, such as Local, posixrules and posix/Europe/Berlin.
//
//go:embed timezones.txt
var timezoneNames string

// timezones returns the set of the names of time zones.
var timezones = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for name := range strings.Lines(timezoneNames) {
		names[strings.TrimSpace(name)] = true
	}
	return names
})
