package identity_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"boxoffice/tools/devstack/internal/identity"
)

// create creates the identities of two apps.
func create(t *testing.T) identity.Files {
	t.Helper()
	f, err := identity.Create(filepath.Join(t.TempDir(), "sentry"), []string{"booking", "gateway"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// decode returns the DER of the only block of a PEM file.
func decode(t *testing.T, path string) []byte {
	t.Helper()
	block, rest := pem.Decode(read(t, path))
	if block == nil || len(rest) > 0 {
		t.Fatalf("%s does not consist of one PEM block", path)
	}
	return block.Bytes
}

func certificate(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(decode(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOnlyTheOwnerCanReadTheFiles(t *testing.T) {
	f := create(t)
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v, want 600", e.Name(), info.Mode().Perm())
		}
		names = append(names, e.Name())
	}
	want := []string{"booking.token", "ca.crt", "gateway.token", "issuer.crt", "issuer.key", "sentry.yaml"}
	if !slices.Equal(names, want) {
		t.Errorf("got the files %v, want %v: no key of the root or of the tokens", names, want)
	}
	if info, err := os.Stat(f.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has the mode %v (%v), want 700", info.Mode().Perm(), err)
	}
}

func TestIssuerSignsSidecarsAndNoAuthorities(t *testing.T) {
	f := create(t)
	root, issuer := certificate(t, f.Anchors), certificate(t, filepath.Join(f.Dir, "issuer.crt"))
	if err := issuer.CheckSignatureFrom(root); err != nil {
		t.Error(err)
	}
	if err := root.CheckSignatureFrom(root); err != nil {
		t.Errorf("the root is not self-signed: %v", err)
	}
	if !issuer.IsCA || issuer.MaxPathLen != 0 || !issuer.MaxPathLenZero {
		t.Errorf("the issuer may sign a chain of length %d, want 0", issuer.MaxPathLen)
	}
	key, err := x509.ParsePKCS8PrivateKey(decode(t, filepath.Join(f.Dir, "issuer.key")))
	if err != nil {
		t.Fatal(err)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok || !private.Public().(ed25519.PublicKey).Equal(issuer.PublicKey) {
		t.Error("the issuer's key does not match its certificate")
	}
}

func TestEachStartHasItsOwnAuthority(t *testing.T) {
	one, two := create(t), create(t)
	root, issuer := certificate(t, one.Anchors), certificate(t, filepath.Join(two.Dir, "issuer.crt"))
	if issuer.CheckSignatureFrom(root) == nil {
		t.Error("the root of one start signed the issuer of another")
	}
}

// config is Sentry's configuration.
type config struct {
	Spec struct {
		MTLS struct {
			WorkloadCertTTL  string `yaml:"workloadCertTTL"`
			AllowedClockSkew string `yaml:"allowedClockSkew"`
			TokenValidators  []struct {
				Name    string
				Options struct{ Source string }
			} `yaml:"tokenValidators"`
		}
	}
}

func sentryConfig(t *testing.T, f identity.Files) config {
	t.Helper()
	var c config
	if err := yaml.Unmarshal(read(t, f.Config), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTokensNameOneAppAndAreVerifiedByTheConfiguredKey(t *testing.T) {
	f := create(t)
	validators := sentryConfig(t, f).Spec.MTLS.TokenValidators
	if len(validators) != 1 || validators[0].Name != "jwks" {
		t.Fatalf("got the validators %+v, want jwks only", validators)
	}
	var set struct {
		Keys []struct{ Kty, Crv, Alg, Kid, X string }
	}
	if err := json.Unmarshal([]byte(validators[0].Options.Source), &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 1 || set.Keys[0].Kty != "OKP" || set.Keys[0].Crv != "Ed25519" || set.Keys[0].Alg != "EdDSA" {
		t.Fatalf("got the keys %+v, want one for EdDSA", set.Keys)
	}
	key, err := base64.RawURLEncoding.DecodeString(set.Keys[0].X)
	if err != nil {
		t.Fatal(err)
	}
	for app, path := range f.Tokens {
		parts := strings.Split(string(read(t, path)), ".")
		if len(parts) != 3 {
			t.Fatalf("%s: got %d parts, want 3", app, len(parts))
		}
		signature, err := base64.RawURLEncoding.DecodeString(parts[2])
		if err != nil || !ed25519.Verify(key, []byte(parts[0]+"."+parts[1]), signature) {
			t.Errorf("%s: the key does not verify the token (%v)", app, err)
		}
		var header struct{ Alg, Kid string }
		var claims struct {
			Sub string
			Aud []string
			Exp int64
		}
		for part, v := range map[string]any{parts[0]: &header, parts[1]: &claims} {
			text, err := base64.RawURLEncoding.DecodeString(part)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, v); err != nil {
				t.Fatal(err)
			}
		}
		if header.Alg != "EdDSA" || header.Kid != set.Keys[0].Kid {
			t.Errorf("%s: got the header %+v, want that of the key %s", app, header, set.Keys[0].Kid)
		}
		if want := "spiffe://public/ns/default/" + app; claims.Sub != want {
			t.Errorf("got the subject %s, want %s", claims.Sub, want)
		}
		if want := []string{"spiffe://boxoffice/ns/default/dapr-sentry"}; !slices.Equal(claims.Aud, want) {
			t.Errorf("%s: got the audience %v, want %v", app, claims.Aud, want)
		}
		if left := time.Until(time.Unix(claims.Exp, 0)); left < 300*24*time.Hour || left > 366*24*time.Hour {
			t.Errorf("%s: the token is valid for %s, want a year", app, left)
		}
	}
}

func TestLifetimeOfCertificates(t *testing.T) {
	for _, ttl := range []time.Duration{identity.MinCertTTL, 20 * time.Second, time.Hour, 24 * time.Hour} {
		f, err := identity.Create(filepath.Join(t.TempDir(), "sentry"), []string{"booking"}, ttl)
		if err != nil {
			t.Fatal(err)
		}
		mtls := sentryConfig(t, f).Spec.MTLS
		if mtls.WorkloadCertTTL != ttl.String() {
			t.Errorf("got the lifetime %s, want %s", mtls.WorkloadCertTTL, ttl)
		}
		// A sidecar renews at the middle between "valid from", which the skew moves back, and
		// "valid until". If that were in the past, it would renew without a pause.
		skew, err := time.ParseDuration(mtls.AllowedClockSkew)
		if err != nil || skew <= 0 || skew > ttl/10 || skew > time.Minute {
			t.Errorf("with a lifetime of %s: got the skew %s (%v), want at most a tenth and a minute", ttl, skew, err)
		}
	}
	for _, ttl := range []time.Duration{0, -time.Hour, identity.MinCertTTL - 1, 366 * 24 * time.Hour} {
		if _, err := identity.Create(filepath.Join(t.TempDir(), "sentry"), nil, ttl); err == nil {
			t.Errorf("a lifetime of %s was accepted", ttl)
		}
	}
}
