package app

import (
	"net"
	"strconv"
	"time"

	"boxoffice/shared/config"
	"boxoffice/shared/telemetry"
)

// Config is the part of the configuration that all programs share. Dapr defines the names of
// the first five variables.
type Config struct {
	Port         int           `env:"APP_PORT" default:"8080" min:"1"` // the program's own port
	DaprHTTPPort int           `env:"DAPR_HTTP_PORT" default:"3500" min:"1"`
	DaprGRPCPort int           `env:"DAPR_GRPC_PORT" default:"50001" min:"1"`
	DaprToken    config.Secret `env:"DAPR_API_TOKEN,required" min:"16"` // authenticates the program to its sidecar
	AppToken     config.Secret `env:"APP_API_TOKEN,required" min:"16"`  // authenticates the sidecar to the program

	// Host is the address to listen on. Only the sidecar, on the same host, calls an app.
	Host string `env:"LISTEN_HOST" default:"127.0.0.1"`
	// StartTimeout limits how long the program takes to start, including the wait for its
	// sidecar.
	StartTimeout time.Duration `env:"START_WITHIN" default:"60s" min:"1s"`
	// DrainDelay is how long the program is unready before it stops accepting requests. It
	// should be as long as a load balancer needs to notice.
	DrainDelay time.Duration `env:"DRAIN_FOR" default:"0s"`
	// StopTimeout limits how long the program takes to stop, including DrainDelay.
	StopTimeout time.Duration `env:"STOP_WITHIN" default:"8s" min:"1s"`

	// ProfileDir is the directory to which the program writes a CPU profile of its whole
	// run. If it is empty, no profile is written.
	ProfileDir string `env:"CPU_PROFILE"`

	Telemetry telemetry.Config
}

func (c Config) listenAddr() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// sidecarURL returns the base URL of the sidecar, which is always reachable on the loopback
// address.
func (c Config) sidecarURL() string {
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(c.DaprHTTPPort))
}

func (c Config) sidecarGRPC() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.DaprGRPCPort))
}
