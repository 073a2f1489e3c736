package secrets_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"boxoffice/tools/devstack/internal/secrets"
)

func value(t *testing.T, path, name string, generate func() (string, error)) string {
	t.Helper()
	s, err := secrets.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Value(name, generate)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestValuesAreGeneratedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	first := value(t, path, "token", secrets.Token)
	if len(first) < 43 { // 256 bits in base64
		t.Errorf("got a token of %d characters, want at least 43", len(first))
	}
	if other := value(t, path, "other", secrets.Token); other == first {
		t.Error("two names have the same value")
	}
	if again := value(t, path, "token", secrets.Token); again != first {
		t.Error("the value changed when the file was opened again")
	}
}

func TestFileIsForTheOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	for _, loosened := range []bool{false, true} {
		if loosened {
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		value(t, path, "token", secrets.Token)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := info.Mode().Perm(), os.FileMode(0o600); got != want {
			t.Errorf("mode changed before: %t: got mode %o, want %o", loosened, got, want)
		}
	}
}

func TestOpenRejectsADamagedFile(t *testing.T) {
	for name, content := range map[string]string{
		"empty":       "",
		"truncated":   `{"token": "4b1d5`,
		"not strings": `{"token": 17}`,
		"short value": `{"token": "secret"}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secrets.json")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := secrets.Open(path)
			if err == nil || !strings.Contains(err.Error(), "delete it") || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got error %v, want one line that says what to do", err)
			}
			if strings.Contains(err.Error(), "4b1d5") {
				t.Errorf("error %q quotes a secret", err)
			}
		})
	}
}

func TestSigningKeyIsAnEd25519Key(t *testing.T) {
	text, err := secrets.SigningKey()
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || len(rest) > 0 {
		t.Fatal("the key is not a single PEM block")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if _, ok := key.(ed25519.PrivateKey); err != nil || !ok {
		t.Errorf("got a %T (%v), want an Ed25519 key", key, err)
	}
}

func TestPasswordNeedsNoQuoting(t *testing.T) {
	p, err := secrets.Password()
	if err != nil || len(p) != 20 || strings.Trim(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		t.Errorf("got password %q (%v), want 20 letters and digits", p, err)
	}
}
