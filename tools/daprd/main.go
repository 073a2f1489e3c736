// Command daprd is a Dapr sidecar built from the runtime's own module, with only
// the components that Boxoffice uses.
//
// It takes the flags and the environment of the official daprd. The main
// difference is that it listens on the loopback interface only, unless a flag
// says otherwise. README.md lists all differences.
//
// Exit status:
//
//	0   after SIGINT, SIGTERM, a shutdown through the API, or a flag such as --version
//	1   the runtime failed, or its configuration is invalid
//	2   the flags cannot be parsed
//	75  the sidecar must be restarted to restore its subscriptions
//
// A second signal during the shutdown kills the process.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"go.opencensus.io/stats/view"

	"github.com/dapr/dapr/cmd/daprd/options"
	"github.com/dapr/dapr/pkg/buildinfo"
	"github.com/dapr/dapr/pkg/healthz"
	"github.com/dapr/dapr/pkg/metrics"
	"github.com/dapr/dapr/pkg/modes"
	"github.com/dapr/dapr/pkg/runtime"
	"github.com/dapr/dapr/pkg/security"
	"github.com/dapr/dapr/utils"
	"github.com/dapr/kit/concurrency"
	"github.com/dapr/kit/logger"
	"github.com/dapr/kit/signals"
)

const loopback = "127.0.0.1"

// statusRestart is the exit status of a sidecar that must be restarted. It is
// EX_TEMPFAIL of sysexits.h.
const statusRestart = 75

func main() {
	log := logger.NewLogger("dapr.runtime")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal then has its default effect

	err := run(ctx, log, os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, errRestart):
		log.Warnf("Daprd exits for a restart: %s", err)
		os.Exit(statusRestart)
	case err != nil:
		log.Fatalf("Daprd failed: %s", err) // exits with 1
	}
}

// run runs the sidecar with the given arguments. It returns nil after ctx is done
// and the runtime has shut down. If the watch of a broker stopped the runtime, run
// returns an error that wraps errRestart.
//
// With --version or --build-info, run starts no sidecar, prints the information to
// stdout and returns. With --wait, it starts no sidecar either, and waits until the
// sidecar at the given HTTP port is ready or Dapr's time limit has passed.
//
// run uses the environment of the process, because Dapr reads it in many places.
// Dapr's flag parser exits the process if the flags are invalid, and on --help.
func run(ctx context.Context, log logger.Logger, args []string, stdout io.Writer) error {
	opts, err := options.New(append(loopbackFlags(), args...))
	if err != nil {
		return fmt.Errorf("parse flags: %w", err)
	}

	switch {
	case opts.RuntimeVersion:
		_, err = fmt.Fprintln(stdout, buildinfo.Version())
		return err
	case opts.BuildInfo:
		_, err = fmt.Fprintf(stdout, "Version: %s\nGit Commit: %s\nGit Version: %s\n",
			buildinfo.Version(), buildinfo.Commit(), buildinfo.GitVersion())
		return err
	case opts.WaitCommand:
		runtime.WaitUntilDaprOutboundReady(opts.DaprHTTPPort)
		return nil
	}

	opts.Logger.SetAppID(opts.AppID)
	if err := logger.ApplyOptionsToLoggers(&opts.Logger); err != nil {
		return fmt.Errorf("configure logging: %w", err)
	}
	if err := defaultHostIP(); err != nil {
		return err
	}
	w, err := watchConfigFromEnv(os.Getenv)
	if err != nil {
		return err
	}
	log.Infof("Starting Dapr Runtime -- version %s -- commit %s", buildinfo.Version(), buildinfo.Commit())

	return serveUntilDone(ctx, log, opts, w)
}

// loopbackFlags returns a flag for every address on which the sidecar may listen.
// They precede the user's flags. The last flag wins, so the user can override
// them.
func loopbackFlags() []string {
	return []string{
		"--dapr-listen-addresses=" + loopback, // HTTP, gRPC and the profiler
		"--dapr-internal-grpc-listen-address=" + loopback,
		"--dapr-public-listen-address=" + loopback,
		"--metrics-listen-address=" + loopback,
	}
}

// defaultHostIP sets DAPR_HOST_IP to the loopback address if it is empty.
// Otherwise Dapr would announce the address of the outgoing interface, on which
// peers cannot reach a sidecar that listens on loopback.
func defaultHostIP() error {
	if os.Getenv(utils.HostIPEnvVar) != "" {
		return nil
	}
	if err := os.Setenv(utils.HostIPEnvVar, loopback); err != nil {
		return fmt.Errorf("set %s: %w", utils.HostIPEnvVar, err)
	}
	return nil
}

// serveUntilDone runs a runtime and replaces it with a new one on each SIGHUP. Dapr
// sends SIGHUP to itself when a resource that cannot be reloaded in place changes.
//
// serveUntilDone returns when ctx is done or when a runtime stops by itself: after
// a failure, after a shutdown through the API, or because of a broker.
func serveUntilDone(ctx context.Context, log logger.Logger, opts *options.Options, w watchConfig) error {
	for hupCtx := range signals.OnHUP(ctx) {
		if err := serve(hupCtx, log, opts, w); err != nil { //nolint:contextcheck // hupCtx derives from ctx
			return err
		}
		if ctx.Err() != nil || hupCtx.Err() == nil {
			break
		}
	}
	log.Info("Daprd shutdown gracefully")
	return nil
}

