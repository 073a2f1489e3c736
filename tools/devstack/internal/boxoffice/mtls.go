package boxoffice

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"boxoffice/tools/devstack/internal/buildcache"
	"boxoffice/tools/devstack/internal/identity"
	"boxoffice/tools/devstack/internal/ports"
	"boxoffice/tools/devstack/internal/supervise"
)

// mtls is the part of a stack whose sidecars identify themselves to each other by
// certificates. Its zero value is a stack whose sidecars call each other in plain text.
//
// Sentry signs the certificates. A sidecar asks for its own when it starts and renews it
// after half of its lifetime. It therefore starts only while Sentry runs, but does not
// need Sentry in between.
type mtls struct {
	wanted  bool
	program string // path of Sentry; empty until it is built
	port    int    // of Sentry
	files   identity.Files
	anchors string // the certificate that sidecars trust, in PEM
}

// chooseMTLS reads the user's choice from the environment.
func (s *stack) chooseMTLS() error {
	switch v := s.Getenv(mtlsVar); v {
	case "", "0":
		return nil
	case "1":
	default:
		return fmt.Errorf("%s is %q; set it to 1 for mTLS between the sidecars, or to 0", mtlsVar, v)
	}
	var err error
	if s.mtls.port, err = s.port(sentryPort); err != nil {
		return err
	}
	s.mtls.wanted = true
	return nil
}

// prepareMTLS creates the certificate authority and the identities of all apps.
func (s *stack) prepareMTLS() error {
	if !s.mtls.wanted {
		return nil
	}
	ttl := defaultCertTTL
	if text := s.Getenv(certTTLVar); text != "" {
		var err error
		if ttl, err = time.ParseDuration(text); err != nil {
			return fmt.Errorf("%s is %q; it must be a duration such as 24h", certTTLVar, text)
		}
	}
	apps := make([]string, len(s.file.Apps))
	for i, app := range s.file.Apps {
		apps[i] = app.ID
		if _, err := os.Stat(s.accessList(app.ID)); err != nil {
			return fmt.Errorf("%s has no access list: %w", app.ID, err)
		}
	}
	var err error
	if s.mtls.files, err = identity.Create(s.sentryDir(), apps, ttl); err != nil {
		return err
	}
	anchors, err := os.ReadFile(s.mtls.files.Anchors)
	s.mtls.anchors = string(anchors)
	return err
}

// accessList returns the path of the configuration that says which operations of an app
// others may call. It is beside the run file.
func (s *stack) accessList(app string) string {
	return filepath.Join(filepath.Dir(s.runFilePath()), "access", app+".yaml")
}

// portUses returns Sentry's port, if Sentry runs.
func (m mtls) portUses() []portUse {
	if !m.wanted {
		return nil
	}
	return []portUse{{"sentry", m.port}}
}

// sentryJobs returns the build of Sentry. It returns none if Sentry is not wanted or if
// $SENTRY names a program.
func (s *stack) sentryJobs() ([]job, error) {
	if !s.mtls.wanted {
		return nil, nil
	}
	if sentry := s.Getenv(sentryVar); sentry != "" {
		program, err := exec.LookPath(sentry)
		if err == nil {
			s.mtls.program, err = filepath.Abs(program)
		}
		if err != nil {
			return nil, fmt.Errorf("$%s: %w", sentryVar, err)
		}
		return nil, nil
	}
	target, err := s.daprTarget("sentry", "./sentry")
	if err != nil {
		return nil, err
	}
	return []job{{target, func(b *buildcache.Built) { s.mtls.program = b.Binary("sentry") }}}, nil
}

// sentryStage returns the stage that runs Sentry, which is empty without mTLS.
func (s *stack) sentryStage() []supervise.Process {
	if !s.mtls.wanted {
		return nil
	}
	return []supervise.Process{{
		Name: "sentry",
		Path: s.mtls.program,
		Args: []string{
			"--listen-address", ports.Loopback, "--port", fmt.Sprint(s.mtls.port),
			"--issuer-credentials", s.mtls.files.Dir, "--config", s.mtls.files.Config,
			"--trust-domain", identity.TrustDomain,
		},
		Env:   []string{"NAMESPACE=" + identity.Namespace},
		Dir:   s.run(),
		Ready: supervise.TCP(ports.Addr(s.mtls.port)),
	}}
}

// mtlsArgs returns the arguments that mTLS adds to the sidecar of an app. The access
// list is a second configuration: it applies only with mTLS, because without it a sidecar
// cannot tell its callers apart and would refuse all of them.
func (s *stack) mtlsArgs(app string) []string {
	if !s.mtls.wanted {
		return nil
	}
	return []string{
		"--enable-mtls", "--sentry-address", ports.Addr(s.mtls.port),
		"--control-plane-trust-domain", identity.TrustDomain, "--control-plane-namespace", identity.Namespace,
		"--config", s.accessList(app),
	}
}

// mtlsEnv returns the variables that mTLS adds to the sidecar of an app. The app itself
// does not get them.
func (s *stack) mtlsEnv(app string) []string {
	if !s.mtls.wanted {
		return nil
	}
	return []string{
		"NAMESPACE=" + identity.Namespace,
		"DAPR_TRUST_ANCHORS=" + s.mtls.anchors,
		"DAPR_SENTRY_TOKEN_FILE=" + s.mtls.files.Tokens[app],
	}
}

// refuseMTLS returns an error if the user wants mTLS. It is for infra: the Dapr CLI gives
// all sidecars the same environment, so each could ask for the identity of any other.
func (s *stack) refuseMTLS() error {
	if s.mtls.wanted {
		return errors.New(mtlsVar + `=1 needs "devstack up": the Dapr CLI cannot give each sidecar an identity of its own`)
	}
	return nil
}

// warnOfOpenPorts prints a warning if $LISTEN_HOST lets other machines reach the apps.
func (s *stack) warnOfOpenPorts() {
	host := s.Getenv(listenHostVar)
	if host == "" || host == "localhost" {
		return
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return
	}
	s.sup.Logf("warning: %s=%s opens the ports of auth, event and booking to other machines, which only a token protects; to open the gateway alone, set GATEWAY_HOST instead", listenHostVar, host)
}
