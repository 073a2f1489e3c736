package boxoffice

import (
	"path/filepath"
	"time"
)

// Ports that users and the docs rely on. Those of the stores are not the usual
// ones, which belong to the user's own servers. The apps' and sidecars' stand
// in the run file.
const (
	natsPort   = 14222
	redisPort  = 16379
	mongoPort  = 17017
	jaegerPort = 16686
	otlpPort   = 4317
)

const (
	// front is the app that the world talks to: started last, stopped first.
	front = "gateway"
	// frontReady is its path that answers 200 when its dependencies do too.
	frontReady = "/readyz"
	// frontPortVar overrules the front's port in the run file.
	frontPortVar = "GATEWAY_PORT"
	// sweepVar is how often the sidecars' cron components tick for sweeps.
	sweepVar = "SWEEP_INTERVAL"
	// keyHolder is the app that alone gets the first admin's credentials.
	keyHolder = "auth"

	defaultRunFile  = "dapr/dapr.yaml"
	defaultDataDir  = ".data"
	provisioner     = "tools/streams"
	firstAdminEmail = "admin@boxoffice.example"

	// backgroundNice is the niceness of a build while the apps are in use.
	backgroundNice = 10
	// tracesKept bounds the memory that Jaeger takes.
	tracesKept = "20000"

	// startWithin is longer than the supervisor's default, since all sidecars
	// start at once and may have two cores between them.
	startWithin = 90 * time.Second
	// provisionWithin bounds the provisioning after the start, so that a broker
	// that does not answer cannot hold up a sidecar's restart.
	provisionWithin = 3 * time.Second
	// sidecarLeaves is the status with which tools/daprd ends to be started anew.
	sidecarLeaves = 75
)

// Names of secrets in the store; components refer to them.
const (
	secretAPIToken   = "dapr-api-token"    //nolint:gosec // a name
	secretAppToken   = "app-api-token"     //nolint:gosec // a name
	secretSigningKey = "token-signing-key" //nolint:gosec // a name
)

// linked are the flags of a build.
func linked(ldflags string) []string { return []string{"-trimpath", "-ldflags", ldflags} }

// sidecarEnv is what the sidecars get besides what the apps get.
func sidecarEnv() []string {
	return []string{
		"DAPR_HOST_IP=127.0.0.1", // else it registers the outgoing interface
		"GOGC=800",               // nearly doubles what two cores carry
	}
}

// layout is where things lie in the data directory.
type layout struct{ dir string }

func (l layout) secrets() string  { return filepath.Join(l.dir, "secrets.json") }
func (l layout) admin() string    { return filepath.Join(l.dir, "admin.env") }
func (l layout) daprEnv() string  { return filepath.Join(l.dir, "dapr.env") }
func (l layout) describe() string { return filepath.Join(l.dir, "stack.json") }
func (l layout) logs() string     { return filepath.Join(l.dir, "log") }
func (l layout) nats() string     { return filepath.Join(l.dir, "nats") }

// mongo is the directory of one kind of server: their files differ.
func (l layout) mongo(kind string) string { return filepath.Join(l.dir, kind) }

// run is emptied at each start.
func (l layout) run() string { return filepath.Join(l.dir, "run") }

// names is the sidecars' register of one another. Addresses of an earlier start
// would still be tried, so it does not outlive one.
func (l layout) names() string { return filepath.Join(l.run(), "names.db") }
