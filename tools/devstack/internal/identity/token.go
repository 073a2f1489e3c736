package identity

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"time"

	"go.yaml.in/yaml/v3"
)

// keyID is the id of the only key that signs tokens.
const keyID = "devstack"

// signToken returns a JSON Web Token (RFC 7519) that proves to Sentry that its bearer is
// the sidecar of the app.
func signToken(key ed25519.PrivateKey, app string, now time.Time) (string, error) {
	header, err := encode(map[string]any{"alg": "EdDSA", "typ": "JWT", "kid": keyID})
	if err != nil {
		return "", err
	}
	claims, err := encode(map[string]any{
		"aud": []string{spiffeID(TrustDomain, "dapr-sentry")},
		"sub": spiffeID(AppTrustDomain, app),
		"iat": now.Unix(),
		"exp": now.Add(lifetime).Unix(),
	})
	if err != nil {
		return "", err
	}
	text := header + "." + claims
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(text))), nil
}

// encode returns v as JSON in base64url.
func encode(v any) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(data), nil
}

func spiffeID(trustDomain, app string) string {
	return "spiffe://" + trustDomain + "/ns/" + Namespace + "/" + app
}

// sentryConfig returns a configuration of Sentry, a Dapr resource in YAML. It accepts the
// tokens that key verifies and no other proof of identity.
func sentryConfig(key ed25519.PublicKey, ttl time.Duration) ([]byte, error) {
	keys, err := json.Marshal(map[string]any{"keys": []map[string]string{{
		"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": keyID,
		"x": base64.RawURLEncoding.EncodeToString(key),
	}}})
	if err != nil {
		return nil, err
	}
	return yaml.Marshal(map[string]any{
		"apiVersion": "dapr.io/v1alpha1",
		"kind":       "Configuration",
		"metadata":   map[string]string{"name": "sentry"},
		"spec": map[string]any{"mtls": map[string]any{
			"enabled":         true,
			"workloadCertTTL": ttl.String(),
			// Certificates are valid from this long before they are signed. Sidecars renew them
			// after half of the sum, so it must be small in comparison with the lifetime.
			"allowedClockSkew": min(ttl/10, time.Minute).String(),
			"tokenValidators": []map[string]any{{
				"name":    "jwks",
				"options": map[string]string{"source": string(keys)},
			}},
		}},
	})
}
