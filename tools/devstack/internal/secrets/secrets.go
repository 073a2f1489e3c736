// Package secrets keeps random values in a file that only its owner can read. A
// value is generated on first use and does not change afterwards.
package secrets

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// minLength is the length of the shortest value that a file may contain. This
// package does not generate shorter ones.
const minLength = 16

// Store is a file with a JSON object of names and values, the format of Dapr's
// secretstores.local.file.
type Store struct {
	path   string
	values map[string]string
}

// Open reads the file. A missing file counts as empty; a damaged one is an error.
func Open(path string) (*Store, error) {
	s := &Store{path: path, values: map[string]string{}}
	data, err := os.ReadFile(path) //nolint:gosec // the caller's path
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	if err := json.Unmarshal(data, &s.values); err != nil {
		return nil, damaged(path, "not a JSON object of strings") // the parser's error could quote a secret
	}
	for name, value := range s.values {
		if len(value) < minLength {
			return nil, damaged(path, name+" is too short")
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	return s, nil
}

// Value returns the value with the name. If there is none, it calls generate and
// writes the file.
func (s *Store) Value(name string, generate func() (string, error)) (string, error) {
	if v, ok := s.values[name]; ok {
		return v, nil
	}
	v, err := generate()
	if err != nil {
		return "", fmt.Errorf("generate %s: %w", name, err)
	}
	s.values[name] = v
	data, err := json.MarshalIndent(s.values, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write secrets: %w", err)
	}
	if err := WriteFile(s.path, append(data, '\n')); err != nil {
		return "", fmt.Errorf("write secrets: %w", err)
	}
	return v, nil
}

// WriteFile replaces a file atomically by one that only its owner can read.
func WriteFile(path string, data []byte) error {
	next := path + ".next"
	// os.WriteFile does not change the mode of an existing file.
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// Token returns a random string of 256 bits in base64url, which needs no quoting.
func Token() (string, error) {
	b := make([]byte, 32)
	rand.Read(b) // never fails; see crypto/rand
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// Password returns a random string of 100 bits that is easy to type.
func Password() (string, error) { return rand.Text()[:20], nil }

// SigningKey returns a new private Ed25519 key as PKCS #8 in PEM.
func SigningKey() (string, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}

func damaged(path, why string) error {
	return fmt.Errorf("%s is damaged (%s): delete it to generate new secrets, which ends all log-ins", path, why)
}
