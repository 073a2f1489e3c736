package main

import "fmt"

const (
	// otherFiles is the number of files that the gateway opens in any case: its log, the
	// listeners, metrics, traces, and what the Go runtime needs.
	otherFiles = 64
	// redisPool is the maximum number of connections to Redis for each processor, which is
	// the client's default.
	redisPool = 10
	// filesPerConnection is the number of files that serving a connection may take: the
	// connection itself, and one to the sidecar while a request runs.
	filesPerConnection = 2
	// minConnections is the number of connections below which the gateway does not start.
	minConnections = 16
	// maxPerAddress is the number of connections that one address may have, unless the
	// configuration says otherwise or that would be more than a quarter of all connections.
	maxPerAddress = 2000
)

// FitToFiles lowers the limits of connections so that the connections, and those that the
// gateway opens to serve them, need fewer files than the process may open. It also sets
// the limit of one address if the configuration does not. FitToFiles returns an error if
// fewer than minConnections would remain.
func (cfg *Config) FitToFiles(maxFiles, processors int) error {
	reserved := otherFiles + redisPool*processors
	fitting := (maxFiles - reserved) / filesPerConnection
	if fitting < minConnections {
		return fmt.Errorf("the process may open only %d files: raise RLIMIT_NOFILE (ulimit -n) to at least %d",
			maxFiles, reserved+filesPerConnection*minConnections)
	}
	cfg.MaxConnections = min(cfg.MaxConnections, fitting)
	if cfg.ConnectionsPerAddress == 0 {
		cfg.ConnectionsPerAddress = min(maxPerAddress, max(1, cfg.MaxConnections/4))
	}
	return nil
}
