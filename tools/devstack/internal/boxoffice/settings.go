package boxoffice

import "time"

// Ports of a start without --free-ports. The stores do not use their standard
// ports, which the user's own servers may occupy. The ports of the apps and
// sidecars are in the run file.
const (
	natsPort   = 14222
	redisPort  = 16379
	mongoPort  = 17017
	jaegerPort = 16686
	otlpPort   = 4317
	sentryPort = 3900 // after the sidecars' ports
)

// The instances of an app. The ports of the run file leave room for MaxReplicas.
const (
	// AllApps is the key of Options.Replicas for the apps that it does not name.
	AllApps = "*"
	// MaxReplicas is the maximum number of instances of an app.
	MaxReplicas = 9
	// replicaStep is the distance between the ports of an instance and those of the next
	// one.
	replicaStep = 10
)

// Apps with a special role. Names are app IDs of the run file.
const (
	// gatewayApp is the app that clients talk to. It starts last and stops first.
	gatewayApp = "gateway"
	// gatewayReadyPath is the path that answers 200 when the gateway and
	// everything that it depends on are ready.
	gatewayReadyPath = "/readyz"
	// sharedApp stands for all apps where their sidecars share one environment, under "dapr
	// run". It is also a user of NATS.
	sharedApp = "shared"
)

// Environment variables that the user can set.
const (
	// gatewayPortVar overrides the gateway's port in the run file.
	gatewayPortVar = "GATEWAY_PORT"
	// sweepIntervalVar is the time between two ticks of the sidecars' cron
	// components, which trigger the sweeps.
	sweepIntervalVar = "SWEEP_INTERVAL"
	// metricsVar is "off" if the apps are to serve no metrics.
	metricsVar = "METRICS"
	// mtlsVar is "1" if the sidecars are to identify themselves to each other.
	mtlsVar = "MTLS"
	// certTTLVar is the lifetime of the sidecars' certificates.
	certTTLVar = "MTLS_CERT_TTL"
	// sentryVar names a program to use instead of tools/daprd/sentry.
	sentryVar = "SENTRY"
	// listenHostVar is the address on which all apps listen.
	listenHostVar = "LISTEN_HOST"
)

const (
	defaultRunFile = "dapr/dapr.yaml"
	defaultDataDir = ".data"
	// natsUsers is the configuration file with the users of the embedded NATS.
	natsUsers = "dapr/nats-server.conf"
	// provisioner is the package that creates the streams.
	provisioner     = "tools/streams"
	firstAdminEmail = "admin@boxoffice.example"

	// maxTraces is the maximum number of traces that Jaeger keeps in memory.
	maxTraces = "20000"
	// backgroundNice is the niceness of a build while the apps are in use.
	backgroundNice = 10

	// startTimeout is longer than the supervisor's default because all sidecars
	// start at the same time, perhaps on two cores.
	startTimeout = 90 * time.Second
	// provisionTimeout limits each run of the provisioner after the start. It is short
	// because the restart of a sidecar waits for that run, even if the broker does not
	// answer.
	provisionTimeout = 3 * time.Second
	// defaultCertTTL is the lifetime of a sidecar's certificate, as in Dapr.
	defaultCertTTL = 24 * time.Hour
	// sidecarRestartStatus is the exit status with which tools/daprd asks to be
	// started again.
	sidecarRestartStatus = 75
)

// secretSigningKey is the name of a secret that the auth app reads from its secret store.
const secretSigningKey = "token-signing-key"
