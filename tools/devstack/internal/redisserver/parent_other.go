//go:build unix && !linux

package redisserver

// dieWithParent does nothing: most of these systems have no parent-death signal.
func dieWithParent() error { return nil }
