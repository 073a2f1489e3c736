//go:build unix && !linux

package redisserver

// dieWithParent does nothing where there is no parent-death signal.
func dieWithParent() error { return nil }
