// Command sentry is Dapr's certificate authority, built from the runtime's own module.
// It signs the certificates with which sidecars identify themselves to each other.
//
// It takes the flags of the official sentry, and serves signing requests only. It
// listens on the loopback interface unless a flag says otherwise. The file README.md of
// the parent directory lists all differences.
//
// Exit status:
//
//	0  after SIGINT or SIGTERM
//	1  the authority failed, or its configuration is invalid
//	2  the flags cannot be parsed
//
// A second signal during the shutdown kills the process.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/dapr/dapr/cmd/sentry/options"
	"github.com/dapr/dapr/pkg/buildinfo"
	"github.com/dapr/dapr/pkg/healthz"
	"github.com/dapr/dapr/pkg/modes"
	"github.com/dapr/dapr/pkg/sentry"
	"github.com/dapr/dapr/pkg/sentry/config"
	"github.com/dapr/kit/logger"
)

func main() {
	log := logger.NewLogger("dapr.sentry")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal then has its default effect
	if err := run(ctx, log, os.Args[1:]); err != nil {
		log.Fatalf("Sentry failed: %s", err) // exits with 1
	}
}

// run signs certificates until ctx is done. Dapr's flag parser exits the process if the
// flags are invalid, and on --help.
func run(ctx context.Context, log logger.Logger, args []string) error {
	opts := options.New(append([]string{"--listen-address=127.0.0.1"}, args...))
	if err := checkOptions(opts); err != nil {
		return err
	}
	if err := logger.ApplyOptionsToLoggers(&opts.Logger); err != nil {
		return fmt.Errorf("configure logging: %w", err)
	}
	cfg, err := sentryConfig(opts)
	if err != nil {
		return err
	}
	log.Infof("Starting Dapr Sentry -- version %s -- commit %s", buildinfo.Version(), buildinfo.Commit())
	authority, err := sentry.New(ctx, sentry.Options{Config: cfg, Healthz: healthz.New()})
	if err != nil {
		return err
	}
	return authority.Start(ctx)
}

// checkOptions refuses what this program does not do. It would otherwise run with less
// than its flags ask for.
func checkOptions(opts *options.Options) error {
	switch {
	case opts.Mode != string(modes.StandaloneMode):
		return fmt.Errorf("mode %q is not supported: use the official sentry in Kubernetes", opts.Mode)
	case opts.JWT.Enabled || opts.OIDC.Enabled:
		return errors.New("this program issues no JWTs: use the official sentry for --jwt-enabled and --oidc-enabled")
	}
	return opts.Validate()
}

// sentryConfig returns the configuration that the flags and the configuration file
// describe. Unlike the official sentry, it requires a token validator: without one,
// Sentry would sign a certificate for any name that a caller asks for.
func sentryConfig(opts *options.Options) (config.Config, error) {
	cfg, err := config.FromConfigName(opts.ConfigName, opts.Mode)
	if err != nil {
		return cfg, err
	}
	for validator := range cfg.Validators {
		if name := validator.String(); name != "JWKS" {
			return cfg, fmt.Errorf("the configuration %s selects the token validator %s: it must list jwks under spec.mtls.tokenValidators, so that each app gets its own identity only",
				opts.ConfigName, name)
		}
	}
	cfg.RootCertPath = credential(opts, opts.X509.RootCAFilename)
	cfg.IssuerCertPath = credential(opts, opts.X509.IssuerCertFilename)
	cfg.IssuerKeyPath = credential(opts, opts.X509.IssuerKeyFilename)
	cfg.TrustDomain = opts.TrustDomain
	cfg.Port = opts.Port
	cfg.ListenAddress = opts.ListenAddress
	cfg.Mode = modes.StandaloneMode
	return cfg, nil
}

// credential returns the path of a file of the authority. A relative name is below the
// directory of the credentials.
func credential(opts *options.Options, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(opts.IssuerCredentialsPath, name)
}
