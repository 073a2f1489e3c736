package authtest_test

import (
	"fmt"
	"testing"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/apps/auth/internal/authtest"
)

func TestUsers(t *testing.T) {
	authtest.TestUsers(t, func(*testing.T) auth.Users { return authtest.NewUsers() })
}

func TestSessions(t *testing.T) {
	authtest.TestSessions(t, func(*testing.T) (auth.Sessions, func() string) {
		n := 0
		return authtest.NewSessions(), func() string { n++; return fmt.Sprint("u", n) }
	})
}
