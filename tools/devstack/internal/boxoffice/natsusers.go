package boxoffice

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"boxoffice/tools/devstack/internal/natsserver"
	"boxoffice/tools/devstack/internal/ports"
	"boxoffice/tools/devstack/internal/secrets"
)

// provisionerUser is the user of NATS for the program that creates the streams.
const provisionerUser = "streams"

// natsPasswordVar is the prefix of the variables in which the configuration of NATS expects
// the passwords of its users.
const natsPasswordVar = "NATS_PASSWORD_"

// natsPassword matches the reference to a password in the configuration of NATS.
var natsPassword = regexp.MustCompile(`password: \$` + natsPasswordVar + `([A-Z0-9_]+)`) //nolint:gochecknoglobals // constant

// principals returns the ids of the apps that have tokens and a user of NATS: those of the
// run file, or sharedApp for all of them.
func (s *stack) principals() []string {
	if s.isShared || s.file == nil {
		return []string{sharedApp}
	}
	var ids []string
	for _, app := range s.file.Apps {
		ids = append(ids, app.ID)
	}
	return ids
}

func (s *stack) natsUsersPath() string { return filepath.Join(s.Root, natsUsers) }

// openNATSPasswords reads or generates the password of each user in the configuration of
// NATS. The password of a user that nothing connects as is known to nothing and not kept.
func (s *stack) openNATSPasswords(passwords map[string]string, store *secrets.Store) error {
	text, err := os.ReadFile(s.natsUsersPath())
	if errors.Is(err, fs.ErrNotExist) && s.Getenv("NATS_URL") != "" {
		return nil // an external server has its own users
	}
	if err != nil {
		return fmt.Errorf("read the users of nats: %w", err)
	}
	used := append(s.principals(), provisionerUser)
	for _, match := range natsPassword.FindAllSubmatch(text, -1) {
		user := strings.ToLower(string(match[1]))
		if !slices.Contains(used, user) {
			if passwords[user], err = secrets.Token(); err != nil {
				return err
			}
			continue
		}
		if passwords[user], err = store.Value("nats-password-"+user, secrets.Token); err != nil {
			return err
		}
	}
	return nil
}

// hashPasswords returns the environment in which NATS finds the hashes of the passwords.
func hashPasswords(passwords map[string]string) ([]string, error) {
	var env []string
	for _, user := range slices.Sorted(maps.Keys(passwords)) {
		hash, err := natsserver.HashPassword(passwords[user])
		if err != nil {
			return nil, err
		}
		env = append(env, natsPasswordVar+strings.ToUpper(user)+"="+hash)
	}
	return env, nil
}

// natsURL returns the URL with which an app or the provisioner connects to NATS. It contains
// a password. For an external server, it is that of $NATS_URL_<USER>, or else of $NATS_URL.
func (s *stack) natsURL(user string) string {
	if s.stores.nats.external {
		name := "NATS_URL_" + strings.ToUpper(strings.ReplaceAll(user, "-", "_"))
		if own := s.Getenv(name); own != "" {
			return own
		}
		return s.stores.nats.uri
	}
	u := url.URL{Scheme: "nats", Host: ports.Addr(s.stores.nats.port)}
	if password, ok := s.secrets.natsPasswords[user]; ok {
		u.User = url.UserPassword(user, password)
	}
	return u.String()
}
