// Package secrets keeps random values in a file that only its owner can read.
// They are made when they are first asked for and the same from then on.
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

// minLength is the shortest value that a file may hold: one that is shorter
// was not made here.
const minLength = 16

// Store is a file with one JSON object of names and values, the form that
// Dapr's secretstores.local.file reads.
type Store struct {
	path   string
	values map[string]string
}

// Open reads the file; one that is absent counts as empty.
func Open(path string) (*Store, error) {
	s := &Store{path: path, values: map[string]string{}}
	data, err := os.ReadFile(path) //nolint:gosec // the caller's own file
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	if err := json.Unmarshal(data, &s.values); err != nil {
		return nil, damaged(path, "not an object of texts") // the parser would quote the content
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

// Value returns the value of that name, made and written when there is none.
func (s *Store) Value(name string, generate func() (string, error)) (string, error) {
	if v, ok := s.values[name]; ok {
		return v, nil
	}
	v, err := generate()
	if err != nil {
		return "", fmt.Errorf("make %s: %w", name, err)
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

// WriteFile replaces a file in one step by one that only its owner can read.
func WriteFile(path string, data []byte) error {
	next := path + ".next"
	// An older file keeps its mode when written to, so it must not be there.
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// Token is a random text of 256 bits that needs no quoting anywhere.
func Token() (string, error) {
	b := make([]byte, 32)
	rand.Read(b) //nolint:errcheck // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// Password is a random text for people, of about 100 bits.
func Password() (string, error) { return rand.Text()[:20], nil }

// SigningKey is a private Ed25519 key as PKCS #8 in PEM.
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
	return fmt.Errorf("%s is damaged (%s): delete it to have new secrets made, which ends all log-ins", path, why)
}
