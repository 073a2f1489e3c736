package runfile

import (
	"strconv"
	"strings"
)

// DaprdArgs returns the arguments that Dapr's CLI would pass to the app's sidecar.
// The addresses of placement and scheduler are empty unless the run file has them,
// because neither runs here; the CLI would pass its defaults.
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

// Environ returns the variables that Dapr's CLI sets for an app, including those of
// the run file.
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
		{appMetricsVar, a.AppMetricsPort},
	} {
		if v.port > 0 {
			env = append(env, v.name+"="+strconv.Itoa(v.port))
		}
	}
	for name, value := range a.Env {
		if name == appMetricsVar {
			continue
		}
		env = append(env, name+"="+value)
	}
	return env
}

// trimmed returns an address without surrounding spaces, or "" if there is none. To
// set no address, a run file contains a single space, because the CLI replaces an
// empty address with its default.
func trimmed(s *string) string {
	if s == nil {
		return ""
	}
	return strings.TrimSpace(*s)
}
