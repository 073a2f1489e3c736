package natsserver

import (
	"fmt"

	"golang.org/x/crypto/bcrypt"
)

// HashPassword returns the bcrypt hash of a random password as a value of a configuration
// file, in double quotes. It has the lowest cost: a slow hash protects only passwords that
// can be guessed.
func HashPassword(password string) (string, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return "", fmt.Errorf("hash a password for nats: %w", err)
	}
	return `"` + string(hash) + `"`, nil
}
