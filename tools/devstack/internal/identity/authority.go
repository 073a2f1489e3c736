package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"
)

// authority is a certificate authority in PEM: a root, and an issuer that it signed.
type authority struct {
	root, issuer, issuerKey []byte
}

// newAuthority returns an authority that is valid from now on for lifetime. It discards
// the key of the root.
func newAuthority(now time.Time) (authority, error) {
	rootPublic, rootKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return authority{}, err
	}
	rootCert, err := caTemplate(now, "root")
	if err != nil {
		return authority{}, err
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, rootCert, rootCert, rootPublic, rootKey)
	if err != nil {
		return authority{}, err
	}
	issuerPublic, issuerKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return authority{}, err
	}
	issuerCert, err := caTemplate(now, "issuer")
	if err != nil {
		return authority{}, err
	}
	issuerCert.MaxPathLenZero = true // it signs certificates of sidecars, and no other authorities
	issuerDER, err := x509.CreateCertificate(rand.Reader, issuerCert, rootCert, issuerPublic, rootKey)
	if err != nil {
		return authority{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(issuerKey)
	if err != nil {
		return authority{}, err
	}
	return authority{
		root:      pemBlock("CERTIFICATE", rootDER),
		issuer:    pemBlock("CERTIFICATE", issuerDER),
		issuerKey: pemBlock("PRIVATE KEY", keyDER),
	}, nil
}

// caTemplate returns the certificate of an authority, without its key.
func caTemplate(now time.Time, name string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{TrustDomain}, CommonName: name},
		NotBefore:             now.Add(-time.Minute), // tolerates a clock that is set back a little
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}, nil
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
