package app

import (
	"net"
	"strconv"
	"time"

	"boxoffice/shared/config"
	"boxoffice/shared/telemetry"
)

// Config is what every program reads from the environment. The first names are
// those that Dapr gives to its apps.
type Config struct {
	Port         int           `env:"APP_PORT" default:"8080" min:"1"` // of this program
	DaprHTTPPort int           `env:"DAPR_HTTP_PORT" default:"3500" min:"1"`
	DaprGRPCPort int           `env:"DAPR_GRPC_PORT" default:"50001" min:"1"`
	DaprToken    config.Secret `env:"DAPR_API_TOKEN,required" min:"16"` // shown to the sidecar
	AppToken     config.Secret `env:"APP_API_TOKEN,required" min:"16"`  // shown by the sidecar

	// Host is the address to listen on: only the own sidecar calls an app.
	Host string `env:"LISTEN_HOST" default:"127.0.0.1"`
	// StartFor is how long a start may take, the sidecar's included.
	StartFor time.Duration `env:"START_WITHIN" default:"60s" min:"1s"`
	// DrainFor is how long the program says that it is not ready before it stops
	// to take requests: as long as those who ask need to notice.
	DrainFor time.Duration `env:"DRAIN_FOR" default:"0s"`
	// StopFor is how long a stop may take, draining included.
	StopFor time.Duration `env:"STOP_WITHIN" default:"8s" min:"1s"`

	// ProfileDir is where a CPU profile of the program goes. Without one there is
	// none.
	ProfileDir string `env:"CPU_PROFILE"`

	Telemetry telemetry.Config
}

func (c Config) listenAddr() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// sidecarURL is the own sidecar's. It shares the network with its app everywhere.
func (c Config) sidecarURL() string {
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(c.DaprHTTPPort))
}

func (c Config) sidecarGRPC() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.DaprGRPCPort))
}
