package boxoffice

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"boxoffice/tools/devstack/internal/secrets"
)

// credentials are the secrets of one data directory.
type credentials struct {
	tokens        map[string]tokens // by app ID
	natsPasswords map[string]string // by user
	redisPassword string            // of the embedded Redis
	// sessionCacheKey authenticates what auth caches for the gateway. No other program has
	// it.
	sessionCacheKey string

	adminEmail     string
	adminPassword  string
	adminGenerated bool // false if the user's environment names the admin
}

// tokens are the secrets that an app and its sidecars share.
type tokens struct {
	api string // the app presents it to its sidecar
	app string // the sidecar presents it to its app
}

// openCredentials reads the secrets. It generates those that are missing. They are in two
// files, because a sidecar reads the one that is a secret store.
func (s *stack) openCredentials() (credentials, error) {
	c := credentials{tokens: map[string]tokens{}, natsPasswords: map[string]string{}}
	forApps, err := secrets.Open(s.layout.secrets())
	if err != nil {
		return c, err
	}
	if _, err = forApps.Value(secretSigningKey, secrets.SigningKey); err != nil {
		return c, err
	}
	own, err := secrets.Open(s.credentials())
	if err != nil {
		return c, err
	}
	for _, id := range s.principals() {
		var t tokens
		if t.api, err = own.Value("dapr-api-token-"+id, secrets.Token); err != nil {
			return c, err
		}
		if t.app, err = own.Value("app-api-token-"+id, secrets.Token); err != nil {
			return c, err
		}
		c.tokens[id] = t
	}
	if c.redisPassword, err = own.Value("redis-password", secrets.Token); err != nil {
		return c, err
	}
	if c.sessionCacheKey, err = own.Value("session-cache-key", secrets.Token); err != nil {
		return c, err
	}
	if err := s.openNATSPasswords(c.natsPasswords, own); err != nil {
		return c, err
	}
	c.adminEmail, c.adminPassword = s.Getenv("ADMIN_EMAIL"), s.Getenv("ADMIN_PASSWORD")
	if c.adminEmail != "" && c.adminPassword != "" {
		return c, nil
	}
	if c.adminEmail != "" || c.adminPassword != "" {
		return c, errors.New("only one of ADMIN_EMAIL and ADMIN_PASSWORD is set: set both or none")
	}
	c.adminGenerated = true
	c.adminEmail, c.adminPassword, err = generatedAdmin(s.admin())
	return c, err
}

// generatedAdmin reads the first admin from a file of two shell assignments. It
// creates the file if it is missing.
func generatedAdmin(path string) (email, password string, err error) {
	data, err := os.ReadFile(path) //nolint:gosec // in the data directory
	if errors.Is(err, fs.ErrNotExist) {
		if password, err = secrets.Password(); err != nil {
			return "", "", err
		}
		text := fmt.Sprintf("ADMIN_EMAIL=%s\nADMIN_PASSWORD=%s\n", firstAdminEmail, password)
		if err := secrets.WriteFile(path, []byte(text)); err != nil {
			return "", "", fmt.Errorf("write the first admin: %w", err)
		}
		return firstAdminEmail, password, nil
	}
	if err != nil {
		return "", "", fmt.Errorf("read the first admin: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return "", "", fmt.Errorf("read the first admin: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "ADMIN_EMAIL":
			email = value
		case "ADMIN_PASSWORD":
			password = value
		}
	}
	if email == "" || password == "" {
		return "", "", fmt.Errorf("%s is damaged: it must assign ADMIN_EMAIL and ADMIN_PASSWORD; delete it to create another admin", path)
	}
	return email, password, nil
}