// serve runs one runtime until it stops by itself or ctx is done.
func serve(ctx context.Context, log logger.Logger, opts *options.Options, w watchConfig) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.spawn = func(f func(context.Context)) { go f(ctx) }
	w.exit = cancel

	health := healthz.New()
	sec, err := security.New(ctx, security.Options{
		SentryAddress:           opts.SentryAddress,
		ControlPlaneTrustDomain: opts.ControlPlaneTrustDomain,
		ControlPlaneNamespace:   opts.ControlPlaneNamespace,
		TrustAnchors:            opts.TrustAnchors,
		AppID:                   opts.AppID,
		MTLSEnabled:             opts.EnableMTLS,
		Mode:                    modes.DaprMode(opts.Mode),
		Healthz:                 health,
		JwtAudiences:            opts.SentryRequestJwtAudiences,
	})
	if err != nil {
		return fmt.Errorf("create security provider: %w", err)
	}

	err = concurrency.NewRunnerManager(
		sec.Run,
		func(ctx context.Context) error {
			handler, err := sec.Handler(ctx)
			if err != nil {
				return err
			}
			rt, err := runtime.FromConfig(ctx, runtimeConfig(log, opts, handler, health, w))
			if err != nil {
				return err
			}
			return rt.Run(ctx)
		},
	).Run(ctx)
	if cause := context.Cause(ctx); errors.Is(cause, errRestart) {
		return errors.Join(cause, err)
	}
	return err
}

// runtimeConfig maps the options to the runtime's settings, as Dapr's
// cmd/daprd/app does. TestRuntimeConfigMatchesUpstream compares the two.
func runtimeConfig(log logger.Logger, opts *options.Options, sec security.Handler, health healthz.Healthz, w watchConfig) *runtime.Config {
	return &runtime.Config{
		AppID:                         opts.AppID,
		ActorsService:                 opts.ActorsService,
		ActorsDisseminationTimeout:    opts.ActorsDisseminationTimeout,
		RemindersService:              opts.RemindersService,
		SchedulerAddress:              opts.SchedulerAddress,
		SchedulerStreams:              opts.SchedulerJobStreams,
		AllowedOrigins:                opts.AllowedOrigins,
		ResourcesPath:                 opts.ResourcesPath,
		ControlPlaneAddress:           opts.ControlPlaneAddress,
		AppProtocol:                   opts.AppProtocol,
		Mode:                          opts.Mode,
		DaprHTTPPort:                  opts.DaprHTTPPort,
		DaprInternalGRPCPort:          opts.DaprInternalGRPCPort,
		DaprInternalGRPCListenAddress: opts.DaprInternalGRPCListenAddress,
		DaprAPIGRPCPort:               opts.DaprAPIGRPCPort,
		DaprAPIListenAddresses:        opts.DaprAPIListenAddresses,
		DaprPublicPort:                opts.DaprPublicPort,
		DaprPublicListenAddress:       opts.DaprPublicListenAddress,
		ApplicationPort:               opts.AppPort,
		ProfilePort:                   opts.ProfilePort,
		EnableProfiling:               opts.EnableProfiling,
		AppMaxConcurrency:             opts.AppMaxConcurrency,
		EnableMTLS:                    opts.EnableMTLS,
		SentryAddress:                 opts.SentryAddress,
		MaxRequestSize:                opts.MaxRequestSize,
		ReadBufferSize:                opts.ReadBufferSize,
		UnixDomainSocket:              opts.UnixDomainSocket,
		DaprGracefulShutdownSeconds:   opts.DaprGracefulShutdownSeconds,
		DaprBlockShutdownDuration:     opts.DaprBlockShutdownDuration,
		DisableBuiltinK8sSecretStore:  opts.DisableBuiltinK8sSecretStore,
		EnableAppHealthCheck:          opts.EnableAppHealthCheck,
		AppHealthCheckPath:            opts.AppHealthCheckPath,
		AppHealthProbeInterval:        opts.AppHealthProbeInterval,
		AppHealthProbeTimeout:         opts.AppHealthProbeTimeout,
		AppHealthThreshold:            opts.AppHealthThreshold,
		AppChannelAddress:             opts.AppChannelAddress,
		EnableAPILogging:              opts.EnableAPILogging,
		Config:                        opts.Config,
		DisableInitEndpoints:          opts.DisableInitEndpoints,
		Metrics: metrics.Options{
			Enabled:       opts.Metrics.Enabled(),
			Log:           log,
			Port:          opts.Metrics.Port(),
			Namespace:     metrics.DefaultMetricNamespace,
			Healthz:       health,
			ListenAddress: opts.Metrics.ListenAddress(),
			Meter:         view.NewMeter(),
		},
		AppSSL:         opts.AppSSL,
		ComponentsPath: opts.ComponentsPath,
		Registry:       components(logger.NewLogger("dapr.contrib"), w),
		Security:       sec,
		Healthz:        health,
	}
}
