package runfile

import (
	"strconv"
	"strings"
)

// DaprdArgs returns the arguments of the app's sidecar, those that Dapr's CLI
// would pass. Without a placement or scheduler address it passes empty ones:
// nothing of the kind runs here.
func (a App) DaprdArgs() []string {
	args := []string{
		"--app-id", a.ID,
		"--placement-host-address", trimmed(a.PlacementHostAddress),
		"--scheduler-host-address", trimmed(a.SchedulerHostAddress),
	}
	number := func(flag string, n int) {
		if n > 0 {
			args = append(args, flag, strconv.Itoa(n))
		}
	}
	text := func(flag, s string) {
		if s != "" {
			args = append(args, flag, s)
		}
	}
	toggle := func(flag string, on bool) {
		if on {
			args = append(args, flag)
		}
	}
	number("--app-port", a.Port)
	number("--dapr-http-port", a.HTTPPort)
	number("--dapr-grpc-port", a.GRPCPort)
	number("--dapr-internal-grpc-port", a.InternalGRPCPort)
	number("--metrics-port", a.MetricsPort)
	text("--dapr-listen-addresses", a.APIListenAddresses)
	text("--config", a.ConfigFile)
	for _, p := range a.ResourcesPaths {
		text("--resources-path", p)
	}
	text("--app-protocol", a.AppProtocol)
	text("--log-level", a.LogLevel)
	number("--app-max-concurrency", a.AppMaxConcurrency)
	text("--max-body-size", a.MaxBodySize)
	text("--read-buffer-size", a.ReadBufferSize)
	toggle("--enable-app-health-check", a.EnableAppHealthCheck)
	text("--app-health-check-path", a.AppHealthCheckPath)
	number("--app-health-probe-interval", a.AppHealthInterval)
	number("--app-health-probe-timeout", a.AppHealthTimeout)
	number("--app-health-threshold", a.AppHealthThreshold)
	toggle("--enable-api-logging", a.EnableAPILogging)
	return args
}

// Environ returns the variables that Dapr's CLI gives to an app, those of the
// file included.
func (a App) Environ() []string {
	protocol := a.AppProtocol
	if protocol == "" {
		protocol = "http"
	}
	env := []string{"APP_ID=" + a.ID, "APP_PROTOCOL=" + protocol}
	for _, v := range []struct {
		name string
		port int
	}{
		{"APP_PORT", a.Port},
		{"DAPR_HTTP_PORT", a.HTTPPort},
		{"DAPR_GRPC_PORT", a.GRPCPort},
		{"DAPR_METRICS_PORT", a.MetricsPort},
	} {
		if v.port > 0 {
			env = append(env, v.name+"="+strconv.Itoa(v.port))
		}
	}
	for name, value := range a.Env {
		env = append(env, name+"="+value)
	}
	return env
}

// trimmed is empty for an address that is absent or blank: a blank is how the
// file says "none" to the CLI, for which empty means the default.
func trimmed(s *string) string {
	if s == nil {
		return ""
	}
	return strings.TrimSpace(*s)
}
