// Package identity gives each sidecar an identity that the others can verify.
//
// Dapr's certificate authority, Sentry, signs the certificates. Create prepares what
// Sentry and the sidecars need:
//
//   - A certificate authority: a root certificate that every sidecar trusts, and the
//     certificate and key with which Sentry signs. The key of the root is not stored.
//   - A token for each app, with which its sidecar asks Sentry for a certificate. Sentry
//     signs only the name that the token contains, so an app cannot get the identity of
//     another one. The key that signs the tokens is not stored either, so nobody can add
//     an identity later.
//   - Sentry's configuration, which contains the public key of the tokens.
//
// All of it is new at each start, and none of it is used after the stop.
package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"boxoffice/tools/devstack/internal/secrets"
)

// The names that certificates contain are SPIFFE IDs,
// spiffe://<trust domain>/ns/<namespace>/<app ID>. Access lists refer to them.
const (
	// AppTrustDomain is the trust domain of the sidecars. Dapr 1.18 has no setting for it.
	AppTrustDomain = "public"
	// Namespace is the namespace of the sidecars and of Sentry.
	Namespace = "default"
	// TrustDomain is the trust domain of Sentry.
	TrustDomain = "boxoffice"
)

// lifetime is the lifetime of the authority and of the tokens. It limits how long a stack
// can run without a restart.
const lifetime = 365 * 24 * time.Hour

// MinCertTTL is the shortest lifetime of a certificate that Create accepts.
const MinCertTTL = 10 * time.Second

// Files are the paths of what Create wrote. Only the owner can read the files.
type Files struct {
	// Dir contains all files. It is Sentry's directory of credentials.
	Dir string
	// Anchors is the certificate of the root, in PEM.
	Anchors string
	// Config is Sentry's configuration.
	Config string
	// Tokens are the tokens, by app ID.
	Tokens map[string]string
}

// The names that Sentry gives to the files of the authority.
const (
	rootFile      = "ca.crt"
	issuerFile    = "issuer.crt"
	issuerKeyFile = "issuer.key"
)

// Create creates an authority and a token for each app in dir, which it creates too. The
// certificates of the sidecars are valid for ttl, at least MinCertTTL. A sidecar renews
// its certificate after half of that time.
func Create(dir string, apps []string, ttl time.Duration) (Files, error) {
	if ttl < MinCertTTL || ttl > lifetime {
		return Files{}, fmt.Errorf("certificates cannot be valid for %s: use from %s to %s", ttl, MinCertTTL, lifetime)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Files{}, fmt.Errorf("make the directory of the certificate authority: %w", err)
	}
	now := time.Now()
	ca, err := newAuthority(now)
	if err != nil {
		return Files{}, fmt.Errorf("create the certificate authority: %w", err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Files{}, fmt.Errorf("create the key of the identity tokens: %w", err)
	}
	f := Files{
		Dir:     dir,
		Anchors: filepath.Join(dir, rootFile),
		Config:  filepath.Join(dir, "sentry.yaml"),
		Tokens:  map[string]string{},
	}
	contents := map[string][]byte{
		f.Anchors:                         ca.root,
		filepath.Join(dir, issuerFile):    ca.issuer,
		filepath.Join(dir, issuerKeyFile): ca.issuerKey,
	}
	for _, app := range apps {
		token, err := signToken(private, app, now)
		if err != nil {
			return Files{}, fmt.Errorf("sign the identity token of %s: %w", app, err)
		}
		f.Tokens[app] = filepath.Join(dir, app+".token")
		contents[f.Tokens[app]] = []byte(token)
	}
	if contents[f.Config], err = sentryConfig(public, ttl); err != nil {
		return Files{}, fmt.Errorf("configure sentry: %w", err)
	}
	for path, data := range contents {
		if err := secrets.WriteFile(path, data); err != nil {
			return Files{}, fmt.Errorf("write %s: %w", path, err)
		}
	}
	return f, nil
}
