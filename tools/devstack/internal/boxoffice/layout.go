package boxoffice

import "path/filepath"

// layout names the files and directories in the data directory.
type layout struct{ dir string }

func (l layout) secrets() string     { return filepath.Join(l.dir, "secrets.json") }
func (l layout) credentials() string { return filepath.Join(l.dir, "credentials.json") }
func (l layout) natsEnv() string     { return filepath.Join(l.dir, "nats.env") }
func (l layout) admin() string       { return filepath.Join(l.dir, "admin.env") }
func (l layout) daprEnv() string     { return filepath.Join(l.dir, "dapr.env") }
func (l layout) description() string { return filepath.Join(l.dir, "stack.json") }
func (l layout) logs() string        { return filepath.Join(l.dir, "log") }
func (l layout) nats() string        { return filepath.Join(l.dir, "nats") }

// mongo returns the directory for a kind of server. mongod and mongolite cannot
// read each other's files.
func (l layout) mongo(kind string) string { return filepath.Join(l.dir, kind) }

// run returns the directory that is emptied at each start.
func (l layout) run() string { return filepath.Join(l.dir, "run") }

// sentryDir returns the directory of the certificate authority and the identities. Each
// start creates new ones.
func (l layout) sentryDir() string { return filepath.Join(l.run(), "sentry") }

// names returns the database in which the sidecars register. Each start creates an
// empty one, so that sidecars do not try the addresses of the previous run.
func (l layout) names() string { return filepath.Join(l.run(), "names.db") }
