//go:build unix && !linux

package redisserver

// dieWithParent does nothing: these systems have no parent-death signal.
func dieWithParent() error { return nil }
